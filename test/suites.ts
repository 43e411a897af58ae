import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Which suite a test file belongs to.
 * - `unit`: it needs no server, no bundle and no other process. Found out from what it imports.
 * - `story`: real servers and real templates, one story for each capability. Whatever is not named here.
 * - `exhaustive`: tables of many cases over what a story shows once, and tests of the tests' own parts.
 * `npm run test:unit` runs the first, `npm test` the first two, `npm run test:all` everything.
 */
const EXHAUSTIVE: readonly string[] = [
  // Each memory setting a build gets, each way by which a builder is lost from sight: turn/loopback.test.ts has the story.
  'test/lambda/work/turn/speed.test.ts',
  'test/lambda/work/turn/seen-builder.test.ts',
  'test/lambda/work/turn/reindex-unseen.test.ts',
  'test/lambda/run/locks-without-session.test.ts',
  // While one build continues, what else begins: infra/index-build-loop.test.ts has it by the machine itself.
  'test/lambda/lifecycle/side-by-side.test.ts',
  // A server of another version, chosen by hand: `npm run test:versions` runs all on each.
  'test/local/versions/older-server.test.ts',
  'test/local/cli/iam.test.ts',
  // Each setting of a role or a database that is out of the ordinary, each name that a stranger may borrow, values of
  // rows through a whole stack: hardened, turn/roles, turn/slots and run/row-values have the stories.
  'test/lambda/work/turn/borrowed-names.test.ts',
  'test/lambda/lifecycle/row-values.test.ts',
  'test/lambda/run/unusual-settings.test.ts',
  // What Postgres does with each kind of statement: a story per kind of step is in lambda/run.
  'test/compiler/locks/lock-modes-in-postgres.test.ts',
  'test/compiler/locks/lock-works-in-postgres.test.ts',
  'test/compiler/locks/locks-in-postgres.test.ts',
  'test/compiler/steps/placement-in-postgres.test.ts',
  'test/compiler/syntax/index-name-in-postgres.test.ts',
  'test/compiler/steps/loading.test.ts',
  // Each question that is asked of the data: lambda/foresight/lint-at-deploy.test.ts has the stories.
  'test/lambda/foresight/questions.test.ts',
  // A deploy beside traffic, statement by statement: lambda/run/locks.test.ts has the story.
  'test/lambda/run/locks-beside-traffic.test.ts',
  // Every name of our SQL as a trap, by each kind of session: lambda/postgres/our-sql.test.ts reads all SQL, and
  // lambda/work/turn/hostile-operators.test.ts has the story.
  'test/lambda/run/hostile-objects.test.ts',
  // The roles' matrix, less what lambda/work/turn/roles.test.ts plays of it.
  'test/lambda/work/turn/roles-with-each-session.test.ts',
  // Each index that stands already: adopted or refused, alone and below partitions; run/hand-off.test.ts has the builds.
  'test/lambda/work/turn/indexes-already-there.test.ts',
  // Each kind of long work in a function that ends again and again: long-work.test.ts has one.
  'test/lambda/work/turn/short-lives.test.ts',
  // Each column of the ledger's row of a build, changed: as-compiled.test.ts has the story.
  'test/lambda/work/turn/tampered-rows.test.ts',
  'test/lambda/work/turn/hidden-blockers.test.ts',
  // Life cycles beyond create, update, the hook and the wait for builds.
  'test/lambda/lifecycle/events.test.ts',
  'test/lambda/lifecycle/long-work.test.ts',
  'test/lambda/lifecycle/from-red-to-green.test.ts',
  'test/lambda/lifecycle/long-failures.test.ts',
  'test/lambda/lifecycle/more-creates.test.ts',
  'test/lambda/lifecycle/more-updates.test.ts',
  'test/lambda/lifecycle/secret.test.ts',
  'test/lambda/lifecycle/tracing.test.ts',
  'test/lambda/lifecycle/waiting-deploys.test.ts',
  'test/lambda/work/turn/days-in-simulated-time.test.ts',
  // Each format of an older ledger, each state of a fixed file, each form of a setting: lambda/run has the stories.
  'test/lambda/postgres/ledger/older-ledgers.test.ts',
  'test/lambda/run/mended-files.test.ts',
  'test/lambda/work/turn/file-settings.test.ts',
  // Each reason for which a backfill rests, on servers of their own: lambda/work/turn/backfill.test.ts has the story.
  'test/lambda/work/turn/throttle.test.ts',
  // Generated backfills, and one that a deploy waits through: lambda/work/turn/backfill.test.ts has the stories.
  'test/lambda/work/turn/backfill-forms.test.ts',
  'test/lambda/work/turn/backfill-property.test.ts',
  'test/lambda/lifecycle/backfill.test.ts',
  // Each form of an index operation, each kind of session without dblink, each tool's own history and what it leaves
  // open, each right taken away: hand-off, loopback, adopt-and-mirror and the hardened database have the stories.
  'test/lambda/work/turn/operations.test.ts',
  'test/lambda/work/turn/without-loopback.test.ts',
  'test/lambda/history/doubtful.test.ts',
  'test/lambda/history/each-tool.test.ts',
  'test/lambda/history/real-histories.test.ts',
  'test/lambda/run/least-rights.test.ts',
  'test/lambda/run/rows-nobody-reads.test.ts',
  'test/lambda/run/encodings.test.ts',
  // AWS and Neon that answer late, oddly or never.
  'test/lambda/lifecycle/silent-services.test.ts',
  'test/lambda/lifecycle/passing-faults.test.ts',
  'test/lambda/postgres/session/neon-startup.test.ts',
  // Ways to connect beyond the plain one.
  'test/lambda/postgres/session/pooler.test.ts',
  'test/lambda/postgres/session/tls.test.ts',
  // More of the package as people install it: stock-app.test.ts has the whole way.
  'test/infra/npm-package.test.ts',
  'test/infra/npm-package-types.test.ts',
  'test/infra/cdk-synth.test.ts',
  // The three commands of each tool's section in the docs: lambda/history/adopt-and-mirror.test.ts has the story.
  'test/local/cli/coming-from.test.ts',
  // Each verb through what is deployed: local/cli/deployed.test.ts has run, cancel and retry.
  'test/local/cli/deployed-verbs.test.ts',
  // npm start interrupted, on a terminal and as JSON: local/demo/start-output.test.ts has the story.
  'test/local/demo/start.test.ts',
  // The template, by tools that judge it.
  'test/infra/nag.test.ts',
  'test/infra/template-quality.test.ts',
  // Faults by chance, where lambda/run/killed-run.test.ts has a cut at each message; the tests' own parts.
  'test/local/faults/chaos.test.ts',
  'test/local/postgres/embedded-postgres.test.ts',
  'test/local/step-functions/state-machine-runner.test.ts',
  'test/local/wire/neon-proxy.test.ts',
  'test/local/wire/tcp-proxy.test.ts',
];

/** What takes longest: begun last, one of them would run alone at the end. */
const LONGEST: readonly string[] = [
  'test/local/faults/sample.test.ts',
  'test/infra/stock-app.test.ts',
  'test/local/demo/start-output.test.ts',
  'test/lambda/work/turn/short-lives.test.ts',
  'test/lambda/run/locks-beside-traffic.test.ts',
  'test/lambda/hardened/hardened.test.ts',
  'test/lambda/lifecycle/wait-for.test.ts',
];

/** Signs of a server, a synthesis, a bundle or another process. */
const NEEDS_MORE = /\binject\(|from '(?:aws-cdk-lib|esbuild|node:child_process|node:worker_threads)/;
const FROM = /(?:from|import)\s*\(?\s*'(\.[^'$]+)'/g;

const root = join(import.meta.dirname, '..');
const known = new Map<string, boolean>();

/** Whether a file, or anything that it imports, needs more than this process. */
function needsMore(file: string): boolean {
  const already = known.get(file);
  if (already !== undefined) return already;
  known.set(file, false);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const needs =
    NEEDS_MORE.test(text) ||
    [...text.matchAll(FROM)].some(([, specifier = '']) => needsMore(join(dirname(file), specifier)));
  known.set(file, needs);
  return needs;
}

const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => `test/${file}`)
  .sort();

const missing = EXHAUSTIVE.filter((file) => !files.includes(file));
if (missing.length > 0)
  throw new Error(`test/suites.ts names files that are not there: ${missing.join(', ')}`);

const unit = files.filter((file) => !needsMore(join(root, file)));
const story = files.filter((file) => !unit.includes(file) && !EXHAUSTIVE.includes(file));

/** Where in the order of all a file belongs: the lower, the earlier. */
export function rank(file: string): number {
  const at = LONGEST.findIndex((longest) => file.endsWith(longest));
  return at < 0 ? LONGEST.length : at;
}

export const suites = { unit, story, exhaustive: EXHAUSTIVE };
