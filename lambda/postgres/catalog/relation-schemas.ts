import * as v from 'valibot';
import type { RelationName } from '../../migration/relation-name.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { ASKED, findRelations, rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';

const foundRows = v.array(v.object({ number: v.number(), schema: v.string(), name: v.string() }));

/**
 * The relations with the schemas in which these settings (a file's own SET statements) find them. Leaves out relations
 * that do not exist (yet).
 */
export async function withSchemas<Named extends { readonly relation: RelationName }>(
  session: Session,
  named: readonly Named[],
  settings: readonly string[],
): Promise<Named[]> {
  if (named.length === 0) return [];
  const { row, fault } = await rolledBack(session, [
    ...settings,
    ...questionLimits({ statement: 5_000, lock: 1_000 }),
    findRelations(named.map(({ relation }) => relation)),
    OWN_PATH,
    `select pg_catalog.json_agg(pg_catalog.json_build_object(
                'number', asked.number - 1, 'schema', n.nspname, 'name', c.relname)) as found
         from ${ASKED}
         join pg_catalog.pg_class c on c.oid = asked.oid
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace`,
  ]);
  if (fault !== undefined) throw fault;
  const found = v.parse(foundRows, JSON.parse(row?.found ?? '[]'));
  return found.flatMap(({ number, schema, name }) => {
    const one = named[number];
    return one === undefined ? [] : [{ ...one, relation: { schema, name } }];
  });
}
