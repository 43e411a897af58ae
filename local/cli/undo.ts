import type { Command } from 'commander';
import { CHANGE_EXIT_CODES, type ChangeFlags, change, withConfirm } from './change.ts';
import { DATABASE_HELP } from './database-options.ts';

interface UndoFlags extends ChangeFlags {
  readonly to: string;
}

export function addUndo(program: Command): void {
  withConfirm(program.command('undo'))
    .requiredOption('--to <version>', 'what is applied above this version is undone; 0 for all')
    .description('run the undo files (….down.sql) of applied migrations, the newest first')
    .addHelpText(
      'after',
      `
An undo that fails or dies is continued by the same command.
${DATABASE_HELP}
${CHANGE_EXIT_CODES}

Example:
  npx cdk-postgres-migrations undo --to 0006 --confirm`,
    )
    .action(async (flags: UndoFlags) => {
      process.exitCode = await change({ flags, event: { action: 'undo', to: flags.to } });
    });
}
