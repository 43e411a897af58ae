import { quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';

/** First half of our advisory lock keys, so that they do not collide with an application's. */
const RUN_LOCK = 1_836_279_411;
const TABLE_LOCK = 1_836_279_412;

/**
 * The run lock: one run at a time for one ledger. It belongs to the session, so a run that dies releases it. It is only
 * *tried*, never waited for: a session that waits in pg_advisory_lock holds a snapshot, for which every concurrent
 * index build in the database waits.
 */
export function tryRunLock(ledgerSchema: string): string {
  return `select pg_catalog.pg_try_advisory_lock(${RUN_LOCK}, pg_catalog.hashtext(${quoteLiteral(ledgerSchema)})) as locked, pg_catalog.pg_backend_pid() as backend`;
}

export function releaseRunLock(ledgerSchema: string): string {
  return `select pg_catalog.pg_advisory_unlock(${RUN_LOCK}, pg_catalog.hashtext(${quoteLiteral(ledgerSchema)}))`;
}

/** Process that holds the run lock; undefined if it is free, or was just released. */
export async function runLockHolder(session: Session, ledgerSchema: string): Promise<number | undefined> {
  const rows = await session.query(
    `select pid
       from pg_catalog.pg_locks
      where locktype = 'advisory' and granted and objsubid = 2
        and database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
        and classid = ${RUN_LOCK}::oid and objid = (pg_catalog.hashtext($1)::bigint & 4294967295)::oid`,
    [ledgerSchema],
  );
  const pid = rows[0]?.pid;
  return typeof pid === 'number' ? pid : undefined;
}

/** The table lock: one turn at a time for one table. Released as soon as the turn has acted. */
export async function tryTableLock(
  session: Session,
  table: { schema: string; table: string },
): Promise<boolean> {
  const rows = await session.query(
    `select pg_catalog.pg_try_advisory_lock(${TABLE_LOCK}, pg_catalog.hashtext($1)) as locked`,
    [tableLockName(table)],
  );
  return rows[0]?.locked === true;
}

export async function releaseTableLock(
  session: Session,
  table: { schema: string; table: string },
): Promise<void> {
  await session.query(`select pg_catalog.pg_advisory_unlock(${TABLE_LOCK}, pg_catalog.hashtext($1))`, [
    tableLockName(table),
  ]);
}

function tableLockName({ schema, table }: { schema: string; table: string }): string {
  return `${schema}.${table}`;
}
