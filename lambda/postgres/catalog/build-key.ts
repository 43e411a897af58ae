import * as v from 'valibot';
import type { UniqueKey } from '../../migration/deploy-check.ts';
import type { Build } from '../../work/build.ts';
import { OWN_PATH } from '../session/own-path.ts';
import type { Session } from '../session/session.ts';
import { type Comparison, comparisonColumn } from './data-check.ts';
import { onEmptyCopy } from './empty-copy.ts';

const keyRow = v.object({
  parts: v.array(v.string()),
  where: v.nullable(v.string()),
  nullsNotDistinct: v.nullable(v.boolean()),
  comparisons: v.array(v.nullable(v.object({ less: v.string(), equals: v.string() }))),
});

export interface BuildKey {
  readonly key: UniqueKey;
  /** The equality operator of each part; undefined for the type's own. */
  readonly comparisons: readonly (Comparison | undefined)[];
}

/**
 * The key of a unique index that is to be built, as Postgres writes it: the index is created on an empty temporary copy
 * of the table's columns and read, and everything is rolled back. Undefined if that can't be done, such as for an
 * expression over the whole row.
 */
export async function keyOfBuild(session: Session, build: Build): Promise<BuildKey | undefined> {
  const { row, fault } = await onEmptyCopy(session, build, (index) => [
    OWN_PATH,
    // The last field is of PostgreSQL 15 and later.
    `select pg_catalog.json_build_object(
         'parts', (select pg_catalog.json_agg(pg_catalog.pg_get_indexdef(i.indexrelid, part, false) order by part)
                     from pg_catalog.generate_series(1, i.indnkeyatts) as part),
         'where', pg_catalog.pg_get_expr(i.indpred, i.indrelid),
         'nullsNotDistinct', pg_catalog.to_jsonb(i) -> 'indnullsnotdistinct',
         'comparisons', (
           select pg_catalog.json_agg(case when not (c.opcdefault
                                                     and (c.opcintype = a.atttypid or of_type.typtype = 'p'
                                                          or (a.atttypid = 'pg_catalog.varchar'::pg_catalog.regtype
                                                              and c.opcintype = 'pg_catalog.text'::pg_catalog.regtype)))
                                      then ${comparisonColumn} end order by part.ordinal)
             from pg_catalog.unnest(i.indclass::pg_catalog.oid[]) with ordinality as part (class, ordinal)
             join pg_catalog.pg_opclass c on c.oid = part.class
             join pg_catalog.pg_type of_type on of_type.oid = c.opcintype
             join pg_catalog.pg_attribute a on a.attrelid = i.indexrelid and a.attnum = part.ordinal)) as key
  from pg_catalog.pg_index i where i.indexrelid = ${index}`,
  ]);
  if (fault !== undefined) return undefined;
  const { parts, where, nullsNotDistinct, comparisons } = v.parse(keyRow, JSON.parse(row?.key ?? 'null'));
  return {
    key: { parts, where: where ?? undefined, nullsNotDistinct: nullsNotDistinct === true },
    comparisons: comparisons.map((each) => each ?? undefined),
  };
}
