import * as v from 'valibot';
import { functionContext } from './aws/function-context.ts';
import { publicError } from './aws/public-error.ts';
import { flushTelemetry, report, reportRunEnd } from './aws/telemetry.ts';
import { traced } from './aws/tracing.ts';
import { attendTables } from './loop/attend-tables.ts';
import { branchOf } from './loop/branch.ts';
import { MigrationError } from './migration/migration-error.ts';
import { newestBuild, tablesWithBuilds } from './postgres/ledger/build-queue.ts';
import { withSession } from './postgres/session/connect.ts';
import { resume } from './run/resume.ts';
import type { BranchResult, ResumeResult, SettleResult, TablesResult, TurnResult } from './work/loop-task.ts';
import { settle } from './work/turn/settle.ts';
import { takeTurn } from './work/turn/turn.ts';

const tableSchema = v.object({ schema: v.string(), table: v.string() });

const loopTask = v.variant('task', [
  v.object({ task: v.literal('tables') }),
  v.object({
    task: v.literal('turn'),
    tables: v.optional(v.array(tableSchema)),
    newest: v.optional(v.string()),
    /** From an execution that started before a deploy, and continues with the old machine: one table per branch. */
    table: v.optional(tableSchema),
    turn: v.number(),
  }),
  v.object({ task: v.literal('resume') }),
  v.object({
    task: v.literal('settle'),
    execution: v.string(),
    // An execution that started before a deploy continues with the old state machine.
    startedAt: v.optional(
      v.pipe(
        v.string(),
        v.isoTimestamp(),
        v.transform((text) => new Date(text)),
      ),
    ),
  }),
]);

const LOOP = { kind: 'loop', actor: 'index-build loop' } as const;

interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

/**
 * One task of the loop:
 * 1. `tables`: which tables have builds that are not over;
 * 2. `turn`: for each table of a branch, observe its next build, decide, act; start what follows from it;
 * 3. `resume`: apply the migrations that waited for builds;
 * 4. `settle`: report what became of them all.
 * An error is thrown, and retried by the state machine; an outcome is returned.
 */
export async function handler(
  event: unknown,
  context: LambdaContext,
): Promise<TablesResult | BranchResult | TurnResult | ResumeResult | SettleResult> {
  const parsed = v.safeParse(loopTask, event);
  if (!parsed.success) {
    throw new MigrationError({
      code: 'task-invalid',
      what: `This is not a task of the index-build loop: ${v.summarize(parsed.issues).replaceAll('\n', '; ')}.`,
      next: 'start the state machine, which calls this function; operators invoke the migrator function instead.',
    });
  }
  try {
    return await traced(parsed.output.task, () => perform(parsed.output, context));
  } catch (error) {
    throw publicError(error);
  } finally {
    await flushTelemetry(context);
  }
}

/** An execution's state is limited to 256 KiB; the next round of the loop finds the other tables. */
const MOST_TABLES = 1_000;

async function perform(
  task: v.InferOutput<typeof loopTask>,
  context: LambdaContext,
): Promise<TablesResult | BranchResult | TurnResult | ResumeResult | SettleResult> {
  const { target, options, migrations, deadline } = await functionContext(context.getRemainingTimeInMillis());
  switch (task.task) {
    case 'tables':
      return withSession(target, async (session) => {
        // Read first, so that a build handed off in between is found twice rather than not at all.
        const newest = await newestBuild(session, options.ledgerSchema);
        const tables = await tablesWithBuilds(session, options.ledgerSchema);
        return { tables: tables.slice(0, MOST_TABLES), newest };
      });
    case 'turn': {
      const { turn, table, tables, newest } = task;
      if (tables === undefined || newest === undefined) {
        if (table === undefined) return { outcome: 'done', waitSeconds: 0, turn };
        return takeTurn({ table, turn, migrations, target, options, deadline, report });
      }
      const request = { migrations, target, options, deadline, cause: LOOP, report };
      return attendTables(branchOf(request, { tables, newest, turn }, (end) => reportRunEnd(LOOP, end)));
    }
    case 'resume': {
      const request = { migrations, target, options, deadline, cause: LOOP, report };
      return resume(request, (end) => reportRunEnd(LOOP, end));
    }
    case 'settle':
      return withSession(target, (session) =>
        settle(session, options.ledgerSchema, { startedAt: task.startedAt, rows: options.rowValuesInLogs }),
      );
    default:
      return task satisfies never;
  }
}
