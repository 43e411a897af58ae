import { type Command, Option } from 'commander';
import { CHANGE_EXIT_CODES, type ChangeFlags, change, withConfirm } from './change.ts';
import { DATABASE_HELP } from './database-options.ts';

interface RepairFlags extends ChangeFlags {
  readonly acceptChecksum?: boolean;
  readonly step?: string;
  readonly as?: string;
  readonly applied?: boolean;
  readonly notApplied?: boolean;
  readonly continueAt?: string;
  readonly forget?: boolean;
}

export function addRepair(program: Command): void {
  withConfirm(program.command('repair'))
    .argument('<version>', 'version of the migration')
    .description('make the ledger agree with what you know to be true; touches no table of yours')
    .option('--accept-checksum', 'the file as it is now is what was applied')
    .option('--step <number>', 'with --as: a step that was under way when its run died')
    .addOption(new Option('--as <state>', 'what became of that step').choices(['applied', 'not-applied']))
    .option('--applied', "what another tool's history leaves open was applied")
    .option('--not-applied', 'it was not: the next up applies it')
    .option('--continue-at <step>', 'its steps before this one were applied')
    .option('--forget', 'it was never applied: the next up applies it')
    .addHelpText(
      'after',
      `${DATABASE_HELP}
${CHANGE_EXIT_CODES}

Examples:
  npx cdk-postgres-migrations repair 0007 --accept-checksum --confirm
  npx cdk-postgres-migrations repair 0007 --step 2 --as applied --confirm
  npx cdk-postgres-migrations repair 0007 --applied --confirm
  npx cdk-postgres-migrations repair 0007 --forget --confirm`,
    )
    .action(async (version: string, flags: RepairFlags) => {
      process.exitCode = await change({
        flags,
        event: {
          action: 'repair',
          version,
          accept: flags.acceptChecksum === true ? 'checksum' : undefined,
          step: flags.step === undefined ? undefined : Number(flags.step),
          as:
            flags.as ??
            (flags.applied === true ? 'applied' : flags.notApplied === true ? 'not-applied' : undefined),
          continueAt: flags.continueAt === undefined ? undefined : Number(flags.continueAt),
          forget: flags.forget === true ? true : undefined,
        },
      });
    });
}
