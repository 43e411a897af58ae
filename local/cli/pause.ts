import type { Command } from 'commander';
import { CHANGE_EXIT_CODES, type ChangeFlags, change } from './change.ts';
import { DATABASE_HELP, withDatabaseFlags, withDeployedFlags, withJson } from './database-options.ts';

export function addPause(program: Command): void {
  withJson(withDeployedFlags(withDatabaseFlags(program.command('pause'))))
    .argument('[name]', 'name of the index, the constraint, the columns that are filled; all without it')
    .description('hold work that has not begun, and backfills; resume goes on with them')
    .addHelpText('after', `${DATABASE_HELP}\n${CHANGE_EXIT_CODES}`)
    .action(async (index: string | undefined, flags: ChangeFlags) => {
      process.exitCode = await change({ flags, event: { action: 'pause', index } });
    });
}

export function addResume(program: Command): void {
  withJson(withDeployedFlags(withDatabaseFlags(program.command('resume'))))
    .argument('[name]', 'as of pause; all without it')
    .description('go on with what is paused: the deployed loop, or the next up, does it')
    .addHelpText('after', `${DATABASE_HELP}\n${CHANGE_EXIT_CODES}`)
    .action(async (index: string | undefined, flags: ChangeFlags) => {
      process.exitCode = await change({ flags, event: { action: 'resume', index } });
    });
}
