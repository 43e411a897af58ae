import * as v from 'valibot';
import type { Stored } from '../../migration/deploy-check.ts';
import { withoutRowValues } from '../../migration/postgres-fault.ts';
import type { RelationName } from '../../migration/relation-name.ts';
import type { PresentTable, TableFacts } from '../../migration/route.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import type { StatementFault } from '../session/fault.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { quoteLiteral, quoteRelation } from '../session/quote.ts';
import { ASKED, findRelations, rolledBack } from '../session/rolled-back.ts';
import type { Session, TextRow } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';
import { relationOid } from './relation-oid.ts';

/** Counting stops after this: a table that is slow to count is not small. */
const COUNT_MILLISECONDS = 10_000;

/**
 * Finds the relations and counts each one's rows up to `limit` + 1, in two round trips for any number of relations. An
 * index stands for its table. `settings` are the file's own SET statements, which decide what a name without a schema
 * means. No error of Postgres makes it fail: a relation that can't be looked up is unknown, and a table whose rows
 * can't be counted is not small. Throws only SessionLost.
 *
 * @param lenient leaves out a setting that fails, such as a role that does not exist yet
 */
export async function measureTables(
  session: Session,
  relations: readonly RelationName[],
  {
    limit,
    settings,
    lenient = false,
  }: { readonly limit: number; readonly settings: readonly string[]; readonly lenient?: boolean },
): Promise<TableFacts[]> {
  if (relations.length === 0) return [];
  const found = await findTables(session, relations, settings);
  if (!(found instanceof Map) && lenient && found.at < settings.length) {
    const others = settings.filter((_, at) => at !== found.at);
    return measureTables(session, relations, { limit, settings: others, lenient });
  }
  if (!(found instanceof Map))
    return relations.map(() => ({ kind: 'unknown', because: found.fault.plainMessage }));
  const sizes = await countRows(session, [...found.values()], { limit, settings });
  return relations.map((_, ordinal): TableFacts => {
    const table = found.get(ordinal);
    if (table === undefined) return { kind: 'absent' };
    const { below, countable: _countable, ...facts } = table;
    const uncounted = { rows: limit + 1, bytes: facts.bytes };
    const withChildren = below === undefined || facts.partitioned ? {} : { withChildren: uncounted };
    return { ...facts, ...uncounted, ...withChildren, ...sizes.get(table) };
  });
}

const foundTables = v.array(
  v.object({
    ordinal: v.number(),
    schema: v.string(),
    table: v.string(),
    kind: v.string(),
    bytes: v.number(),
    index: v.nullable(v.object({ valid: v.boolean() })),
    populated: v.boolean(),
    hidden: v.boolean(),
    foreign: v.boolean(),
    below: v.nullable(v.array(v.object({ schema: v.string(), name: v.string() }))),
  }),
);

interface FoundTable extends Omit<PresentTable, 'rows'> {
  /** Its partitions, or the tables that inherit from it, without foreign ones; absent if it has none. */
  readonly below: readonly RelationName[] | undefined;
  /** Otherwise the reason why not; a materialized view that was never filled has no rows. */
  readonly countable: 'yes' | 'empty' | 'hidden';
}

/** The size is as ANALYZE last saw it: pg_table_size() would wait for a lock on the table. */
async function findTables(
  session: Session,
  relations: readonly RelationName[],
  settings: readonly string[],
): Promise<Map<number, FoundTable> | { readonly fault: StatementFault; readonly at: number }> {
  const { row, fault, at } = await rolledBack(session, [
    ...settings,
    findRelations(relations),
    OWN_PATH,
    `select pg_catalog.json_agg(pg_catalog.json_build_object(
                'ordinal', asked.number - 1, 'schema', n.nspname, 'table', t.relname, 'kind', t.relkind,
                'bytes', greatest(t.relpages, 0) * pg_catalog.current_setting('block_size')::bigint,
                'index', case when i.indexrelid is not null
                              then pg_catalog.json_build_object('valid', i.indisvalid and i.indisready and i.indislive) end,
                'populated', t.relispopulated,
                'hidden', pg_catalog.row_security_active(t.oid),
                'foreign', coalesce(below.has_foreign, false),
                'below', below.tables)) as found
         from ${ASKED}
         join pg_catalog.pg_class c on c.oid = asked.oid
         left join pg_catalog.pg_index i on i.indexrelid = c.oid
         join pg_catalog.pg_class t on t.oid = coalesce(i.indrelid, c.oid)
         join pg_catalog.pg_namespace n on n.oid = t.relnamespace
         left join lateral (
           with recursive tree as (
             select h.inhrelid as oid from pg_catalog.pg_inherits h where h.inhparent = t.oid and t.relhassubclass
             union
             select h.inhrelid from tree join pg_catalog.pg_inherits h on h.inhparent = tree.oid
           )
           select pg_catalog.json_agg(pg_catalog.json_build_object('schema', pn.nspname, 'name', part.relname))
                    filter (where part.relkind = 'r') as tables,
                  pg_catalog.bool_or(part.relkind = 'f') as has_foreign
             from tree
             join pg_catalog.pg_class part on part.oid = tree.oid
             join pg_catalog.pg_namespace pn on pn.oid = part.relnamespace
         ) as below on true
        where t.relkind in ('r', 'm', 'p', 't')`,
  ]);
  if (fault !== undefined) return { fault, at };
  const rows = v.parse(foundTables, JSON.parse(row?.found ?? '[]'));
  return new Map(
    rows.map(({ ordinal, schema, table, kind, index, bytes, populated, hidden, foreign, below }) => [
      ordinal,
      {
        kind: 'present',
        schema,
        table,
        partitioned: kind === 'p',
        ...(index && { index }),
        hasForeignParts: foreign,
        bytes,
        below: below ?? undefined,
        countable: !populated ? 'empty' : hidden ? 'hidden' : 'yes',
      },
    ]),
  );
}

type TableSize = Partial<Pick<PresentTable, 'rows' | 'bytes' | 'uncounted' | 'withChildren'>>;

/**
 * Counts all rows, not only those that row security shows us. Whatever error Postgres reports instead (row security, a
 * missing privilege, a lock, a damaged page, an extension), the table is not small.
 */
async function countRows(
  session: Session,
  tables: readonly FoundTable[],
  { limit, settings }: { readonly limit: number; readonly settings: readonly string[] },
): Promise<Map<FoundTable, TableSize>> {
  const before = [
    'begin',
    ...settings,
    OWN_PATH,
    ...questionLimits({ statement: COUNT_MILLISECONDS, lock: COUNT_MILLISECONDS }),
    'set local row_security = off',
  ];
  const sizes = new Map<FoundTable, TableSize>();
  let left = tables.filter((table) => {
    if (table.countable === 'empty') sizes.set(table, { rows: 0 });
    return table.countable !== 'empty';
  });
  while (left.length > 0) {
    const selects = left.flatMap((table) => [sizeQuery(table), countQuery(table, limit)]);
    const message = [...before, ...selects, 'rollback'].join('\n;\n');
    const { fault, completed, rows } = await session.script(message);
    const answered = Math.max(0, completed - before.length);
    for (const [index, table] of left.entries()) {
      const [size] = rows[before.length + 2 * index] ?? [];
      const [count] = rows[before.length + 2 * index + 1] ?? [];
      if (2 * index < answered) sizes.set(table, { bytes: Number(size?.bytes) });
      if (2 * index + 1 < answered) sizes.set(table, toSize(size, count));
    }
    if (fault === undefined) break;
    await session.script('rollback');
    const failed = left[Math.floor(answered / 2)];
    if (failed !== undefined) sizes.set(failed, { ...sizes.get(failed), uncounted: describe(fault) });
    left = left.slice(Math.floor(answered / 2) + 1);
  }
  return sizes;
}

function toSize(size: TextRow | undefined, count: TextRow | undefined): TableSize {
  const bytes = Number(size?.bytes);
  if (count?.rows === undefined || count.rows === null)
    return { bytes, uncounted: 'row level security hides them from our role' };
  const own = { bytes, rows: Number(count.rows) };
  if (count.whole === undefined) return own;
  return { ...own, withChildren: { rows: Number(count.whole), bytes: Number(size?.whole) } };
}

function describe({ fault }: StatementFault): string {
  return fault.sqlstate === sqlstate.queryCanceled
    ? `counting them took more than ${COUNT_MILLISECONDS / 1000} s`
    : `${withoutRowValues(fault).message}, SQLSTATE ${fault.sqlstate}`;
}

function sizeQuery({ schema, table, partitioned, below }: FoundTable): string {
  const own = tableSize({ schema, name: table });
  if (partitioned || below === undefined) return `select ${own} as bytes`;
  return `select ${own} as bytes, ${[own, ...below.map(tableSize)].join(' + ')} as whole`;
}

function tableSize(relation: RelationName): string {
  return `pg_catalog.pg_table_size(${quoteLiteral(quoteRelation(relation))}::pg_catalog.regclass)`;
}

/** An index covers one table, not those that inherit from it; a partitioned table consists of its partitions. */
function countQuery(
  { schema, table, partitioned, hasForeignParts, below, countable }: FoundTable,
  limit: number,
): string {
  const own = quoteRelation({ schema, name: table });
  if (countable === 'hidden') {
    // Hidden rows can't be counted, but an empty file holds none.
    const empty = partitioned
      ? 'false'
      : `pg_catalog.pg_relation_size(${quoteLiteral(own)}::pg_catalog.regclass) = 0`;
    return `select case when ${empty} then 0 end as rows`;
  }
  // A foreign partition has no index here, and its server may be unreachable.
  if (partitioned && hasForeignParts) return `select ${countOf((below ?? []).map(only), limit)} as rows`;
  if (partitioned) return `select ${countOf([own], limit)} as rows`;
  const alone = `select ${countOf([`only ${own}`], limit)} as rows`;
  if (below === undefined) return alone;
  return `${alone}, ${countOf([`only ${own}`, ...below.map(only)], limit)} as whole`;
}

function only(relation: RelationName): string {
  return `only ${quoteRelation(relation)}`;
}

function countOf(tables: readonly string[], limit: number): string {
  if (tables.length === 0) return '0';
  const rows = tables.map((table) => `select 1 from ${table}`).join(' union all ');
  return `(select pg_catalog.count(*) from (${rows} limit ${limit + 1}) as counted)`;
}

export async function hasColumn(
  session: Session,
  { schema, name }: { readonly schema: string; readonly name: string },
  column: string,
): Promise<boolean> {
  const rows = await session.query(
    `select 1 as found from pg_catalog.pg_attribute a
      where a.attrelid = ${relationOid('$1', '$2')} and a.attname = $3 and a.attnum > 0 and not a.attisdropped`,
    [schema, name, column],
  );
  return rows.length > 0;
}

/**
 * Whether SET NOT NULL finds that the column is so already, or that a valid CHECK says nothing else than that it, and
 * other columns perhaps, are not null. Postgres sees it in some more, such as one with further conditions.
 */
export async function hasNoNulls(
  session: Session,
  { schema, name }: { readonly schema: string; readonly name: string },
  column: string,
): Promise<boolean> {
  const rows = await session.query(
    `select 1 as found from pg_catalog.pg_attribute a
      where a.attrelid = ${relationOid('$1', '$2')} and a.attname = $3
        and (a.attnotnull and not exists (select from pg_catalog.pg_constraint n
                                           where n.conrelid = a.attrelid and n.contype = 'n' and not n.convalidated
                                             and n.conkey = array[a.attnum])
             or exists (select from pg_catalog.pg_constraint c
                         where c.conrelid = a.attrelid and c.contype = 'c' and c.convalidated and not c.connoinherit
                           and a.attnum = any (c.conkey)
                           and pg_catalog.pg_get_expr(c.conbin, c.conrelid)
                             ~ '^\\(*("([^"]|"")+"|\\w+) IS NOT NULL\\)( AND \\(("([^"]|"")+"|\\w+) IS NOT NULL\\))*\\)?$'))`,
    [schema, name, column],
  );
  return rows.length > 0;
}

/** Whether the table is stored as a statement would have it, so that Postgres rewrites nothing. */
export async function isStored(
  session: Session,
  { schema, name }: { readonly schema: string; readonly name: string },
  stored: Stored,
): Promise<boolean> {
  const rows = await session.query(
    `select 1 as found from pg_catalog.pg_class c
      where c.oid = ${relationOid('$1', '$2')} and ${IS_STORED[stored.by]}`,
    [schema, name, ...('name' in stored ? [stored.name] : [])],
  );
  return rows.length > 0;
}

/** Conditions on pg_class as `c`, with the name as $3. */
const IS_STORED: Readonly<Record<Stored['by'], string>> = {
  logged: "c.relpersistence = 'p'",
  unlogged: "c.relpersistence = 'u'",
  tablespace: `(select s.spcname from pg_catalog.pg_database d
                  join pg_catalog.pg_tablespace s on s.oid = coalesce(nullif(c.reltablespace, 0::oid), d.dattablespace)
                 where d.datname = pg_catalog.current_database()) = $3::name`,
  'access method': '(select a.amname from pg_catalog.pg_am a where a.oid = c.relam) = $3::name',
  'virtual column': `exists (select from pg_catalog.pg_attribute a
                              where a.attrelid = c.oid and a.attname = $3::name and a.attgenerated = 'v' and not a.attnotnull)`,
};

/**
 * Whether a write to a table of one of these names, in any schema, may change rows of other tables: by a view, a rule, a
 * trigger, a foreign key's CASCADE or SET NULL, or since its rows are those of a parent, or of partitions.
 */
export async function reachesFurther(session: Session, names: readonly string[]): Promise<boolean> {
  const rows = await session.query(
    `select 1 as found from pg_catalog.pg_class c
      where c.relname = any($1::text[])
        and (c.relkind = 'v' or c.relhasrules or c.relhassubclass
             or exists (select from pg_catalog.pg_inherits h where h.inhrelid = c.oid)
             or exists (select from pg_catalog.pg_trigger t
                          join pg_catalog.pg_proc p on p.oid = t.tgfoid
                         where t.tgrelid = c.oid
                           and not (t.tgisinternal and p.proname ~ '^(RI_FKey_(check|noaction|restrict)_|unique_key_recheck$)')))
      limit 1`,
    [names],
  );
  return rows.length > 0;
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
  { schema, name }: RelationName & { readonly schema: string },
): Promise<{ readonly schema: string; readonly table: string; readonly index: string }[]> {
  const rows = await session.query(
    `select n.nspname as schema, t.relname as table, case when i.indexrelid is null then '' else c.relname end as index
       from pg_catalog.pg_partition_tree(${relationOid('$1', '$2')}::pg_catalog.regclass) as part
       join pg_catalog.pg_class c on c.oid = part.relid
       left join pg_catalog.pg_index i on i.indexrelid = c.oid
       join pg_catalog.pg_class t on t.oid = coalesce(i.indrelid, c.oid)
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where part.isleaf and t.relkind = 'r'
      order by 1, 2`,
    [schema, name],
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
