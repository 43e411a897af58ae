import type { Command } from 'commander';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { RunResult } from '../../lambda/story/run.ts';
import { runMigrations } from '../../lambda/story/run-migrations.ts';
import { readStatus, type Status } from '../../lambda/story/status.ts';
import { runLoop } from '../in-process-loop.ts';
import { buildDocument } from './build-lines.ts';
import {
  type Asked,
  ask,
  DATABASE_HELP,
  type DatabaseFlags,
  describeTarget,
  exitCodeOf,
  PATIENCE_SECONDS,
  withDatabaseFlags,
} from './database-options.ts';
import { exitCode } from './exit-code.ts';
import { asMigrationError, errorDocument, showFailure } from './failure.ts';
import { Interrupted, interruptible } from './interruption.ts';
import { RunDisplay } from './run-display.ts';
import { Terminal } from './terminal.ts';

interface UpFlags extends DatabaseFlags {
  readonly wait: boolean;
}

export function addUp(program: Command): void {
  withDatabaseFlags(program.command('up'))
    .description('apply what is pending, then build the handed-off indexes until each is valid')
    .option(
      '--no-wait',
      'do not run the loop: leave the index builds to the next up, or to the deployed loop',
    )
    .addHelpText(
      'after',
      `${DATABASE_HELP}

Exit codes:
  0  all applied, every index valid      1  something failed
  2  the command is wrong                3  something is left to do (--no-wait)

Examples:
  npm run migrate -- up --database-url postgres://app:secret@localhost:5432/app
  DATABASE_URL=… npm run migrate -- up --dir db/migrations --json`,
    )
    .action(async (flags: UpFlags) => {
      process.exitCode = await up(flags);
    });
}

async function up(flags: UpFlags): Promise<number> {
  const terminal = new Terminal({ json: flags.json === true });
  const display = new RunDisplay(terminal);
  let asked: Asked | undefined;
  try {
    asked = await ask(flags);
    const known = asked;
    terminal.line(terminal.colors.dim(`migrating ${describeTarget(known.target)}`));
    return await interruptible((signal) => migrate(known, { terminal, display, signal, wait: flags.wait }));
  } catch (error) {
    display.stop();
    if (error instanceof Interrupted) return interrupted(terminal, error);
    const status =
      asked === undefined || isUnreachable(error)
        ? undefined
        : await readStatus(asked.target, asked).catch(() => undefined);
    showFailure(terminal, error, status === undefined ? {} : document(status));
    return exitCodeOf(error);
  }
}

interface Shown {
  readonly terminal: Terminal;
  readonly display: RunDisplay;
  readonly signal: AbortSignal;
  readonly wait: boolean;
}

async function migrate(asked: Asked, { terminal, display, signal, wait }: Shown): Promise<number> {
  const request = {
    ...asked,
    deadline: undefined,
    report: display.report,
    signal,
    patienceSeconds: PATIENCE_SECONDS,
  };
  let result: RunResult;
  let failure: unknown;
  try {
    result = await runMigrations(request);
  } catch (error) {
    signal.throwIfAborted();
    if (isUnreachable(error)) throw error;
    // Builds of earlier steps wait for nobody, also not for a later step that failed.
    failure = error;
    result = { runId: '', outcome: 'done', applied: [], builds: [], waiting: undefined };
    const { builds } = await readStatus(asked.target, asked);
    if (!builds.some(isOpen)) throw error;
  }
  const open = failure !== undefined || result.builds.some(isOpen);
  const settled = open && wait ? await runLoop(request) : undefined;
  display.stop();
  const status = await readStatus(asked.target, asked);
  if (failure !== undefined) {
    showFailure(terminal, failure, document(status));
    return exitCode.failed;
  }
  const unfinished =
    status.builds.some(isOpen) ||
    status.migrations.some(({ state }) => state === 'pending' || state === 'partial');
  const failed = settled?.outcome === 'failed' || status.builds.some(({ state }) => state === 'failed');
  summarize(terminal, { result, status, message: settled?.message ?? '' });
  if (terminal.json)
    terminal.document({ ok: !failed && !unfinished, ...document(status), waiting: result.waiting ?? null });
  return failed ? exitCode.failed : unfinished ? exitCode.unfinished : exitCode.done;
}

function summarize(
  terminal: Terminal,
  { result, status, message }: { result: RunResult; status: Status; message: string },
): void {
  const { green, red } = terminal.colors;
  if (message !== '') {
    terminal.line(red(message));
    return;
  }
  const handedOff = status.builds.filter(isOpen).length;
  if (result.applied.length === 0 && handedOff === 0) terminal.line(green('Nothing to do.'));
  else if (handedOff > 0)
    terminal.line(
      `${handedOff} index build${handedOff === 1 ? '' : 's'} left to do: run up again without --no-wait.`,
    );
  else
    terminal.line(
      green(
        `Done: ${new Set(result.applied.map(({ migration }) => migration.name)).size} migrations applied, every index valid.`,
      ),
    );
}

function document({ migrations, builds }: Status) {
  return { migrations, builds: builds.map(buildDocument) };
}

function interrupted(terminal: Terminal, error: Interrupted): number {
  const next =
    'Stopped. What is applied stays; a statement under way was rolled back; index builds under way go on in the database where their session allows. Run up again: it continues from here.';
  terminal.errorLine(next);
  if (terminal.json)
    terminal.document({
      ok: false,
      error: { ...errorDocument(asMigrationError(error)), code: 'interrupted', what: error.message, next },
    });
  return error.exitCode;
}

function isUnreachable(error: unknown): boolean {
  return error instanceof MigrationError && error.code === 'database-unreachable';
}

function isOpen({ state }: { readonly state: string }): boolean {
  return state === 'pending' || state === 'building';
}
