import type { Command } from 'commander';
import { CHANGE_EXIT_CODES, type ChangeFlags, change, withConfirm } from './change.ts';
import { DATABASE_HELP } from './database-options.ts';

export function addBaseline(program: Command): void {
  withConfirm(program.command('baseline'))
    .argument('<version>', 'the newest migration that the database already has')
    .description(
      'take every migration up to a version as applied: for a database that is older than its ledger',
    )
    .addHelpText(
      'after',
      `${DATABASE_HELP}
${CHANGE_EXIT_CODES}

Example:
  npx cdk-postgres-migrations baseline 0042 --confirm`,
    )
    .action(async (version: string, flags: ChangeFlags) => {
      process.exitCode = await change({ flags, event: { action: 'baseline', version } });
    });
}
