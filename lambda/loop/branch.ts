import type { Ledger } from '../migration/ledger.ts';
import type { CompiledMigrations } from '../migration/migration.ts';
import { DriftError, type Plan, plan } from '../migration/plan.ts';
import { waitsOf } from '../migration/waiting.ts';
import { type UnattendedTable, unattendedTables } from '../postgres/ledger/build-queue.ts';
import { readLedger } from '../postgres/ledger/ledger.ts';
import { failedSinceLastBuild } from '../postgres/ledger/run-rows.ts';
import { withSession } from '../postgres/session/connect.ts';
import { resume } from '../run/resume.ts';
import type { RunEnd, RunRequest } from '../run/run.ts';
import type { BuildTable } from '../work/loop-task.ts';
import { tablesBuilding } from '../work/turn/build-slots.ts';
import { takeTurn } from '../work/turn/turn.ts';
import type { TurnEvent } from '../work/turn/turn-request.ts';
import type { Attending } from './attend-tables.ts';

export interface BranchRequest extends Omit<RunRequest, 'report'> {
  readonly report: (event: Parameters<RunRequest['report']>[0] | TurnEvent) => void;
}

interface Branch {
  readonly tables: readonly BuildTable[];
  readonly newest: string;
  readonly turn: number;
}

/** With less time left, builds start in a fresh invocation: an attached build needs all the time there is. */
const LATE_MILLISECONDS = 120_000;

/** A branch of the loop, on a real database. */
export function branchOf(
  request: BranchRequest,
  { tables, newest, turn }: Branch,
  heard: (end: RunEnd) => void,
): Attending {
  const { migrations, target, options, deadline, report } = request;
  // Later in this invocation a rollback may have replaced the code that it has.
  let isFirstLook = true;
  return {
    tables,
    turn,
    turnOf: (table, { ended, yields }) =>
      takeTurn({
        table,
        yields,
        turn,
        migrations,
        target,
        options,
        deadline,
        report: (event) => {
          report(event);
          if (event.kind === 'ended') ended();
        },
      }),
    resume: async () => {
      const first = isFirstLook;
      isFirstLook = false;
      if (!(await isResumable(request))) return 'done';
      if (!first) return 'later';
      await resume(request, heard);
      return 'done';
    },
    unattended: async () => (await unattendedNow(request, newest)).map(({ table }) => table),
    isLate: () => deadline !== undefined && deadline - Date.now() < LATE_MILLISECONDS,
  };
}

/** Tables that no branch attends to, and that have a slot to build in or need none. */
export async function unattendedNow(
  { target, options }: BranchRequest,
  newest: string,
): Promise<UnattendedTable[]> {
  const { ledgerSchema, maxConcurrentTables } = options;
  return withSession(target, async (session) => {
    const found = await unattendedTables(session, ledgerSchema, newest);
    if (found.length === 0) return [];
    let free = maxConcurrentTables - (await tablesBuilding(session, ledgerSchema));
    return found.filter(({ needsSlot }) => !needsSlot || free-- > 0);
  });
}

/** Undefined where newer code wrote the ledger, as after a rollback: the end of the loop deals with that. */
function planOf({ migrations, order }: CompiledMigrations, ledger: Ledger): Plan | undefined {
  try {
    return plan(migrations, ledger, order);
  } catch (error) {
    if (error instanceof DriftError) return undefined;
    throw error;
  }
}

/**
 * Whether the next step can run now. A run that failed since the last build became valid would fail again; it is tried
 * once more when everything has ended.
 */
export async function isResumable({ target, options, migrations }: BranchRequest): Promise<boolean> {
  return withSession(target, async (session) => {
    const { ledger } = await readLedger(session, options.ledgerSchema);
    const planned = planOf(migrations, ledger);
    const [next] = planned?.pending ?? [];
    if (planned === undefined || next === undefined || waitsOf(next, planned.builds).length > 0) return false;
    return !(await failedSinceLastBuild(session, options.ledgerSchema));
  });
}
