import * as v from 'valibot';
import type { RelationName } from '../../migration/relation-name.ts';
import type { PresentTable, TableFacts } from '../../migration/route.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { quoteLiteral, quoteRelation } from '../session/quote.ts';
import { ASKED, findRelations, rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';

const relationRows = v.array(
  v.object({
    ordinal: v.number(),
    schema: v.string(),
    table: v.string(),
    kind: v.string(),
    bytes: v.number(),
  }),
);

/** Counting stops after so long: a table that is slow to count is not small. */
const COUNT_MILLISECONDS = 10_000;

/**
 * Finds the relations and counts each one's rows up to `limit` + 1: two round trips, however many relations.
 * An index stands for its table. `settings` are the file's own SET statements, since they decide what a name
 * without a schema means.
 */
export async function measureTables(
  session: Session,
  relations: readonly RelationName[],
  { limit, settings }: { limit: number; settings: readonly string[] },
): Promise<TableFacts[]> {
  const found = await findTables(session, relations, settings);
  const sizes = await countRows(session, [...found.values()], limit);
  return relations.map((_, ordinal): TableFacts => {
    const table = found.get(ordinal);
    return table === undefined ? { kind: 'absent' } : { ...table, rows: limit + 1, ...sizes.get(table) };
  });
}

type FoundTable = Omit<PresentTable, 'rows'>;

async function findTables(
  session: Session,
  relations: readonly RelationName[],
  settings: readonly string[],
): Promise<Map<number, FoundTable>> {
  if (relations.length === 0) return new Map();
  const { row, fault } = await rolledBack(session, [
    ...settings,
    findRelations(relations),
    OWN_PATH,
    `select pg_catalog.json_agg(pg_catalog.json_build_object(
                'ordinal', asked.number - 1, 'schema', n.nspname, 'table', t.relname, 'kind', t.relkind,
                -- As ANALYZE last saw it: pg_table_size() would wait for a lock on the table.
                'bytes', greatest(t.relpages, 0) * pg_catalog.current_setting('block_size')::bigint)) as found
         from ${ASKED}
         join pg_catalog.pg_class c on c.oid = asked.oid
         left join pg_catalog.pg_index i on i.indexrelid = c.oid
         join pg_catalog.pg_class t on t.oid = coalesce(i.indrelid, c.oid)
         join pg_catalog.pg_namespace n on n.oid = t.relnamespace
        where t.relkind in ('r', 'm', 'p', 't')`,
  ]);
  if (fault !== undefined) throw fault;
  const json = row?.found ?? '[]';
  return new Map(
    v
      .parse(relationRows, JSON.parse(json))
      .map(({ ordinal, schema, table, kind, bytes }) => [
        ordinal,
        { kind: 'present', schema, table, partitioned: kind === 'p', bytes },
      ]),
  );
}

/** A table that can't be counted now: it takes too long, is locked, gone meanwhile, or closed to our role. */
const UNCOUNTED: ReadonlySet<string> = new Set([
  sqlstate.queryCanceled,
  sqlstate.lockNotAvailable,
  sqlstate.undefinedTable,
  sqlstate.insufficientPrivilege,
]);

type TableSize = Pick<PresentTable, 'rows' | 'bytes'>;

/** Tables that can't be counted are missing from the answer. */
async function countRows(
  session: Session,
  tables: readonly FoundTable[],
  limit: number,
): Promise<Map<FoundTable, TableSize>> {
  const sizes = new Map<FoundTable, TableSize>();
  for (let left = tables; left.length > 0; ) {
    const selects = left.map(({ schema, table }) => {
      const from = quoteRelation({ schema, name: table });
      return `select pg_catalog.count(*) as rows, pg_catalog.pg_table_size(${quoteLiteral(from)}::pg_catalog.regclass) as bytes
  from (select 1 from ${from} limit ${limit + 1}) as counted`;
    });
    const { fault, completed, rows } = await session.script(
      ['begin', `set local statement_timeout = ${COUNT_MILLISECONDS}`, ...selects, 'commit'].join(';\n'),
    );
    const counted = Math.max(0, completed - 2);
    for (const [index, table] of left.slice(0, counted).entries()) {
      const row = rows[index + 2]?.[0];
      sizes.set(table, { rows: Number(row?.rows), bytes: Number(row?.bytes) });
    }
    if (fault === undefined) break;
    await session.script('rollback');
    const uncounted = left[counted];
    // A materialized view that was never filled: nobody reads it.
    if (fault.fault.sqlstate === sqlstate.objectNotInPrerequisiteState && uncounted !== undefined)
      sizes.set(uncounted, { rows: 0, bytes: 0 });
    else if (!UNCOUNTED.has(fault.fault.sqlstate)) throw fault;
    left = left.slice(counted + 1);
  }
  return sizes;
}

/** Which of the names are taken by a relation in the schema, whatever its kind. */
export async function takenNames(
  session: Session,
  schema: string,
  names: readonly string[],
): Promise<Set<string>> {
  const rows = await session.query(
    `select c.relname as name
       from pg_catalog.pg_class c
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where n.nspname = $1 and c.relname = any($2::text[])`,
    [schema, names],
  );
  return new Set(rows.map((row) => String(row.name)));
}

/** The parts of a partitioned table, or of an index on one, that hold rows; `index` is empty for a table's. */
export async function partsOf(
  session: Session,
  relation: RelationName,
): Promise<{ readonly schema: string; readonly table: string; readonly index: string }[]> {
  const rows = await session.query(
    `select n.nspname as schema, t.relname as table, case when i.indexrelid is null then '' else c.relname end as index
       from pg_catalog.pg_partition_tree(pg_catalog.to_regclass($1)) as part
       join pg_catalog.pg_class c on c.oid = part.relid
       left join pg_catalog.pg_index i on i.indexrelid = c.oid
       join pg_catalog.pg_class t on t.oid = coalesce(i.indrelid, c.oid)
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where part.isleaf and t.relkind = 'r'
      order by 1, 2`,
    [quoteRelation(relation)],
  );
  return v.parse(v.array(v.object({ schema: v.string(), table: v.string(), index: v.string() })), rows);
}

/** Tables with indexes in a schema, or in all schemas but Postgres's own; parts of partitioned tables one by one. */
export async function tablesWithin(
  session: Session,
  schema: string | undefined,
): Promise<{ readonly schema: string; readonly table: string; readonly index: '' }[]> {
  const rows = await session.query(
    `select n.nspname as schema, c.relname as table
       from pg_catalog.pg_class c
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'm') and c.relhasindex and c.relpersistence <> 't'
        and n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and n.nspname = coalesce($1, n.nspname)
      order by 1, 2`,
    [schema ?? null],
  );
  return v
    .parse(v.array(v.object({ schema: v.string(), table: v.string() })), rows)
    .map((row) => ({ ...row, index: '' }));
}
