import type { Command } from 'commander';
import { type ChangeFlags, change } from './change.ts';
import { type Asked, DATABASE_HELP, withDatabaseFlags, withJson, withRunFlags } from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { runLoop } from './in-process-loop.ts';
import { interruptible } from './interruption.ts';
import { RunDisplay } from './run-display.ts';
import type { Terminal } from './terminal.ts';

interface RetryFlags extends ChangeFlags {
  readonly wait: boolean;
}

export function addRetry(program: Command): void {
  withJson(withRunFlags(withDatabaseFlags(program.command('retry'))))
    .argument('[index]', 'name of the index, with or without its schema; all without it')
    .description('give failed and cancelled index builds their attempts back, and build them')
    .option('--no-wait', 'leave the builds to the next up, or to the deployed loop')
    .addHelpText(
      'after',
      `${DATABASE_HELP}

Exit codes:
  0  every index build is valid, or, with --no-wait, is to be tried again
  1  a build failed again, or there is none of that name
  2  the command itself is wrong

Examples:
  npm run migrate -- retry
  npm run migrate -- retry idx_messages_user_created`,
    )
    .action(async (index: string | undefined, flags: RetryFlags) => {
      const then = flags.wait ? build : undefined;
      process.exitCode = await change({ flags, event: { action: 'retry', index }, ...(then && { then }) });
    });
}

/** The loop in this process, until every build is over. */
async function build(asked: Asked, terminal: Terminal): Promise<ExitCode> {
  const display = new RunDisplay(terminal);
  try {
    const settled = await interruptible((signal) =>
      runLoop({ ...asked, deadline: undefined, signal, report: display.report }),
    );
    if (settled.outcome === 'valid') return exitCode.done;
    terminal.errorLine(settled.message);
    return exitCode.failed;
  } finally {
    display.stop();
  }
}
