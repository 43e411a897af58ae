import type { Command } from 'commander';
import { type ChangeFlags, change } from './change.ts';
import {
  DATABASE_HELP,
  withDatabaseFlags,
  withDeployedFlags,
  withJson,
  withRunFlags,
} from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { interruptible } from './interruption.ts';
import type { Place } from './place.ts';
import { RunDisplay } from './run-display.ts';
import type { Terminal } from './terminal.ts';
import { UpRecord } from './up-record.ts';

interface RetryFlags extends ChangeFlags {
  readonly wait: boolean;
}

export function addRetry(program: Command): void {
  withJson(withRunFlags(withDeployedFlags(withDatabaseFlags(program.command('retry')))))
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
  npx cdk-postgres-migrations retry
  npx cdk-postgres-migrations retry idx_messages_user_created`,
    )
    .action(async (index: string | undefined, flags: RetryFlags) => {
      const then = flags.wait ? build : undefined;
      process.exitCode = await change({ flags, event: { action: 'retry', index }, ...(then && { then }) });
    });
}

/** Until every build is over. */
async function build(place: Place, terminal: Terminal): Promise<ExitCode> {
  const display = new RunDisplay(terminal);
  try {
    const wrong = await interruptible((signal) => place.build({ display, record: new UpRecord(), signal }));
    if (wrong === undefined) return exitCode.done;
    terminal.errorLine(wrong);
    return exitCode.failed;
  } finally {
    display.stop();
  }
}
