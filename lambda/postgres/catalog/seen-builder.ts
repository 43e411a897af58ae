import * as v from 'valibot';
import { isIndexBuild } from '../../migration/build.ts';
import type { Build } from '../../work/build.ts';
import { asLoginRole } from '../session/as-login-role.ts';
import { quoteLiteral, quoteRelation } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { blockerColumn, sessionAsBlocker } from './blockers.ts';
import { builderNames, hasLedger, type SeenBuilder } from './builder-names.ts';
import { relationOid } from './relation-oid.ts';
import { seeWorker } from './seen-work.ts';

export type { SeenBuilder } from './builder-names.ts';

const builderRow = v.object({
  pid: v.number(),
  phase: v.nullable(v.string()),
  blocks_total: v.nullable(v.number()),
  blocks_done: v.nullable(v.number()),
  tuples_total: v.nullable(v.number()),
  tuples_done: v.nullable(v.number()),
  lockers_total: v.nullable(v.number()),
  lockers_done: v.nullable(v.number()),
  blocker: v.nullable(blockerColumn),
  stranger: v.nullable(blockerColumn),
});

function textArray(texts: readonly string[]): string {
  return `array[${texts.map(quoteLiteral).join(', ')}]::pg_catalog.text[]`;
}

/**
 * A possible builder is any session that holds or awaits a lock that a build takes on the table. pg_locks shows all
 * roles' locks to everybody, whereas pg_stat_activity and pg_stat_progress_create_index hide what other roles do: a
 * builder that is hidden there still counts. So do our own sessions that are about to build, by their name, until their
 * outcome is recorded; unless they are idle, as only a supervisor is that was itself cancelled. VACUUM and ANALYZE take
 * the same lock, but give way to a build that asks for it.
 *
 * No blocker is a session that has ended since pg_locks was read, nor a supervisor, ours or another's: a build waits for
 * its snapshot only for the moment that it has one.
 */
export async function seeBuilder(session: Session, build: Build): Promise<SeenBuilder> {
  if (!isIndexBuild(build)) return seeWorker(session, build);
  const table = `${quoteLiteral(quoteRelation({ schema: build.schema, name: build.table }))}::pg_catalog.text`;
  const names = builderNames(build);
  const rows = await asLoginRole(
    session,
    `with asked as (select ${relationOid(quoteLiteral(build.schema), quoteLiteral(build.table))} as table_oid)
     select holder.pid, p.phase, p.blocks_total, p.blocks_done, p.tuples_total,
            p.tuples_done, p.lockers_total, p.lockers_done, blocked.blocker,
            case when a.pid is not null and (coalesce(a.application_name <> all (${textArray(names)}), true)
                                             or not ${hasLedger('a', build.ledger)})
                 then ${sessionAsBlocker('a', `'a lock that builds take'`, table)} end as stranger
       from (select distinct l.pid
               from pg_catalog.pg_locks l, asked
              where l.locktype = 'relation' and l.relation = asked.table_oid
                and l.database = (select oid from pg_catalog.pg_database
                                   where datname = pg_catalog.current_database())
                and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock')
             union
             select named.pid from pg_catalog.pg_stat_activity named
              where named.application_name = any(${textArray(build.attemptOutcome === undefined ? names : [])}) and named.state is distinct from 'idle'
                and named.datname = pg_catalog.current_database() and ${hasLedger('named', build.ledger)}) as holder
       left join pg_catalog.pg_stat_activity a on a.pid = holder.pid
       left join pg_catalog.pg_stat_progress_create_index p on p.pid = holder.pid
       left join lateral (
         select ${sessionAsBlocker('b', `'its transaction'`, table)} as blocker
           from pg_catalog.pg_stat_activity b
          where b.pid = any (pg_catalog.pg_blocking_pids(holder.pid)) and b.pid <> holder.pid
            and b.pid <> pg_catalog.pg_backend_pid() and (coalesce(b.application_name, '') !~ ' supervisor [0-9]+$' or not ${hasLedger('b')})
          order by b.xact_start
          limit 1) as blocked on true
      where holder.pid <> pg_catalog.pg_backend_pid()
        and holder.pid not in (select v.pid from pg_catalog.pg_stat_progress_vacuum v
                               union all select z.pid from pg_catalog.pg_stat_progress_analyze z)
      order by p.phase is null, blocked.blocker is null, a.application_name = any(${textArray(names)})`,
  );
  const [first] = rows.map((row) => v.parse(builderRow, row));
  if (first === undefined) return { alive: false, pid: undefined, progress: undefined, blocker: undefined };
  const { pid, phase, blocker, stranger } = first;
  return {
    alive: true,
    pid,
    blocker: blocker ?? (phase === null ? stranger : null) ?? undefined,
    progress:
      phase === null
        ? undefined
        : {
            phase,
            blocksTotal: first.blocks_total ?? 0,
            blocksDone: first.blocks_done ?? 0,
            tuplesTotal: first.tuples_total ?? 0,
            tuplesDone: first.tuples_done ?? 0,
            lockersTotal: first.lockers_total ?? 0,
            lockersDone: first.lockers_done ?? 0,
          },
  };
}
