import type { Command } from 'commander';
import { planRun } from '../../lambda/foresight/plan-run.ts';
import {
  ask,
  DATABASE_HELP,
  type DatabaseFlags,
  describeTarget,
  exitCodeOf,
  withDatabaseFlags,
  withJson,
  withRunFlags,
} from './database-options.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { showFailure } from './failure.ts';
import { planMarkdown } from './plan-markdown.ts';
import { planView } from './plan-view.ts';
import { Terminal } from './terminal.ts';

interface PlanFlags extends DatabaseFlags {
  readonly markdown?: boolean;
}

export function addPlan(program: Command): void {
  withJson(withRunFlags(withDatabaseFlags(program.command('plan'))))
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
  npm run --silent migrate -- plan --markdown > comment.md`,
    )
    .action(async (flags: PlanFlags) => {
      process.exitCode = await plan(flags);
    });
}

async function plan(flags: PlanFlags): Promise<ExitCode> {
  const terminal = new Terminal({ json: flags.json === true });
  try {
    const asked = await ask(flags);
    const planned = await planRun(asked.target, asked);
    const pending = planned.files.length > 0;
    if (terminal.json) terminal.document({ ok: planned.refused === undefined, ...planned });
    else if (flags.markdown === true) terminal.line(planMarkdown(planned).trimEnd());
    else {
      terminal.line(terminal.colors.dim(describeTarget(asked)));
      terminal.line(planView(planned, terminal.colors));
    }
    if (planned.refused !== undefined) return exitCode.failed;
    return pending ? exitCode.unfinished : exitCode.done;
  } catch (error) {
    showFailure(terminal, error);
    return exitCodeOf(error);
  }
}
