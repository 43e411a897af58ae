import * as v from 'valibot';
import type { RelationName } from '../../migration/relation-name.ts';
import { quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { relationOid } from './relation-oid.ts';
import { withSchemas } from './relation-schemas.ts';

/** A session that a lock request or a build waits for. */
export interface Blocker {
  /** 0 for a prepared transaction, which has no session; `application` then has its name. */
  readonly pid: number;
  readonly user: string;
  readonly application: string;
  /** `idle in transaction`, `active`, `prepared`, …; `unknown` where Postgres hides it from our role. */
  readonly state: string;
  /** Age of its transaction, or of its session where the transaction is hidden. */
  readonly seconds: number;
  readonly lock: string;
  readonly relation: string;
  /** Distinguishes the transactions of a session, even if Postgres hides their ages. */
  readonly transaction?: string | undefined;
}

export const blockerColumn = v.object({
  pid: v.number(),
  user: v.nullish(v.string(), 'unknown'),
  application: v.nullish(v.string(), ''),
  state: v.nullish(v.string(), 'unknown'),
  seconds: v.nullish(v.number(), 0),
  lock: v.string(),
  relation: v.string(),
  transaction: v.nullish(v.string(), ''),
});

/** A row of pg_stat_activity for blockerColumn; all parameters are SQL. */
export function sessionAsBlocker(session: string, lock: string, relation: string): string {
  return `pg_catalog.json_build_object('pid', ${session}.pid, 'user', ${session}.usename,
       'application', ${session}.application_name, 'state', ${session}.state,
       'seconds', extract(epoch from pg_catalog.clock_timestamp()
          - coalesce(${session}.xact_start, ${session}.backend_start))::float8, 'lock', ${lock}, 'relation', ${relation},
       'transaction', (select own.virtualtransaction from pg_catalog.pg_locks own
          where own.pid = ${session}.pid and own.locktype = 'virtualxid' and own.granted limit 1))`;
}

/** A session that holds locks on a relation. */
export interface LockHolder extends Blocker {
  /** Position of the relation in the question. */
  readonly which: number;
  /** Since its last statement ended, if it is idle in its transaction and our role may see that. */
  readonly idleSeconds: number;
  readonly transaction: string;
  /** Whether Postgres hides its age from our role: `seconds` is 0 then. */
  readonly hidden: boolean;
  /** Whether it is a process of the server: autovacuum. */
  readonly background: boolean;
}

const holderRows = v.array(
  v.object({
    ...blockerColumn.entries,
    which: v.number(),
    idleSeconds: v.nullish(v.number(), 0),
    transaction: v.string(),
    hidden: v.boolean(),
    background: v.boolean(),
  }),
);

/**
 * The sessions that hold locks on these relations, oldest transaction first, without their query texts. Names without a
 * schema are resolved for our role. A prepared transaction has no process, but a lock on its own number.
 */
export async function lockHolders(
  session: Session,
  relations: readonly RelationName[],
  most = 10,
): Promise<LockHolder[]> {
  const named = relations.map((relation, which) => ({ relation, which }));
  const found = relations.every(({ schema }) => schema !== undefined)
    ? named
    : await withSchemas(session, named, []);
  const rows = await session.query(
    `select coalesce(a.pid, 0) as pid,
            case when a.pid is null then p.owner when a.usesysid is null then 'autovacuum' else a.usename end as user,
            coalesce(p.gid, a.application_name) as application,
            case when a.pid is null then 'prepared' else a.state end as state,
            extract(epoch from pg_catalog.clock_timestamp()
                      - coalesce(p.prepared, a.xact_start, a.backend_start))::float8 as seconds,
            case when a.pid is null or a.state like 'idle in transaction%'
                 then extract(epoch from pg_catalog.clock_timestamp()
                                - coalesce(p.prepared, a.state_change))::float8 end as "idleSeconds",
            a.pid is not null and a.usesysid is null as background,
            a.usesysid is not null and coalesce(a.xact_start, a.backend_start) is null as hidden,
            l.virtualtransaction as transaction,
            pg_catalog.string_agg(distinct l.mode, ', ') as lock,
            case n.nspname when 'public' then pg_catalog.quote_ident(c.relname)
                           else pg_catalog.format('%I.%I', n.nspname, c.relname) end as relation,
            (pg_catalog.min(asked.number) - 1)::int as which
       from rows from (pg_catalog.unnest($1::text[]), pg_catalog.unnest($3::text[]))
              with ordinality as asked (schema, name, number)
       join pg_catalog.pg_class c on c.oid = ${relationOid('asked.schema', 'asked.name')}
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
       join pg_catalog.pg_locks l on l.relation = c.oid
       left join pg_catalog.pg_stat_activity a on a.pid = l.pid
       left join (pg_catalog.pg_locks own join pg_catalog.pg_prepared_xacts p on p.transaction = own.transactionid)
         on l.pid is null and own.pid is null and own.virtualtransaction = l.virtualtransaction
      where l.locktype = 'relation' and l.granted
        and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
        and l.pid is distinct from pg_catalog.pg_backend_pid()
        and (a.pid is not null or p.gid is not null)
      group by a.pid, a.usename, a.usesysid, a.application_name, a.state, a.xact_start, a.backend_start,
               a.state_change, p.gid, p.owner, p.prepared, l.virtualtransaction, n.nspname, c.relname
      order by seconds desc, a.pid, which
      limit $2`,
    [found.map(({ relation }) => relation.schema), most, found.map(({ relation }) => relation.name)],
  );
  return v.parse(holderRows, rows).map((holder) => ({ ...holder, which: found[holder.which]?.which ?? 0 }));
}

/** Distinguishes the transactions of a session. */
export function blockerKey({ pid, transaction }: Blocker): string {
  return `${pid} ${transaction ?? ''}`;
}

/** A sentence to follow another; empty without blockers. */
export function describeBlockers(blockers: readonly Blocker[]): string {
  return blockers.length === 0 ? '' : ` Blocked by ${blockers.map(describeBlocker).join('; ')}.`;
}

/** `pid 4711 (app, "web", idle in transaction for 312 s, AccessShareLock on messages)` */
export function describeBlocker(blocker: Blocker): string {
  const { pid, user, application, state, lock, relation } = blocker;
  const seconds = Math.round(blocker.seconds);
  if (state === 'prepared')
    return `the prepared transaction ${quoteLiteral(application)} (${user}, for ${seconds} s, ${lock} on ${relation}; ROLLBACK PREPARED or COMMIT PREPARED ends it)`;
  const name = application === '' ? user : `${user}, "${application}"`;
  return `pid ${pid} (${name}, ${state} for ${seconds} s, ${lock} on ${relation})`;
}
