import * as v from 'valibot';
import { isIndexBuild } from '../../migration/build.ts';
import type { Build } from '../../work/build.ts';
import type { SeenIndex } from '../../work/decide.ts';
import type { Session } from '../session/session.ts';
import { compareDefinitions } from './index-definition.ts';
import { relationOid } from './relation-oid.ts';
import { seeWork } from './seen-work.ts';

const catalogRow = v.object({
  table_oid: v.nullable(v.number()),
  index_oid: v.nullable(v.number()),
  same_table: v.nullable(v.boolean()),
  valid: v.nullable(v.boolean()),
  definition: v.nullable(v.string()),
  replaced: v.number(),
});

/**
 * What the catalog says about the build's index, or about other work; a definition or a REINDEX takes one more round
 * trip.
 */
export async function seeIndex(session: Session, build: Build): Promise<SeenIndex> {
  if (!isIndexBuild(build)) return seeWork(session, build);
  const [row] = await session.query(
    `select t.oid::bigint::float8 as table_oid, x.oid::bigint::float8 as index_oid,
            i.indrelid = t.oid as same_table, i.indisvalid and i.indisready and i.indislive as valid,
            pg_catalog.pg_get_indexdef(i.indexrelid) as definition,
            (select pg_catalog.count(*)::int from pg_catalog.pg_index o
              where o.indrelid = t.oid and o.indexrelid = any($4::oid[])) as replaced
       from (select ${relationOid('$1', '$2')} as table_oid, ${relationOid('$1', '$3')} as index_oid) as asked
       left join pg_catalog.pg_class t on t.oid = asked.table_oid
       left join pg_catalog.pg_class x on x.oid = asked.index_oid
       left join pg_catalog.pg_index i on i.indexrelid = x.oid`,
    [build.schema, build.table, build.index, build.replaces],
  );
  const seen = v.parse(catalogRow, row);
  switch (build.operation) {
    case 'create':
      return seeCreated(session, build, seen);
    case 'drop':
      if (seen.index_oid === null) return { kind: 'valid' };
      // An interrupted drop leaves the index INVALID: it must still be dropped, and counts as a left-over.
      return seen.valid === true ? { kind: 'absent' } : { kind: 'invalid' };
    case 'reindex':
      if (seen.table_oid === null) return { kind: 'no-table' };
      if ((await leftOvers(session, build)).length > 0) return { kind: 'invalid' };
      // Postgres skips what can't be rebuilt concurrently (exclusion constraints) and still succeeds.
      return seen.replaced === 0 || build.attemptOutcome?.kind === 'succeeded'
        ? { kind: 'valid' }
        : { kind: 'absent' };
    default:
      return { kind: 'absent' };
  }
}

type CatalogRow = v.InferOutput<typeof catalogRow>;

async function seeCreated(session: Session, build: Build, seen: CatalogRow): Promise<SeenIndex> {
  if (seen.table_oid === null) return { kind: 'no-table' };
  if (seen.index_oid === null) return { kind: 'absent' };
  if (seen.definition === null) {
    const found = `a relation named ${build.index} that is no index`;
    return { kind: 'conflict', wanted: build.statement, found };
  }
  if (seen.same_table !== true) {
    return { kind: 'conflict', wanted: build.statement, found: seen.definition };
  }
  if (seen.valid !== true) return { kind: 'invalid' };
  const compared = await compareDefinitions(session, build, seen.definition);
  switch (compared.kind) {
    case 'same':
      return { kind: 'valid' };
    case 'different':
      return { kind: 'conflict', wanted: compared.wanted, found: compared.found };
    case 'unknown':
      // If an attempt was started, our own statement created it. An index of somebody else is not adopted unseen.
      return build.attempts > 0
        ? { kind: 'valid' }
        : {
            kind: 'conflict',
            wanted: build.statement,
            found: seen.definition,
            because: compared.because,
          };
    default:
      return compared satisfies never;
  }
}

/** When the build's index became valid, where the server keeps the times of its transactions. */
export async function validSince(session: Session, build: Build): Promise<string | undefined> {
  const [row] = await session.query(
    `select case when pg_catalog.current_setting('track_commit_timestamp') = 'on'
                 then pg_catalog.pg_xact_commit_timestamp(i.xmin)::text end as since
       from pg_catalog.pg_index i where i.indexrelid = ${relationOid('$1', '$2')} and i.indisvalid`,
    [build.schema, build.index],
  );
  return typeof row?.since === 'string' ? row.since : undefined;
}

/** An INVALID index that one of our builds left. */
export interface LeftOver {
  readonly schema: string;
  readonly name: string;
}

/**
 * INVALID indexes that one of our builds left on its table: with its own name, or with `_ccnew` or `_ccold`, which
 * REINDEX appends to the index's name, cut to fit. Those of the TOAST table only if our role may drop them.
 */
export async function leftOvers(session: Session, build: Build): Promise<LeftOver[]> {
  if (!isIndexBuild(build)) return [];
  const rows = await session.query(
    `select n.nspname as schema, c.relname as name
       from pg_catalog.pg_class t
       join pg_catalog.pg_index i on i.indrelid = t.oid
                                  or (i.indrelid = t.reltoastrelid and $2 = 'reindex' and $3 = ''
                                      and pg_catalog.has_schema_privilege('pg_toast', 'usage'))
       join pg_catalog.pg_class c on c.oid = i.indexrelid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where t.oid = ${relationOid('$1', '$4')} and not i.indisvalid
        and case when $2 <> 'reindex' then c.relname = $3
                 else c.relname ~ '_cc(new|old)[0-9]*$'
                      and ($3 = '' or pg_catalog.regexp_replace(c.relname, '_cc(new|old)[0-9]*$', '') = $3
                           or (pg_catalog.octet_length(c.relname) > 59 and pg_catalog.starts_with(
                                 $3, pg_catalog.regexp_replace(c.relname, '_cc(new|old)[0-9]*$', '')))) end`,
    [build.schema, build.operation, build.index, build.table],
  );
  return v.parse(v.array(v.object({ schema: v.string(), name: v.string() })), rows);
}
