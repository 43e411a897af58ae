import { isPermanent } from '../../migration/sqlstate.ts';
import type { Build } from '../../work/build.ts';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../session/quote.ts';
import { type RolledBack, rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';

const PROBE = 'index_definition_probe';

/**
 * Reads a build's index as Postgres would store it: creates it on an empty copy of the table's columns, reads it, and
 * rolls everything back. The copy has the table's name, since expressions may name it. If our role may not create
 * temporary tables, it is a materialized view without data in the ledger's schema.
 *
 * @param select is given the index as SQL, a regclass
 */
export async function onEmptyCopy(
  session: Session,
  build: Build,
  select: (index: string) => readonly string[],
): Promise<RolledBack> {
  const from = quoteRelation({ schema: build.schema, name: build.table });
  const name = quoteIdentifier(build.table);
  const ledger = quoteIdentifier(build.ledger);
  const ask = (schema: string, before: readonly string[]) =>
    rolledBack(session, [
      ...build.settings,
      ...questionLimits({ statement: 0, lock: 10_000 }),
      ...before,
      `create ${build.unique ? 'unique ' : ''}index ${PROBE} on ${schema}.${name} ${build.definition}`,
      ...select(`${quoteLiteral(`${schema}.${PROBE}`)}::pg_catalog.regclass`),
    ]);
  const temporary = await ask('pg_temp', [`create temporary table ${name} (like ${from}) on commit drop`]);
  if (temporary.fault === undefined || !isPermanent(temporary.fault.fault)) return temporary;
  const stored = await ask(ledger, [
    // The ledger is our own role's, not the file's.
    'reset session authorization',
    'reset role',
    `create materialized view ${ledger}.${name} as select * from ${from} with no data`,
  ]);
  return stored.fault === undefined ? stored : temporary;
}
