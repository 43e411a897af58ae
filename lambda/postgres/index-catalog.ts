import * as v from 'valibot';
import type { SeenIndex } from '../index-build/decide.ts';
import type { IndexBuild } from '../index-build/index-build.ts';
import type { BuildProgress } from '../index-build/progress.ts';
import { type Blocker, blockerColumn } from './blockers.ts';
import { quoteRelation } from './quote.ts';
import type { Session } from './session.ts';

const catalogRow = v.object({
  table_oid: v.nullable(v.number()),
  index_oid: v.nullable(v.number()),
  same_table: v.nullable(v.boolean()),
  valid: v.nullable(v.boolean()),
  definition: v.nullable(v.string()),
  left_over: v.number(),
  replaced: v.number(),
  all_valid: v.boolean(),
});

/** What the catalog says of the build's index: one round trip, a second one where a definition must be compared. */
export async function seeIndex(session: Session, build: IndexBuild): Promise<SeenIndex> {
  const [row] = await session.query(
    `select t.oid::bigint::float8 as table_oid, x.oid::bigint::float8 as index_oid,
            i.indrelid = t.oid as same_table, i.indisvalid and i.indisready as valid,
            pg_catalog.pg_get_indexdef(i.indexrelid) as definition,
            (select pg_catalog.count(*)::int from pg_catalog.pg_index o
               join pg_catalog.pg_class oc on oc.oid = o.indexrelid
              where o.indrelid = t.oid and not o.indisvalid and oc.relname ~ '_cc(new|old)[0-9]*$') as left_over,
            (select pg_catalog.count(*)::int from pg_catalog.pg_index o
              where o.indrelid = t.oid and o.indexrelid = any($4::oid[])) as replaced,
            not exists (select from pg_catalog.pg_index o where o.indrelid = t.oid and not o.indisvalid) as all_valid
       from (select pg_catalog.to_regclass($1) as table_name, pg_catalog.to_regclass($2) as index_name) as asked
       left join pg_catalog.pg_class t on t.oid = asked.table_name
       left join pg_catalog.pg_class x on x.oid = asked.index_name and $3 <> ''
       left join pg_catalog.pg_index i on i.indexrelid = x.oid`,
    [
      quoteRelation({ schema: build.schema, name: build.table }),
      quoteRelation({ schema: build.schema, name: build.index === '' ? build.table : build.index }),
      build.index,
      build.replaces,
    ],
  );
  const seen = v.parse(catalogRow, row);
  switch (build.operation) {
    case 'create':
      return seeCreated(session, build, seen);
    case 'drop':
      return seen.index_oid === null ? { kind: 'valid' } : { kind: 'absent' };
    case 'reindex':
      if (seen.table_oid === null) return { kind: 'no-table' };
      if (seen.left_over > 0) return { kind: 'invalid' };
      // Postgres skips what can't be rebuilt concurrently (exclusion constraints) and still succeeds.
      return seen.replaced === 0 || build.attemptOutcome?.kind === 'succeeded'
        ? { kind: 'valid' }
        : { kind: 'absent' };
    default:
      return build.operation satisfies never;
  }
}

type CatalogRow = v.InferOutput<typeof catalogRow>;

async function seeCreated(session: Session, build: IndexBuild, seen: CatalogRow): Promise<SeenIndex> {
  if (seen.table_oid === null) return { kind: 'no-table' };
  if (seen.index_oid === null) return { kind: 'absent' };
  const wanted = build.statement;
  if (seen.definition === null)
    return { kind: 'conflict', wanted, found: `a relation named ${build.index} that is no index` };
  if (seen.same_table !== true) return { kind: 'conflict', wanted, found: seen.definition };
  if (seen.valid !== true) return { kind: 'invalid' };
  const normalised = await normalise(session, build);
  if (normalised === undefined || normalised === body(seen.definition)) return { kind: 'valid' };
  return { kind: 'conflict', wanted: `${head(seen.definition)}${normalised}`, found: seen.definition };
}

/** What stands in an index definition before the access method, and what from there on. */
function head(definition: string): string {
  return definition.slice(0, definition.indexOf(' USING '));
}

function body(definition: string): string {
  const unique = definition.startsWith('CREATE UNIQUE') ? 'UNIQUE' : '';
  return `${unique}${definition.slice(definition.indexOf(' USING '))}`;
}

/**
 * The wanted definition in Postgres's own words: the index is made on an empty temporary copy of the table's
 * columns, read back, and rolled back. Undefined where the copy can't have it (an expression over the whole row).
 */
async function normalise(session: Session, build: IndexBuild): Promise<string | undefined> {
  const like = quoteRelation({ schema: build.schema, name: build.table });
  const unique = build.unique ? 'unique ' : '';
  const outcome = await session.script(
    [
      'begin',
      ...build.settings,
      `create temporary table index_definition_probe (like ${like}) on commit drop`,
      `create ${unique}index index_definition_probe_index on pg_temp.index_definition_probe ${build.definition}`,
      `select pg_catalog.pg_get_indexdef('pg_temp.index_definition_probe_index'::pg_catalog.regclass) as definition`,
      'rollback',
    ].join('\n;\n'),
  );
  if (outcome.fault !== undefined) {
    await session.script('rollback');
    return undefined;
  }
  const definition = outcome.rows[3 + build.settings.length]?.[0]?.definition;
  return definition === null || definition === undefined ? undefined : body(definition);
}

/** INVALID indexes that a build of ours left on its table: its own name, or REINDEX's `_ccnew` and `_ccold`. */
export async function leftOvers(session: Session, build: IndexBuild): Promise<string[]> {
  const rows = await session.query(
    `select c.relname as name
       from pg_catalog.pg_index i
       join pg_catalog.pg_class c on c.oid = i.indexrelid
      where i.indrelid = pg_catalog.to_regclass($1) and not i.indisvalid
        and case when $2 = 'reindex' then c.relname ~ '_cc(new|old)[0-9]*$' else c.relname = $3 end`,
    [quoteRelation({ schema: build.schema, name: build.table }), build.operation, build.index],
  );
  return rows.map((row) => String(row.name));
}

/** What is seen of whoever may be building on the table. */
export interface SeenBuilder {
  readonly alive: boolean;
  readonly pid: number | undefined;
  readonly progress: BuildProgress | undefined;
  /** Whom it waits for, where it waits for somebody. */
  readonly blocker: Blocker | undefined;
}

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
});

/**
 * Anybody who holds or awaits a lock on the table that a build takes is a possible builder. pg_locks shows every
 * role's locks to everybody, where pg_stat_activity and pg_stat_progress_create_index hide what other roles do: a
 * builder that can't be seen there still counts. So do our own sessions that are about to build, by their name, until
 * their outcome is recorded.
 */
export async function seeBuilder(session: Session, build: IndexBuild): Promise<SeenBuilder> {
  const rows = await session.query(
    `with asked as (select pg_catalog.to_regclass($1)::oid as table_oid)
     select holder.pid, p.phase, p.blocks_total::float8, p.blocks_done::float8, p.tuples_total::float8,
            p.tuples_done::float8, p.lockers_total::float8, p.lockers_done::float8,
            (select pg_catalog.json_build_object('pid', b.pid, 'user', b.usename, 'application', b.application_name,
                      'state', b.state, 'seconds', extract(epoch from pg_catalog.clock_timestamp()
                         - coalesce(b.xact_start, b.backend_start))::float8, 'lock', 'its transaction', 'relation', $1::text)
               from pg_catalog.pg_stat_activity b
              where b.pid = any (pg_catalog.pg_blocking_pids(holder.pid)) and b.pid <> holder.pid limit 1) as blocker
       from (select distinct l.pid
               from pg_catalog.pg_locks l, asked
              where l.locktype = 'relation' and l.relation = asked.table_oid
                and l.database = (select oid from pg_catalog.pg_database
                                   where datname = pg_catalog.current_database())
                and l.mode in ('ShareUpdateExclusiveLock', 'ShareLock')
             union
             select a.pid from pg_catalog.pg_stat_activity a
              where a.application_name = any($2::text[])
                and a.datname = pg_catalog.current_database()) as holder
       left join pg_catalog.pg_stat_progress_create_index p on p.pid = holder.pid
      where holder.pid <> pg_catalog.pg_backend_pid()
        -- VACUUM and ANALYZE take the same lock, and give way to a build that asks for it.
        and holder.pid not in (select v.pid from pg_catalog.pg_stat_progress_vacuum v
                               union all select z.pid from pg_catalog.pg_stat_progress_analyze z)
      order by p.phase is null`,
    [
      quoteRelation({ schema: build.schema, name: build.table }),
      build.attemptOutcome === undefined ? builderNames(build.id) : [],
    ],
  );
  const [first] = rows.map((row) => v.parse(builderRow, row));
  if (first === undefined) return { alive: false, pid: undefined, progress: undefined, blocker: undefined };
  return {
    alive: true,
    pid: first.pid,
    blocker: first.blocker ?? undefined,
    progress:
      first.phase === null
        ? undefined
        : {
            phase: first.phase,
            blocksTotal: first.blocks_total ?? 0,
            blocksDone: first.blocks_done ?? 0,
            tuplesTotal: first.tuples_total ?? 0,
            tuplesDone: first.tuples_done ?? 0,
            lockersTotal: first.lockers_total ?? 0,
            lockersDone: first.lockers_done ?? 0,
          },
  };
}

/** Application names of the sessions that carry one build, so that each can be found whoever looks. */
export function builderNames(buildId: string): [supervisor: string, builder: string] {
  return [`migrations supervisor ${buildId}`, `migrations build ${buildId}`];
}
