import { Command } from 'commander';
import { exitCode } from './cli/exit-code.ts';
import { addNew } from './cli/new.ts';
import { addStatus } from './cli/status.ts';
import { addUp } from './cli/up.ts';

/** The command line: the same code as the Lambda, against any database, without AWS. */
const program = new Command('migrate')
  .description(
    'Runs migrations and builds their indexes: the same code as the deployed functions, without AWS.',
  )
  .showHelpAfterError('(--help shows what is possible)')
  .configureHelp({ showGlobalOptions: true })
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : exitCode.usage);
  });

for (const add of [addUp, addStatus, addNew]) add(program);

await program.parseAsync();
