import type { Command } from 'commander';
import {
  DATABASE_HELP,
  type DatabaseFlags,
  withDatabaseFlags,
  withDeployedFlags,
  withJson,
  withRunFlags,
} from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { answered } from './failure.ts';
import { placeOf } from './place-of.ts';
import { planMarkdown } from './plan-markdown.ts';
import { planView } from './plan-view.ts';
import { Terminal } from './terminal.ts';

interface PlanFlags extends DatabaseFlags {
  readonly markdown?: boolean;
}

export function addPlan(program: Command): void {
  withJson(withRunFlags(withDeployedFlags(withDatabaseFlags(program.command('plan')))))
    .description(
      'show what up would do to this database: steps, locks, sizes, what waits for what; writes nothing',
    )
    .option('--markdown', 'for a comment on a pull request')
    .addHelpText(
      'after',
      `${DATABASE_HELP}

Exit codes:
  0  nothing is pending
  1  a run would stop before it touches anything, or the plan could not be made
  2  the command itself is wrong
  3  something is pending

Example:
  npx cdk-postgres-migrations plan --markdown > comment.md`,
    )
    .action(async (flags: PlanFlags) => {
      process.exitCode = await plan(flags);
    });
}

async function plan(flags: PlanFlags): Promise<ExitCode> {
  const terminal = new Terminal({ json: flags.json === true });
  return answered(terminal, async () => {
    const place = await placeOf(flags);
    const planned = await place.plan();
    const pending = planned.files.length > 0;
    if (terminal.json) terminal.document({ ok: planned.refused === undefined, ...planned });
    else if (flags.markdown === true) terminal.line(planMarkdown(planned).trimEnd());
    else {
      terminal.line(terminal.colors.dim(place.description));
      terminal.line(planView(planned, terminal.colors));
    }
    if (planned.refused !== undefined) return exitCode.failed;
    return pending ? exitCode.unfinished : exitCode.done;
  });
}
