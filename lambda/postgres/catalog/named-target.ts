import * as v from 'valibot';
import type { RelationName } from '../../migration/relation-name.ts';
import type { Build } from '../../work/build.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { quoteLiteral } from '../session/quote.ts';
import { ASKED, findDomain, findRelations, rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';
import { relationOid } from './relation-oid.ts';

/** `part`: a leaf of the partition tree of what the file names. */
const meaning = v.picklist(['absent', 'named', 'part', 'other']);

const target = v.object({
  table: meaning,
  index: meaning,
  /** The index is one of the table. */
  onTable: v.nullable(v.boolean()),
  partitioned: v.nullable(v.boolean()),
});

/**
 * What a build's schema, table and index are to the relation or domain that its file names, as the file's settings find
 * it now. Throws what Postgres says where it can't be found under them.
 */
export async function namedTarget(
  session: Session,
  { schema, table, index, settings }: Build,
  named: { readonly kind: 'relation' | 'domain'; readonly name: RelationName },
): Promise<v.InferOutput<typeof target>> {
  const isDomain = named.kind === 'domain';
  const [s, t, x] = [schema, table, index].map(quoteLiteral);
  const oid = isDomain
    ? `(select d.oid from pg_catalog.pg_type d join pg_catalog.pg_namespace n on n.oid = d.typnamespace
         where n.nspname = ${s} and d.typname = ${t})`
    : relationOid(String(s), String(t));
  const { row, fault } = await rolledBack(session, [
    ...settings,
    ...questionLimits({ statement: 10_000, lock: 1_000 }),
    isDomain ? findDomain(named.name) : findRelations([named.name]),
    OWN_PATH,
    `select pg_catalog.json_build_object('table', ${meaningOf('recorded.table')}, 'index', ${meaningOf('recorded.index')},
         'onTable', (select i.indrelid = recorded.table from pg_catalog.pg_index i where i.indexrelid = recorded.index),
         'partitioned', (select c.relkind = 'p' from pg_catalog.pg_class c where c.oid = recorded.table)) as target
  from (select ${oid} as table, ${relationOid(String(s), String(x))} as index) as recorded, ${ASKED}`,
  ]);
  if (fault !== undefined) throw fault;
  return v.parse(target, JSON.parse(row?.target ?? 'null'));
}

function meaningOf(oid: string): string {
  return `case when ${oid} is null then 'absent' when ${oid} = asked.oid then 'named'
              when exists (select from pg_catalog.pg_partition_tree(asked.oid::pg_catalog.regclass) part
                            where part.isleaf and part.relid = ${oid}::pg_catalog.regclass) then 'part' else 'other' end`;
}
