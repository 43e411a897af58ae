import * as v from 'valibot';
import type { Backfill } from '../../migration/backfill.ts';
import { quoteLiteral, quoteRelation } from '../session/quote.ts';
import { rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';

/** A table, or a partition, and how its rows are walked. */
export interface Walk {
  readonly oid: string;
  /** Quoted, with its schema. */
  readonly table: string;
  /** Whether it is a partition or a child of the table that the statement names. */
  readonly isPart: boolean;
  readonly estimatedRows: number;
  readonly way: Way;
}

export type Way =
  /** By a unique key, in the order of its index. */
  | { readonly kind: 'key'; readonly columns: readonly KeyColumn[] }
  /** By the blocks of the table's file. */
  | { readonly kind: 'blocks' };

export interface KeyColumn {
  readonly name: string;
  /** As format_type() writes it. */
  readonly type: string;
  /** Schema of the operators by which its index compares. */
  readonly operators: string;
}

const relation = v.object({
  kind: v.string(),
  table: v.string(),
  partitionedBy: v.array(v.string()),
  leaves: v.array(
    v.object({
      oid: v.string(),
      table: v.string(),
      kind: v.string(),
      rows: v.number(),
      keys: v.array(
        v.object({
          primary: v.boolean(),
          columns: v.array(v.object({ name: v.string(), type: v.string(), operators: v.string() })),
        }),
      ),
    }),
  ),
});

/** One relation from the catalog, with all keys by which it may be walked. */
type WalkedRelation = v.InferOutput<typeof relation>;

/** How the table's rows can be walked as it is now, or the reason why they can't. Throws Postgres's errors. */
export async function findWalks(
  session: Session,
  { backfill, settings }: { readonly backfill: Backfill; readonly settings: readonly string[] },
): Promise<readonly Walk[] | string> {
  const { row, fault } = await rolledBack(session, [...settings, walkedRelation(backfill)]);
  if (fault !== undefined) throw fault;
  if (row?.walked == null) return `the table ${backfill.table.name} does not exist`;
  return walksOf(backfill, v.parse(relation, JSON.parse(row.walked)));
}

/** One statement, whose one row has `walked`, null if the relation does not exist. Run it under the file's settings. */
function walkedRelation({ table, only }: Backfill): string {
  return `with recursive
named as (select pg_catalog.to_regclass(${quoteLiteral(quoteRelation(table))})::pg_catalog.oid as oid),
family as (
  select n.oid from named n where n.oid is not null
  union
  select i.inhrelid from family f join pg_catalog.pg_inherits i on i.inhparent operator(pg_catalog.=) f.oid
   where ${!only}
),
members as (
  select c.oid, c.relkind, c.reltuples, pg_catalog.format('%I.%I', n.nspname, c.relname) as name
    from family f join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) f.oid
    join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
)
select (select pg_catalog.json_build_object(
  'kind', c.relkind, 'table', (select m.name from members m where m.oid operator(pg_catalog.=) c.oid),
  'partitionedBy', coalesce((
    select pg_catalog.json_agg(a.attname)
      from members m join pg_catalog.pg_partitioned_table p on p.partrelid operator(pg_catalog.=) m.oid
      join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) m.oid
       and a.attnum operator(pg_catalog.=) any (p.partattrs::pg_catalog.int2[])), '[]'),
  'leaves', coalesce((
    select pg_catalog.json_agg(pg_catalog.json_build_object(
             'oid', m.oid::pg_catalog.text, 'table', m.name, 'kind', m.relkind,
             'rows', greatest(m.reltuples, 0::pg_catalog.float4)::pg_catalog.int8,
             'keys', coalesce((
      select pg_catalog.json_agg(pg_catalog.json_build_object('primary', k.indisprimary, 'columns', k.columns)
               order by k.indisprimary desc, k.indnkeyatts, k.indexrelid)
        from (
          select i.indisprimary, i.indnkeyatts, i.indexrelid,
                 (select pg_catalog.json_agg(pg_catalog.json_build_object(
                           'name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                           'operators', opn.nspname) order by part.at)
                    from pg_catalog.generate_series(0, i.indnkeyatts::pg_catalog.int4 operator(pg_catalog.-) 1) as part (at)
                    join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) i.indrelid
                     and a.attnum operator(pg_catalog.=) i.indkey[part.at]
                    join pg_catalog.pg_opclass oc on oc.oid operator(pg_catalog.=) i.indclass[part.at]
                    join pg_catalog.pg_amop ao on ao.amopfamily operator(pg_catalog.=) oc.opcfamily
                     and ao.amopstrategy operator(pg_catalog.=) 5::pg_catalog.int2
                     and ao.amoplefttype operator(pg_catalog.=) oc.opcintype
                     and ao.amoprighttype operator(pg_catalog.=) oc.opcintype
                    join pg_catalog.pg_operator op on op.oid operator(pg_catalog.=) ao.amopopr
                    join pg_catalog.pg_namespace opn on opn.oid operator(pg_catalog.=) op.oprnamespace
                   where a.attnotnull and op.oprname operator(pg_catalog.=) '>'::pg_catalog.name
                     and i.indcollation[part.at] operator(pg_catalog.=) a.attcollation
                     and i.indoption[part.at] operator(pg_catalog.=) i.indoption[0]) as columns
            from pg_catalog.pg_index i
            join pg_catalog.pg_class ic on ic.oid operator(pg_catalog.=) i.indexrelid
            join pg_catalog.pg_am am on am.oid operator(pg_catalog.=) ic.relam
           where i.indrelid operator(pg_catalog.=) m.oid and i.indisunique and i.indisvalid and i.indimmediate
             and i.indpred is null and i.indexprs is null and am.amname operator(pg_catalog.=) 'btree'::pg_catalog.name
        ) k
       where pg_catalog.json_array_length(k.columns) operator(pg_catalog.=) k.indnkeyatts::pg_catalog.int4), '[]'))
      order by m.name)
      from members m where m.relkind operator(pg_catalog.<>) 'p'::pg_catalog."char"), '[]'))
  from named n join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) n.oid) as walked`;
}

function walksOf(backfill: Backfill, walked: WalkedRelation): readonly Walk[] | string {
  const { sets, by, command, makesItsWhereFalse } = backfill;
  if (walked.kind !== 'r' && walked.kind !== 'p')
    return `${walked.table} is not a table, and only the rows of a table can be walked`;
  const moved = walked.partitionedBy.find((column) => sets.includes(column));
  if (moved !== undefined)
    return `it sets ${moved}, which decides the partition of a row: a row that moves could be met twice`;
  // With ONLY, a partitioned table has no rows of its own.
  const parts = walked.leaves;
  const walks: Walk[] = [];
  for (const leaf of parts) {
    if (leaf.kind !== 'r') return `its part ${leaf.table} is not a table of this database`;
    const keys = leaf.keys.filter(
      ({ columns }) =>
        columns.every(({ name }) => !sets.includes(name)) &&
        columns.every(({ operators }) => operators === columns[0]?.operators),
    );
    const wanted = by === undefined ? keys[0] : keys.find(({ columns }) => isKey(columns, by));
    if (by !== undefined && wanted === undefined)
      return `${leaf.table} has no valid unique index on exactly (${by.join(', ')}), all of them NOT NULL and none set by the statement`;
    if (wanted === undefined && !makesItsWhereFalse)
      return command === 'insert'
        ? `${leaf.table} has no key to walk by, and without one a row that is updated meanwhile could be copied twice`
        : `${leaf.table} has no key to walk by, and nothing in the statement's WHERE shows which rows are done`;
    walks.push({
      oid: leaf.oid,
      table: leaf.table,
      isPart: leaf.table !== walked.table || parts.length > 1,
      estimatedRows: leaf.rows,
      way: wanted === undefined ? { kind: 'blocks' } : { kind: 'key', columns: wanted.columns },
    });
  }
  return walks;
}

function isKey(columns: readonly KeyColumn[], by: readonly string[]): boolean {
  return columns.length === by.length && columns.every(({ name }, at) => name === by[at]);
}

/** The planner has no row count for a table that was never analysed: a sample of a thousand blocks estimates it, to a few per cent. */
export function sampleOf({ table, oid }: Walk): string {
  const blocks = `(select pg_catalog.pg_relation_size(${oid}::pg_catalog.regclass) operator(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.int8 as all_of_them)`;
  const share = `(select least(100::pg_catalog.float8, 100000::pg_catalog.float8 operator(pg_catalog./) greatest(b.all_of_them, 1::pg_catalog.int8)::pg_catalog.float8) from ${blocks} as b)`;
  return `select pg_catalog.round(pg_catalog.count(*)::pg_catalog.float8 operator(pg_catalog.*) 100::pg_catalog.float8 operator(pg_catalog./) ${share})::pg_catalog.text as rows
  from only ${table} as w tablesample pg_catalog.system (${share}::pg_catalog.float4)`;
}
