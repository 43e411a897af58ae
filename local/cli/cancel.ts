import type { Command } from 'commander';
import { CHANGE_EXIT_CODES, type ChangeFlags, change } from './change.ts';
import { DATABASE_HELP, withDatabaseFlags, withDeployedFlags, withJson } from './database-options.ts';

export function addCancel(program: Command): void {
  withJson(withDeployedFlags(withDatabaseFlags(program.command('cancel'))))
    .argument('<index>', 'name of the index, with or without its schema')
    .description('stop an index build, and drop what it leaves; retry builds it')
    .addHelpText('after', `${DATABASE_HELP}\n${CHANGE_EXIT_CODES}`)
    .action(async (index: string, flags: ChangeFlags) => {
      process.exitCode = await change({ flags, event: { action: 'cancel', index } });
    });
}
