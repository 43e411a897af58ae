import Table from 'cli-table3';
import type { Command } from 'commander';
import { readStatus, type Status } from '../../lambda/story/status.ts';
import { buildDocument, describeProgress } from './build-lines.ts';
import {
  ask,
  DATABASE_HELP,
  type DatabaseFlags,
  describeTarget,
  exitCodeOf,
  PATIENCE_SECONDS,
  withDatabaseFlags,
} from './database-options.ts';
import { duration } from './duration.ts';
import { exitCode } from './exit-code.ts';
import { showFailure } from './failure.ts';
import { Terminal } from './terminal.ts';

export function addStatus(program: Command): void {
  withDatabaseFlags(program.command('status'))
    .description('show the ledger and the index builds; writes nothing')
    .addHelpText(
      'after',
      `${DATABASE_HELP}

Exit codes:
  0  all applied, every index valid      1  something failed or was changed
  2  the command is wrong                3  something is pending or under way`,
    )
    .action(async (flags: DatabaseFlags) => {
      process.exitCode = await status(flags);
    });
}

async function status(flags: DatabaseFlags): Promise<number> {
  const terminal = new Terminal({ json: flags.json === true });
  try {
    const asked = await ask(flags);
    const seen = await readStatus(asked.target, { ...asked, patienceSeconds: PATIENCE_SECONDS });
    const code = verdict(seen);
    if (terminal.json) {
      terminal.document({ ok: code === exitCode.done, ...seen, builds: seen.builds.map(buildDocument) });
    } else {
      terminal.line(terminal.colors.dim(describeTarget(asked.target)));
      show(terminal, seen);
    }
    return code;
  } catch (error) {
    showFailure(terminal, error);
    return exitCodeOf(error);
  }
}

function verdict({ migrations, builds }: Status): number {
  const states = new Set<string>(migrations.map(({ state }) => state));
  if (states.has('failed') || states.has('changed') || builds.some(({ state }) => state === 'failed'))
    return exitCode.failed;
  const open = ['pending', 'partial', 'building'].some((state) => states.has(state));
  return open || builds.some(({ state }) => state === 'pending' || state === 'building')
    ? exitCode.unfinished
    : exitCode.done;
}

function show(terminal: Terminal, { migrations, builds, lastRun }: Status): void {
  const { green, red, yellow } = terminal.colors;
  const colour = (state: string) =>
    state === 'applied' || state === 'baselined' || state === 'done'
      ? green(state)
      : state === 'failed' || state === 'changed'
        ? red(state)
        : yellow(state);
  if (migrations.length === 0) terminal.line('No migrations.');
  for (const { name, state } of migrations)
    terminal.line(`${colour(state).padEnd(10 + colour(state).length - state.length)} ${name}`);
  if (builds.length > 0) {
    const table = new Table({
      head: ['index', 'table', 'state', 'time', 'attempts', ''],
      style: { head: [], border: [] },
    });
    for (const build of builds) {
      const detail =
        build.fault !== undefined
          ? `${build.fault.message} (SQLSTATE ${build.fault.sqlstate})`
          : build.progress !== undefined
            ? describeProgress(build.progress)
            : '';
      table.push([
        build.index || 'REINDEX',
        `${build.schema}.${build.table}`,
        colour(build.state),
        build.seconds === undefined ? '' : duration(build.seconds),
        String(build.attempts),
        detail,
      ]);
    }
    terminal.line();
    terminal.line(table.toString());
  }
  if (lastRun !== undefined) {
    const error = lastRun.error === undefined ? '' : `: ${lastRun.error.split('\n')[0]}`;
    terminal.line();
    terminal.line(
      `Last run: ${lastRun.startedAt} by ${lastRun.actor} (${lastRun.cause}), ${lastRun.outcome ?? 'under way or died'}${error}`,
    );
  }
}
