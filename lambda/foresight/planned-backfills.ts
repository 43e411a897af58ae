import type { Step } from '../migration/migration.ts';
import type { PendingStep } from '../migration/plan.ts';
import { findWalks, type Way } from '../postgres/catalog/walks.ts';
import { type FillRate, fillRate } from '../postgres/ledger/build-history.ts';
import type { Session } from '../postgres/session/session.ts';

/** What a backfill would do. */
export interface BackfillPlan {
  /** An estimate from the planner's statistics. */
  readonly rows: number;
  /** An estimate; absent where this database has done no backfill yet. */
  readonly batches: number | undefined;
  readonly seconds: number | undefined;
  /** `id`, `tenant_id, id`, `blocks of the table`; several where partitions differ. */
  readonly key: string;
  /** Tables or partitions that are walked separately. */
  readonly walks: number;
  /** Why it can't be walked; a run would stop here. */
  readonly refused: string | undefined;
}

/** Looks the walks up in the database as it is; a table that an earlier step creates is new and needs none. */
export async function plannedBackfills(
  session: Session,
  pending: readonly PendingStep[],
  {
    batchSeconds,
    ...ledger
  }: {
    readonly schema: string;
    readonly format: number;
    /** What a batch is to take, where its file does not say it. */
    readonly batchSeconds: number;
  },
): Promise<ReadonlyMap<Step, BackfillPlan>> {
  const plans = new Map<Step, BackfillPlan>();
  let rate: FillRate | undefined;
  for (const { step } of pending) {
    const backfill = step.long?.backfill;
    if (backfill === undefined) continue;
    rate ??= await fillRate(session, ledger.schema, ledger.format);
    const walks = await findWalks(session, { backfill, settings: step.settings }).catch(() => []);
    const found = typeof walks === 'string' ? [] : walks;
    const rows = found.reduce((sum, { estimatedRows }) => sum + estimatedRows, 0);
    const { millisecondsPerRow = Number.NaN, secondsPerRow = Number.NaN } = rate;
    const wanted = backfill.batchMilliseconds ?? batchSeconds * 1000;
    plans.set(step, {
      rows,
      batches: orUndefined(Math.ceil((rows * millisecondsPerRow) / wanted)),
      seconds: orUndefined(rows * secondsPerRow),
      key: [...new Set(found.map(({ way }) => keyOf(way)))].join('; '),
      walks: found.length,
      refused: typeof walks === 'string' ? walks : undefined,
    });
  }
  return plans;
}

function keyOf(way: Way): string {
  return way.kind === 'key' ? way.columns.map(({ name }) => name).join(', ') : 'blocks of the table';
}

function orUndefined(number: number): number | undefined {
  return Number.isNaN(number) ? undefined : number;
}
