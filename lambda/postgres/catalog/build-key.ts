import * as v from 'valibot';
import type { UniqueKey } from '../../migration/deploy-check.ts';
import type { IndexBuild } from '../../work/index-build.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { quoteRelation } from '../session/quote.ts';
import { rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';

const PROBE = 'unique_key_probe';

const keyRow = v.object({
  parts: v.array(v.string()),
  where: v.nullable(v.string()),
  nullsNotDistinct: v.nullable(v.boolean()),
});

/**
 * The key of a unique index that is to be built, in Postgres's own words: the index is made on an empty temporary copy
 * of the table's columns, read, and all is rolled back. Undefined where that can't be done, such as for an expression
 * over the whole row.
 */
export async function keyOfBuild(session: Session, build: IndexBuild): Promise<UniqueKey | undefined> {
  const table = quoteRelation({ schema: build.schema, name: build.table });
  const { row, fault } = await rolledBack(session, [
    ...build.settings,
    ...questionLimits({ statement: 0, lock: 1_000 }),
    `create temporary table ${PROBE} (like ${table}) on commit drop`,
    `create unique index ${PROBE}_index on pg_temp.${PROBE} ${build.definition}`,
    OWN_PATH,
    // The last field is of PostgreSQL 15 and later.
    `select pg_catalog.json_build_object(
         'parts', (select pg_catalog.json_agg(pg_catalog.pg_get_indexdef(i.indexrelid, part, false) order by part)
                     from pg_catalog.generate_series(1, i.indnkeyatts) as part),
         'where', pg_catalog.pg_get_expr(i.indpred, i.indrelid),
         'nullsNotDistinct', pg_catalog.to_jsonb(i) -> 'indnullsnotdistinct') as key
  from pg_catalog.pg_index i where i.indexrelid = 'pg_temp.${PROBE}_index'::pg_catalog.regclass`,
  ]);
  if (fault !== undefined) return undefined;
  const { parts, where, nullsNotDistinct } = v.parse(keyRow, JSON.parse(row?.key ?? 'null'));
  return { parts, where: where ?? undefined, nullsNotDistinct: nullsNotDistinct === true };
}
