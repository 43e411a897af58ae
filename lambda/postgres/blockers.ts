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

/** A session that holds locks on a relation. */
export interface LockHolder extends Blocker {
  /** Which of the relations that were asked about. */
  readonly asked: number;
  /** Since its last statement ended, where it is idle in its transaction and our role may see that. */
  readonly idleSeconds: number;
  /** Tells one transaction of a session from the next, also where Postgres hides their ages. */
  readonly transaction: string;
  /** A process of the server's own: autovacuum. */
  readonly background: boolean;
}

const holderRows = v.array(
  v.object({
    ...blockerColumn.entries,
    asked: v.number(),
    idleSeconds: v.nullish(v.number(), 0),
    transaction: v.string(),
    background: v.boolean(),
  }),
);

/** Who holds locks on these relations, oldest transaction first. Their query texts stay with them. */
export async function lockHolders(
  session: Session,
  relations: readonly RelationName[],
  most = 10,
): Promise<LockHolder[]> {
  const rows = await session.query(
    `select a.pid, a.usename as user, a.application_name as application, a.state,
            extract(epoch from pg_catalog.clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8 as seconds,
            case when a.state like 'idle in transaction%'
                 then extract(epoch from pg_catalog.clock_timestamp() - a.state_change)::float8 end as "idleSeconds",
            a.usesysid is null as background,
            l.virtualtransaction as transaction,
            pg_catalog.string_agg(distinct l.mode, ', ') as lock,
            l.relation::regclass::text as relation,
            (pg_catalog.min(asked.number) - 1)::int as asked
       from pg_catalog.unnest($1::text[]) with ordinality as asked (name, number)
       join pg_catalog.pg_locks l on l.relation = pg_catalog.to_regclass(asked.name)
       join pg_catalog.pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'relation' and l.granted
        and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
        and l.pid <> pg_catalog.pg_backend_pid()
      group by a.pid, a.usename, a.application_name, a.state, a.xact_start, a.backend_start, a.state_change,
               a.usesysid, l.virtualtransaction, l.relation
      order by seconds desc, a.pid, asked
      limit $2`,
    [relations.map(quoteRelation), most],
  );
  return v.parse(holderRows, rows);
}

/** `pid 4711 (app, "web", idle in transaction for 312 s, AccessShareLock on messages)` */
export function describeBlocker({ pid, user, application, state, seconds, lock, relation }: Blocker): string {
  const name = application === '' ? user : `${user}, "${application}"`;
  return `pid ${pid} (${name}, ${state} for ${Math.round(seconds)} s, ${lock} on ${relation})`;
}
