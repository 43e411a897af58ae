import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileMigrationsSync } from '../compiler/steps/compile-migrations.ts';

/**
 * How long synth waits for the compiler: a folder of files with a table and an index each, compiled once in a fresh
 * process (the parser's start included) and then again.
 *
 *   npx tsx bench/compile.ts [files] [goose]
 */
const GOAL_SECONDS = 3;
const files = Number(process.argv[2] ?? 1000);
/** Each file with a part to undo, as another tool has it. */
const ofGoose = process.argv[3] === 'goose';

const directory = mkdtempSync(join(tmpdir(), 'compile-'));
try {
  for (let at = 1; at <= files; at += 1) {
    writeFileSync(join(directory, `${String(at).padStart(5, '0')}_table_${at}.sql`), migration(at));
  }
  const [first = 0, ...again] = [1, 2, 3].map(() => seconds(() => compileMigrationsSync(directory)));
  const { migrations } = compileMigrationsSync(directory);
  const size = JSON.stringify(migrations).length;
  console.log(
    `${files} files, ${migrations.flatMap(({ steps }) => steps).length} steps, Node ${process.version}`,
  );
  console.log(`first   ${first.toFixed(2)} s (goal for 1000 files: under ${GOAL_SECONDS} s)`);
  console.log(`again   ${Math.min(...again).toFixed(2)} s`);
  console.log(`result  ${(size / 1000).toFixed(0)} KB of JSON`);
  if (first > (GOAL_SECONDS * files) / 1000) process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true });
}

function migration(at: number): string {
  const undo = ofGoose ? `\n-- +goose Down\ndrop table table_${at};\n` : '';
  return `${ofGoose ? '-- +goose NO TRANSACTION\n-- +goose Up\n' : ''}-- Table number ${at}
create table table_${at} (
  id bigint generated always as identity primary key,
  user_id bigint not null,
  body text not null default '',
  created_at timestamptz not null default now()
);

create index concurrently table_${at}_user_created on table_${at} (user_id, created_at desc);
${undo}`;
}

function seconds(work: () => unknown): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}
