import type { Session } from '../session/session.ts';

/** How far a replica may lag behind, in seconds. */
const MOST_LAG_SECONDS = 10;
/** A healthy replica reports every ten seconds (wal_receiver_status_interval). */
const SILENT_SECONDS = 20;

export interface OthersInNeed {
  /** Why the server should be left alone, `reason: more of it`; undefined where nobody is in need. */
  readonly because: string | undefined;
  /** Whether another session is active in this database right now. */
  readonly othersActive: boolean;
}

/** Looks whether others need the server. What our role may not see is no reason to rest. One round trip. */
export async function othersInNeed(session: Session, oid: string): Promise<OthersInNeed> {
  const [row] = await session.query(
    `select (
  select pg_catalog.round(pg_catalog.max(greatest(extract(epoch from r.replay_lag), case
             when r.replay_lsn < pg_catalog.pg_current_wal_lsn()
             then extract(epoch from pg_catalog.clock_timestamp() - r.reply_time) - ${SILENT_SECONDS - MOST_LAG_SECONDS} end)))
    from pg_catalog.pg_stat_replication r where r.state in ('streaming', 'catchup'))::float8 as lag,
  (select pg_catalog.min(s.slot_name) from pg_catalog.pg_replication_slots s
    where s.wal_status in ('extended', 'unreserved')) as slot,
  exists (
    select from pg_catalog.pg_locks l
      join pg_catalog.pg_stat_activity a on a.pid = l.pid
      join pg_catalog.pg_class c on c.oid = l.relation
     where l.relation = $1::oid and l.mode = 'ShareUpdateExclusiveLock' and a.usesysid is null
       and pg_catalog.age(c.relfrozenxid) > coalesce(
             (select o.option_value from pg_catalog.pg_options_to_table(c.reloptions) o
               where o.option_name = 'autovacuum_freeze_max_age'),
             pg_catalog.current_setting('autovacuum_freeze_max_age'))::int) as wraparound,
  exists (select from pg_catalog.pg_stat_activity a
           where a.datname = pg_catalog.current_database() and a.pid <> pg_catalog.pg_backend_pid()
             and coalesce(a.backend_type, 'client backend') = 'client backend'
             and coalesce(a.state, 'active') <> 'idle') as active`,
    [oid],
  );
  return { because: row && reasonIn(row), othersActive: row?.active === true };
}

function reasonIn({ lag, slot, wraparound }: Readonly<Record<string, unknown>>): string | undefined {
  if (typeof lag === 'number' && lag > MOST_LAG_SECONDS) return `replica lag: a replica is ${lag} s behind`;
  if (typeof slot === 'string') return `WAL behind a slot: it piles up behind the replication slot ${slot}`;
  if (wraparound === true) return 'wraparound: autovacuum works on the table to prevent it';
  return undefined;
}

/**
 * Whether another session waits for one of our locks on the table or its rows; run it in the transaction that holds them,
 * under any search path.
 */
export function isAwaited(oid: string): string {
  const transactions = `select h.transactionid from pg_catalog.pg_locks h
           where h.pid operator(pg_catalog.=) pg_catalog.pg_backend_pid() and h.granted and h.transactionid is not null`;
  return `select exists (
  select from pg_catalog.pg_locks w
   where not w.granted and (w.relation operator(pg_catalog.=) ${oid}::pg_catalog.oid
      or w.transactionid operator(pg_catalog.=) any (${transactions})))::pg_catalog.text as awaited`;
}
