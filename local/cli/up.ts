import type { Command } from 'commander';
import { count, duration } from '../../lambda/migration/amounts.ts';
import { isOpen, kindOf, type Operation, type WorkKind } from '../../lambda/migration/build.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { buildDocument, nameOfBuild } from './build-lines.ts';
import { buildsTable } from './builds-table.ts';
import {
  DATABASE_HELP,
  type DatabaseFlags,
  withDatabaseFlags,
  withDeployedFlags,
  withJson,
  withRunFlags,
} from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { exitCodeOf, showFailure } from './failure.ts';
import { Interrupted, interruptible } from './interruption.ts';
import type { UpEnd } from './migrate-up.ts';
import type { Place } from './place.ts';
import { placeOf } from './place-of.ts';
import { RunDisplay } from './run-display.ts';
import { Terminal } from './terminal.ts';
import { UpRecord } from './up-record.ts';

interface UpFlags extends DatabaseFlags {
  readonly wait: boolean;
}

export function addUp(program: Command): void {
  withJson(withRunFlags(withDeployedFlags(withDatabaseFlags(program.command('up')))))
    .alias('run')
    .description('apply what is pending, then build the indexes that were handed off until each is valid')
    .option('--no-wait', 'leave index builds to the next up, or to the deployed loop')
    .addHelpText(
      'after',
      `
Only one run works on a database at a time; another one waits for it, and says so.
Ctrl-C cancels the statement under way and leaves index builds to the database;
the next up continues where this one stopped.
${DATABASE_HELP}

Exit codes:
  0  every migration is applied and every index build is valid
  1  something failed
  2  the command itself is wrong; nothing was touched
  3  with --no-wait: index builds, or steps that wait for them, are left to do
  130, 143  interrupted by Ctrl-C, by SIGTERM

Examples:
  npx cdk-postgres-migrations up --database-url postgres://app:secret@localhost:5432/app
  npx cdk-postgres-migrations up --dir db/migrations --lock-timeout 2 --max-concurrent-tables 2
  npx cdk-postgres-migrations run --stack Shop --profile production --region eu-central-1
  npx cdk-postgres-migrations up --json | jq .builds`,
    )
    .action(async (flags: UpFlags) => {
      process.exitCode = await up(flags);
    });
}

/** How long the server may take to roll back what Ctrl-C has cancelled. */
const GRACE_MILLISECONDS = 10_000;

async function up(flags: UpFlags): Promise<ExitCode> {
  const terminal = new Terminal({ json: flags.json === true });
  const context: UpContext = {
    terminal,
    wait: flags.wait,
    display: new RunDisplay(terminal),
    record: new UpRecord(),
    since: Date.now(),
  };
  let place: Place | undefined;
  try {
    place = await placeOf(flags);
    const found = place;
    terminal.line(terminal.colors.dim(found.description));
    return show(
      await interruptible((signal) => migrate(found, signal, context), {
        graceMilliseconds: GRACE_MILLISECONDS,
      }),
      context,
    );
  } catch (error) {
    context.display.stop();
    const stopped = error instanceof Interrupted;
    showFailure(terminal, stopped ? await interruption(error, context.record, place) : error);
    return exitCodeOf(error);
  }
}

interface UpContext {
  readonly terminal: Terminal;
  readonly wait: boolean;
  readonly display: RunDisplay;
  readonly record: UpRecord;
  readonly since: number;
}

async function migrate(
  place: Place,
  signal: AbortSignal,
  { terminal, ...context }: UpContext,
): Promise<UpEnd> {
  return place.up({
    ...context,
    signal,
    failedEarly: (error) => {
      terminal.errorLine(error.message);
      terminal.line(
        place.here
          ? 'Index builds of the steps before it continue; Ctrl-C leaves them to the next up.'
          : 'Index builds of the steps before it continue, and are watched; Ctrl-C leaves them to the deployed loop.',
      );
    },
  });
}

function show(end: UpEnd, { terminal, display, record, since }: UpContext): ExitCode {
  display.stop();
  const builds = record.buildsOf(end.status);
  const document = upDocument(end, record);
  if (builds.length > 0) terminal.line(buildsTable(builds, terminal.colors));
  if (end.failure !== undefined) {
    showFailure(terminal, end.failure, document);
    return exitCode.failed;
  }
  const seconds = (Date.now() - since) / 1000;
  const { green, yellow } = terminal.colors;
  terminal.line((end.outcome === 'done' ? green : yellow)(summary(end, record, seconds)));
  if (terminal.json) terminal.document({ ok: end.outcome === 'done', ...document });
  return end.outcome === 'done' ? exitCode.done : exitCode.unfinished;
}

/** What a person who interrupts `up` needs to know: what stays, what continues, and how to continue. */
async function interruption(
  { message }: Interrupted,
  record: UpRecord,
  place: Place | undefined,
): Promise<MigrationError> {
  const status = place === undefined ? undefined : await place.status(3).catch(() => undefined);
  const building = (status?.builds ?? []).filter(({ state }) => state === 'building');
  const lines = building.map((build) => {
    const held = place?.here === true && build.session === 'attached';
    const fate = held
      ? 'held by this process, so it may end with it; the next up begins it again if so'
      : 'continues in the database without this process';
    return `${nameOfBuild(build)}: ${fate}.`;
  });
  const pending = (status?.builds ?? []).filter(({ state }) => state === 'pending');
  const counts = countsByKind(pending).map(({ counted }) => counted);
  if (counts.length > 0) lines.push(`Also pending: ${counts.join(', ')}.`);
  if (place?.here === false) {
    return new MigrationError({
      code: 'interrupted',
      what: [`Stopped: ${message}. What was requested continues in the account.`, ...lines].join('\n'),
      next: 'the verb status shows how far it is; run up again to watch it, which changes nothing twice.',
    });
  }
  return new MigrationError({
    code: 'interrupted',
    what: [`Stopped: ${message}.`, ...lines].join('\n'),
    applied: `${record.files === 0 ? 'nothing' : `steps of ${record.files} migration${record.files === 1 ? '' : 's'}`} by this run, each of them whole; of a step under way, nothing.`,
    next: 'run up again: it continues from here. The verb status shows how far the builds are.',
  });
}

/** All of the JSON document but `ok` and `error`. */
function upDocument({ status }: UpEnd, record: UpRecord): object {
  return {
    migrations: status.migrations.map(({ version, name, state }) => ({
      version,
      name,
      state,
      /** Steps that this `up` applied or handed off. */
      applied: record.stepsOf(version),
    })),
    builds: record.buildsOf(status).map(buildDocument),
    waiting: record.waiting ?? null,
  };
}

/** The last line, where nothing failed. */
function summary({ outcome, status }: UpEnd, record: UpRecord, seconds: number): string {
  const builds = record.buildsOf(status);
  if (outcome === 'done') {
    const applied = status.migrations.filter(({ state }) => state !== 'unknown').length;
    if (record.files === 0 && builds.length === 0)
      return `Nothing to do: ${count(applied, 'migration')} applied, every index build is valid.`;
    const done = countsByKind(builds).map(({ kind, counted }) => `${counted} ${NOUNS[kind].done}`);
    return `Done in ${duration(seconds)}: ${[`${count(record.files, 'migration')} applied`, ...done].join(', ')}.`;
  }
  const open = countsByKind(builds.filter(isOpen)).map(({ counted }) => counted);
  const lines = [`Left to do: ${open.join(', ')}.`];
  const { waiting } = record;
  if (waiting !== undefined) lines.push(`${waiting.file} waits: ${waiting.because}.`);
  lines.push('Run up again without --no-wait, or let the deployed loop continue.');
  return lines.join('\n');
}

/** Of each kind: one, several, and the word for its success. */
const NOUNS: Readonly<
  Record<WorkKind, { readonly one: string; readonly several: string; readonly done: string }>
> = {
  'index build': { one: 'index build', several: 'index builds', done: 'valid' },
  validation: { one: 'validation', several: 'validations', done: 'done' },
  refresh: { one: 'refresh', several: 'refreshes', done: 'done' },
  upkeep: { one: 'statement', several: 'statements', done: 'done' },
  backfill: { one: 'backfill', several: 'backfills', done: 'done' },
};

/** `2 index builds`, `1 backfill`: how many there are of each kind, in the order of their first. */
function countsByKind(
  builds: readonly { readonly operation: Operation }[],
): { readonly kind: WorkKind; readonly counted: string }[] {
  const kinds = builds.map(({ operation }) => kindOf(operation));
  return [...new Set(kinds)].map((kind) => {
    const number = kinds.filter((other) => other === kind).length;
    return { kind, counted: `${number} ${number === 1 ? NOUNS[kind].one : NOUNS[kind].several}` };
  });
}
