import * as v from 'valibot';
import type { RelationName } from '../migration/relation-name.ts';
import { quoteRelation } from './quote.ts';
import type { Session } from './session.ts';

/** A session that a lock request or a build waits for. */
export interface Blocker {
  readonly pid: number;
  readonly user: string;
  readonly application: string;
  /** `idle in transaction`, `active`, …; `unknown` where Postgres hides it from our role. */
  readonly state: string;
  /** Age of its transaction, or of its session where the transaction is hidden. */
  readonly seconds: number;
  readonly lock: string;
  readonly relation: string;
}

export const blockerColumn = v.object({
  pid: v.number(),
  user: v.nullish(v.string(), 'unknown'),
  application: v.nullish(v.string(), ''),
  state: v.nullish(v.string(), 'unknown'),
  seconds: v.nullish(v.number(), 0),
  lock: v.string(),
  relation: v.string(),
});

const blockerRows = v.array(blockerColumn);

/** Who holds locks on these relations, oldest transaction first. Their query texts stay with them. */
export async function lockHolders(session: Session, relations: readonly RelationName[]): Promise<Blocker[]> {
  const rows = await session.query(
    `select a.pid, a.usename as user, a.application_name as application, a.state,
            extract(epoch from pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8 as seconds,
            pg_catalog.string_agg(distinct l.mode, ', ') as lock,
            pg_catalog.min(l.relation::regclass::text) as relation
       from pg_catalog.pg_locks l
       join pg_catalog.pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'relation' and l.granted
        and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
        and l.relation in (select pg_catalog.to_regclass(name) from pg_catalog.unnest($1::text[]) as asked (name))
        and l.pid <> pg_catalog.pg_backend_pid()
      group by a.pid, a.usename, a.application_name, a.state, a.xact_start, a.backend_start
      order by seconds desc
      limit 10`,
    [relations.map(quoteRelation)],
  );
  return v.parse(blockerRows, rows);
}

/** `pid 4711 (app, "web", idle in transaction for 312 s, AccessShareLock on messages)` */
export function describeBlocker({ pid, user, application, state, seconds, lock, relation }: Blocker): string {
  const name = application === '' ? user : `${user}, "${application}"`;
  return `pid ${pid} (${name}, ${state} for ${Math.round(seconds)} s, ${lock} on ${relation})`;
}
