import * as v from 'valibot';
import type { RelationName } from '../migration/migration.ts';
import type { PresentTable, TableFacts } from '../migration/route.ts';
import { quoteLiteral, quoteRelation } from './quote.ts';
import type { Session } from './session.ts';

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
  const counts = await countRows(session, [...found.values()], limit);
  return relations.map((_, ordinal): TableFacts => {
    const table = found.get(ordinal);
    return table === undefined ? { kind: 'absent' } : { ...table, rows: counts.get(table) ?? limit + 1 };
  });
}

type FoundTable = Omit<PresentTable, 'rows'>;

async function findTables(
  session: Session,
  relations: readonly RelationName[],
  settings: readonly string[],
): Promise<Map<number, FoundTable>> {
  if (relations.length === 0) return new Map();
  const names = relations.map((relation) => quoteLiteral(quoteRelation(relation))).join(', ');
  const outcome = await session.script(
    [
      'begin',
      ...settings,
      `select pg_catalog.json_agg(pg_catalog.json_build_object(
                'ordinal', asked.ordinal - 1, 'schema', n.nspname, 'table', t.relname, 'kind', t.relkind,
                'bytes', case when t.relkind = 'p' then 0 else pg_catalog.pg_table_size(t.oid) end)) as found
         from unnest(array[${names}]::text[]) with ordinality as asked (name, ordinal)
         join pg_catalog.pg_class c on c.oid = pg_catalog.to_regclass(asked.name)
         left join pg_catalog.pg_index i on i.indexrelid = c.oid
         join pg_catalog.pg_class t on t.oid = coalesce(i.indrelid, c.oid)
         join pg_catalog.pg_namespace n on n.oid = t.relnamespace
        where t.relkind in ('r', 'm', 'p', 't')`,
      'rollback',
    ].join(';\n'),
  );
  if (outcome.fault !== undefined) {
    await session.script('rollback');
    throw outcome.fault;
  }
  const json = outcome.rows[1 + settings.length]?.[0]?.found ?? '[]';
  return new Map(
    v
      .parse(relationRows, JSON.parse(json))
      .map(({ ordinal, schema, table, kind, bytes }) => [
        ordinal,
        { kind: 'present', schema, table, partitioned: kind === 'p', bytes },
      ]),
  );
}

async function countRows(
  session: Session,
  tables: readonly FoundTable[],
  limit: number,
): Promise<Map<FoundTable, number>> {
  const counts = new Map<FoundTable, number>();
  if (tables.length === 0) return counts;
  const selects = tables.map(({ schema, table }) => {
    const from = quoteRelation({ schema, name: table });
    return `select pg_catalog.count(*) as rows from (select 1 from ${from} limit ${limit + 1}) as counted`;
  });
  const outcome = await session.script(
    ['begin', `set local statement_timeout = ${COUNT_MILLISECONDS}`, ...selects, 'commit'].join(';\n'),
  );
  if (outcome.fault !== undefined) await session.script('rollback');
  for (const [index, table] of tables.entries()) {
    const text = outcome.rows[index + 2]?.[0]?.rows;
    if (text !== undefined && text !== null) counts.set(table, Number(text));
  }
  return counts;
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
