import type { Session } from '../postgres/session/session.ts';

/** A replica may be so far behind, in seconds, before a backfill rests. */
const MOST_LAG_SECONDS = 10;

export interface Rest {
  /** Why the backfill should rest; undefined where nobody is in need. */
  readonly because: string | undefined;
  /** Somebody else works in this database right now. */
  readonly othersActive: boolean;
}

/** Looks who else needs the server. What our role may not see is no reason to rest. One round trip. */
export async function restBecause(session: Session, oid: string): Promise<Rest> {
  const { rows, fault } = await session.script(
    `select coalesce((
  select pg_catalog.round(pg_catalog.max(extract(epoch from r.replay_lag)))::pg_catalog.text
    from pg_catalog.pg_stat_replication r
   where r.state operator(pg_catalog.=) 'streaming'::pg_catalog.text
     and extract(epoch from r.replay_lag) operator(pg_catalog.>) ${MOST_LAG_SECONDS}::pg_catalog.numeric), '') as lag,
  coalesce((select s.slot_name::pg_catalog.text from pg_catalog.pg_replication_slots s
             where s.wal_status operator(pg_catalog.=) any (array['extended', 'unreserved']::pg_catalog.text[])
             order by s.slot_name limit 1), '') as slot,
  exists (select from pg_catalog.pg_locks l
           where l.relation operator(pg_catalog.=) ${oid}::pg_catalog.oid and not l.granted
             and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()) as waiting,
  exists (select from pg_catalog.pg_stat_progress_vacuum v
            join pg_catalog.pg_stat_activity a on a.pid operator(pg_catalog.=) v.pid
           where v.relid operator(pg_catalog.=) ${oid}::pg_catalog.oid
             and a.query operator(pg_catalog.~~) '%(to prevent wraparound)'::pg_catalog.text) as wraparound,
  exists (select from pg_catalog.pg_stat_activity a
           where a.datname operator(pg_catalog.=) pg_catalog.current_database()
             and a.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()
             and a.backend_type operator(pg_catalog.=) 'client backend'::pg_catalog.text
             and coalesce(a.state, 'active'::pg_catalog.text) operator(pg_catalog.<>) 'idle'::pg_catalog.text) as active`,
  );
  const row = rows[0]?.[0];
  if (fault !== undefined || row === undefined) return { because: undefined, othersActive: true };
  return { because: reasonIn(row), othersActive: row.active === 't' };
}

function reasonIn(row: Readonly<Record<string, string | null>>): string | undefined {
  if (row.lag) return `a replica is ${row.lag} s behind`;
  if (row.slot) return `WAL piles up behind the replication slot ${row.slot}`;
  if (row.waiting === 't') return 'another session waits for a lock on the table';
  if (row.wraparound === 't') return 'autovacuum works on the table to prevent wraparound';
  return undefined;
}
