import type { Session } from '../session/session.ts';
import { workTable } from './ledger-format.ts';

/** Median speed of this database's own builds, in bytes of table per second; undefined where none was measured. */
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
