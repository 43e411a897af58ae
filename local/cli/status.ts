import type { Command } from 'commander';
import { isOpen } from '../../lambda/migration/build.ts';
import type { Status } from '../../lambda/status/status.ts';
import { buildDocument, needsPerson } from './build-lines.ts';
import {
  DATABASE_HELP,
  type DatabaseFlags,
  withDatabaseFlags,
  withDeployedFlags,
  withJson,
} from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { answered } from './failure.ts';
import { placeOf } from './place-of.ts';
import { statusView } from './status-view.ts';
import { Terminal } from './terminal.ts';

interface StatusFlags extends DatabaseFlags {
  readonly all?: boolean;
}

export function addStatus(program: Command): void {
  withJson(withDeployedFlags(withDatabaseFlags(program.command('status'))))
    .description('show what is applied, what is pending, and how far the index builds are; writes nothing')
    .option('--all', 'list also what is long applied and built, and all of what earlier runs failed with')
    .addHelpText(
      'after',
      `${DATABASE_HELP}

Exit codes:
  0  every migration is applied and every index build is valid
  1  something needs a person: a build failed or was cancelled, a file changed;
     or the status could not be read
  2  the command itself is wrong
  3  something is pending or under way

Examples:
  npx cdk-postgres-migrations status
  npx cdk-postgres-migrations status --stack Shop --profile production
  npx cdk-postgres-migrations status --json | jq '.builds[].progress'`,
    )
    .action(async (flags: StatusFlags) => {
      process.exitCode = await status(flags);
    });
}

async function status(flags: StatusFlags): Promise<ExitCode> {
  const terminal = new Terminal({ json: flags.json === true });
  return answered(terminal, async () => {
    const place = await placeOf(flags);
    const seen = await place.status();
    const code = verdict(seen);
    if (terminal.json) terminal.document({ ok: code === exitCode.done, ...statusDocument(seen) });
    else {
      const { colors } = terminal;
      terminal.line(colors.dim(place.description));
      terminal.line();
      terminal.line(statusView(seen, { colors, all: flags.all === true, now: Date.now() }));
    }
    return code;
  });
}

function statusDocument({ migrations, builds, runs, lastRun }: Status): object {
  return { migrations, builds: builds.map(buildDocument), runs, lastRun: lastRun ?? null };
}

function verdict({ migrations, builds }: Status): ExitCode {
  const has = (...states: string[]) => migrations.some(({ state }) => states.includes(state));
  if (has('failed', 'changed') || builds.some(needsPerson)) return exitCode.failed;
  if (has('pending', 'partial', 'building') || builds.some(isOpen)) return exitCode.unfinished;
  return exitCode.done;
}
