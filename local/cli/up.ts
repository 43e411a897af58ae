import type { Command } from 'commander';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { readStatus } from '../../lambda/status/status.ts';
import { nameOfBuild } from './build-lines.ts';
import { buildsTable } from './builds-table.ts';
import {
  type Asked,
  ask,
  DATABASE_HELP,
  type DatabaseFlags,
  describeTarget,
  exitCodeOf,
  PATIENCE_SECONDS,
  withDatabaseFlags,
  withJson,
  withRunFlags,
} from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { showFailure } from './failure.ts';
import { Interrupted, interruptible } from './interruption.ts';
import { migrateUp, type UpEnd } from './migrate-up.ts';
import { RunDisplay } from './run-display.ts';
import { Terminal } from './terminal.ts';
import { UpRecord } from './up-record.ts';
import { summary, upDocument } from './up-summary.ts';

interface UpFlags extends DatabaseFlags {
  readonly wait: boolean;
}

export function addUp(program: Command): void {
  withJson(withRunFlags(withDatabaseFlags(program.command('up'))))
    .description('apply what is pending, then build the indexes that were handed off until each is valid')
    .option('--no-wait', 'leave index builds to the next up, or to the deployed loop')
    .addHelpText(
      'after',
      `
Only one run works on a database at a time; another one waits for it, and says so.
Ctrl-C cancels the statement under way and leaves index builds to the database;
the next up goes on where this one stopped.
${DATABASE_HELP}

Exit codes:
  0  every migration is applied and every index build is valid
  1  something failed
  2  the command itself is wrong; nothing was touched
  3  with --no-wait: index builds, or steps that wait for them, are left to do
  130, 143  interrupted by Ctrl-C, by SIGTERM

Examples:
  npm run migrate -- up --database-url postgres://app:secret@localhost:5432/app
  npm run migrate -- up --dir db/migrations --lock-timeout 2 --max-concurrent-tables 2
  npm run --silent migrate -- up --json | jq .builds`,
    )
    .action(async (flags: UpFlags) => {
      process.exitCode = await up(flags);
    });
}

/** The server may take so long to roll back what Ctrl-C has cancelled. */
const GRACE_MILLISECONDS = 10_000;

async function up(flags: UpFlags): Promise<ExitCode> {
  const terminal = new Terminal({ json: flags.json === true });
  const known: Known = {
    terminal,
    wait: flags.wait,
    display: new RunDisplay(terminal),
    record: new UpRecord(),
    since: Date.now(),
  };
  let asked: Asked | undefined;
  try {
    asked = await ask(flags);
    const found = asked;
    terminal.line(terminal.colors.dim(describeTarget(found)));
    return show(
      await interruptible((signal) => migrate(found, signal, known), {
        graceMilliseconds: GRACE_MILLISECONDS,
      }),
      known,
    );
  } catch (error) {
    known.display.stop();
    const stopped = error instanceof Interrupted;
    showFailure(terminal, stopped ? await interruption(error, known.record, asked) : error);
    return exitCodeOf(error);
  }
}

interface Known {
  readonly terminal: Terminal;
  readonly wait: boolean;
  readonly display: RunDisplay;
  readonly record: UpRecord;
  readonly since: number;
}

async function migrate(
  asked: Asked,
  signal: AbortSignal,
  { terminal, display, record, wait }: Known,
): Promise<UpEnd> {
  return migrateUp({
    ...asked,
    wait,
    signal,
    deadline: undefined,
    patienceSeconds: PATIENCE_SECONDS,
    report: (event) => {
      record.note(event);
      display.report(event);
    },
    failedEarly: (error) => {
      terminal.errorLine(error.message);
      terminal.line('Index builds of the steps before it go on; Ctrl-C leaves them to the next up.');
    },
  });
}

function show(end: UpEnd, { terminal, display, record, since }: Known): ExitCode {
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

/** What a person who stops an `up` wants to know: what stays, what goes on without them, how to continue. */
async function interruption(
  { message }: Interrupted,
  record: UpRecord,
  asked: Asked | undefined,
): Promise<MigrationError> {
  const status =
    asked === undefined
      ? undefined
      : await readStatus(asked.target, { ...asked, patienceSeconds: 3 }).catch(() => undefined);
  const building = (status?.builds ?? []).filter(({ state }) => state === 'building');
  const lines = building.map((build) => {
    const held = build.session === 'attached';
    const fate = held
      ? 'held by this process, so it may end with it; the next up begins it again if so'
      : 'goes on in the database without this process';
    return `${nameOfBuild(build)}: ${fate}.`;
  });
  const pending = (status?.builds ?? []).filter(({ state }) => state === 'pending').length;
  if (pending > 0) lines.push(`${pending} more index build${pending === 1 ? ' is' : 's are'} pending.`);
  return new MigrationError({
    code: 'interrupted',
    what: [`Stopped: ${message}.`, ...lines].join('\n'),
    applied: `${record.files === 0 ? 'nothing' : `steps of ${record.files} migration${record.files === 1 ? '' : 's'}`} by this run, each of them whole; of a step under way, nothing.`,
    next: 'run up again: it goes on from here. The verb status shows how far the builds are.',
  });
}
