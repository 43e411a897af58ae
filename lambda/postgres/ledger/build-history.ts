import { quoteIdentifier } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { LEDGER_FORMAT, workTable } from './ledger-format.ts';

/** Median speed of this database's own builds, in bytes of table per second; undefined without one. */
export async function buildRate(
  session: Session,
  ledgerSchema: string,
  format?: number,
): Promise<number | undefined> {
  const [row] = await session.query(
    `select pg_catalog.percentile_cont(0.5) within group (
              order by table_bytes::numeric / greatest(0.1, extract(epoch from finished_at - first_started_at)))::float8 as rate
       from ${workTable(ledgerSchema, format)}
      where state = 'done' and not adopted and operation = 'create' and table_bytes > 0
        and first_started_at is not null`,
  );
  return typeof row?.rate === 'number' ? row.rate : undefined;
}

/** Medians of this database's own backfills; undefined without one. */
export interface FillRate {
  /** Time spent in batches. */
  readonly millisecondsPerRow: number | undefined;
  /** From start to end, including pauses. */
  readonly secondsPerRow: number | undefined;
}

export async function fillRate(session: Session, ledgerSchema: string, format: number): Promise<FillRate> {
  const none = { millisecondsPerRow: undefined, secondsPerRow: undefined };
  if (format < LEDGER_FORMAT) return none;
  const [row] = await session.query(
    `select pg_catalog.percentile_cont(0.5) within group (order by milliseconds::float8 / walked) as batch,
            pg_catalog.percentile_cont(0.5) within group (
              order by extract(epoch from noted_at - started_at)::float8 / walked) as whole
       from ${quoteIdentifier(ledgerSchema)}.backfill where done and walked > 0`,
  );
  if (typeof row?.batch !== 'number' || typeof row.whole !== 'number') return none;
  return { millisecondsPerRow: row.batch, secondsPerRow: row.whole };
}
