import { createHash } from 'node:crypto';
import * as v from 'valibot';
import type { Build } from '../../work/build.ts';
import { quoteIdentifier, quoteRelation } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { relationOid } from './relation-oid.ts';

/** One table of a partition tree, and its index that belongs to the wanted one, if there is one. */
export interface TreeNode {
  readonly oid: number;
  readonly parent: number | undefined;
  readonly schema: string;
  readonly table: string;
  readonly leaf: boolean;
  /** A foreign table, which has no indexes here. */
  readonly foreign: boolean;
  /** Attached to the parent's index; for the root, the wanted index itself. */
  readonly attachedIndex: string | undefined;
  /** Whether that index is older than the wanted one: somebody else created it, or an earlier attempt. */
  readonly attachedIsOlder: boolean;
}

const nodeRow = v.object({
  oid: v.number(),
  parent: v.nullable(v.number()),
  schema: v.string(),
  table: v.string(),
  leaf: v.boolean(),
  foreign: v.boolean(),
  attached_index: v.nullable(v.string()),
  attached_is_older: v.nullable(v.boolean()),
});

/** The whole tree as it is now, parents first, including partitions created since the hand-off. */
export async function readTree(session: Session, build: Build): Promise<TreeNode[]> {
  const rows = await session.query(
    `with recursive wanted as (
       select x.oid from pg_catalog.pg_class x join pg_catalog.pg_index i on i.indexrelid = x.oid
        where x.oid = ${relationOid('$1', '$3')} and i.indrelid = ${relationOid('$1', '$2')}
      union all
       select h.inhrelid from wanted join pg_catalog.pg_inherits h on h.inhparent = wanted.oid
     )
     select c.oid::bigint::float8 as oid, t.parentrelid::oid::bigint::float8 as parent, n.nspname as schema,
            c.relname as table, t.isleaf as leaf, c.relkind = 'f' as foreign,
            (select x.relname from wanted
               join pg_catalog.pg_class x on x.oid = wanted.oid
               join pg_catalog.pg_index i on i.indexrelid = x.oid
              where i.indrelid = c.oid) as attached_index,
            (select i.indexrelid < ${relationOid('$1', '$3')} from wanted
               join pg_catalog.pg_index i on i.indexrelid = wanted.oid
              where i.indrelid = c.oid) as attached_is_older
       from pg_catalog.pg_partition_tree(${relationOid('$1', '$2')}::pg_catalog.regclass) as t
       join pg_catalog.pg_class c on c.oid = t.relid
       join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      order by t.level, c.relname`,
    [build.schema, build.table, build.index],
  );
  return rows.map((row) => {
    const { parent, attached_index, attached_is_older, ...node } = v.parse(nodeRow, row);
    return {
      ...node,
      parent: parent ?? undefined,
      attachedIndex: attached_index ?? undefined,
      attachedIsOlder: attached_is_older === true,
    };
  });
}

/**
 * Indexes of partitions that equal the wanted one (which exists on ONLY the root) and are not attached to another, by
 * the table's oid. Compared as CREATE INDEX itself does, so the order of a key does not count.
 */
export async function equalIndexes(session: Session, build: Build): Promise<ReadonlyMap<number, string>> {
  const key = (index: string) => `array(select pg_catalog.pg_get_indexdef(${index}.indexrelid, part, false)
               from pg_catalog.generate_series(1, ${index}.indnatts::pg_catalog.int4) as part)`;
  const families = (index: string) => `array(select c.opcfamily
               from pg_catalog.unnest(${index}.indclass::pg_catalog.oid[]) with ordinality as part (class, ordinal)
               join pg_catalog.pg_opclass c on c.oid = part.class order by part.ordinal)`;
  // The last comparison is of PostgreSQL 15 and later.
  const rows = await session.query(
    `select distinct on (i.indrelid) i.indrelid::bigint::float8 as oid, x.relname as index
       from pg_catalog.pg_index w
       join pg_catalog.pg_class wx on wx.oid = w.indexrelid
       join pg_catalog.pg_partition_tree(w.indrelid) as tree on tree.level > 0
       join pg_catalog.pg_index i on i.indrelid = tree.relid::pg_catalog.oid
       join pg_catalog.pg_class x on x.oid = i.indexrelid
      where w.indexrelid = ${relationOid('$1', '$3')} and w.indrelid = ${relationOid('$1', '$2')}
        and i.indisvalid and i.indisready and i.indislive and not i.indisexclusion
        and not exists (select from pg_catalog.pg_inherits h where h.inhrelid = i.indexrelid)
        and x.relam = wx.relam and i.indisunique = w.indisunique
        and i.indnkeyatts = w.indnkeyatts and i.indnatts = w.indnatts
        and i.indcollation::pg_catalog.oid[] = w.indcollation::pg_catalog.oid[]
        and ${families('i')} = ${families('w')}
        and ${key('i')} = ${key('w')}
        and pg_catalog.pg_get_expr(i.indpred, i.indrelid) is not distinct from pg_catalog.pg_get_expr(w.indpred, w.indrelid)
        and pg_catalog.to_jsonb(i) -> 'indnullsnotdistinct' is not distinct from pg_catalog.to_jsonb(w) -> 'indnullsnotdistinct'
      order by i.indrelid, i.indexrelid`,
    [build.schema, build.table, build.index],
  );
  return new Map(
    rows.map((row) => {
      const { oid, index } = v.parse(v.object({ oid: v.number(), index: v.string() }), row);
      return [oid, index];
    }),
  );
}

/** Name of the index on a partition: `events_2026_events_user_idx`, cut with a hash where it would be too long. */
export function partitionIndexName(table: string, index: string): string {
  const name = `${table}_${index}`;
  if (Buffer.byteLength(name) <= 63) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, 8);
  let cut = name;
  while (Buffer.byteLength(cut) > 63 - 9) cut = [...cut].slice(0, -1).join('');
  return `${cut}_${hash}`;
}

/** CREATE INDEX on the partitioned table alone: nothing is built, the index stays INVALID until all are attached. */
export function createOnOnly(build: Build, node: TreeNode, index: string): string {
  const unique = build.unique ? 'unique ' : '';
  const table = quoteRelation({ schema: node.schema, name: node.table });
  return `create ${unique}index ${quoteIdentifier(index)} on only ${table} ${build.definition}`;
}

export function attachPartition(
  parent: { readonly schema: string; readonly index: string },
  partition: { readonly schema: string; readonly index: string },
): string {
  const to = quoteRelation({ schema: parent.schema, name: parent.index });
  return `alter index ${to} attach partition ${quoteRelation({ schema: partition.schema, name: partition.index })}`;
}
