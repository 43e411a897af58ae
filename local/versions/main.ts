import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { olderMajors, pinnedBinaries } from './pinned-binaries.ts';
import { runTests, type TestCounts } from './run-tests.ts';

/** All tests that need a real server. The others are the same for all versions. */
const ASKING_SERVERS = [
  'test/lambda/run/',
  'test/lambda/work/turn/',
  'test/lambda/foresight/',
  'test/lambda/actions/',
  'test/lambda/postgres/',
  'test/lambda/lifecycle/',
  'test/compiler/syntax/index-name-in-postgres',
  'test/compiler/locks/lock-modes-in-postgres',
  'test/compiler/locks/lock-works-in-postgres',
  'test/compiler/locks/locks-in-postgres',
  'test/compiler/steps/placement-in-postgres',
  'test/compiler/lint/deploy-rules',
  'test/compiler/lint/lint.test',
  'test/compiler/lint/rules.test',
  'test/local/cli/in-process-loop',
  'test/local/cli/status',
  'test/local/cli/up',
  'test/local/faults/',
  'test/local/demo/',
  'test/local/postgres/embedded-postgres',
];

const { values, positionals } = parseArgs({
  options: { major: { type: 'string', multiple: true } },
  allowPositionals: true,
});

/** `npm run test:versions`: the tests that need a server, on every older major; fails if any of them does. */
const wanted = values.major?.map(Number);
const majors = olderMajors.filter((major) => wanted?.includes(major) ?? true);
const rows: (TestCounts & { readonly major: number })[] = [];
for (const major of majors) {
  console.log(`\nPostgreSQL ${major}`);
  const files = positionals.length === 0 ? ASKING_SERVERS : positionals;
  rows.push({ major, ...(await runTests({ binaries: await pinnedBinaries(major), major, files })) });
}

const table = new Table({
  head: ['PostgreSQL', 'files', 'tests', 'passed', 'failed', 'seconds'],
  style: { head: [], border: [] },
});
for (const { major, files, tests, passed, failed, seconds } of rows) {
  table.push([major, files, tests, passed, failed, seconds]);
}
console.log(`\n${table.toString()}`);
if (rows.length === 0) console.log(`--major is one of ${olderMajors.join(', ')}, and may be given again.`);
process.exit(rows.length > 0 && rows.every(({ failed, tests }) => failed === 0 && tests > 0) ? 0 : 1);
