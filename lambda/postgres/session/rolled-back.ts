import type { RelationName } from '../../migration/relation-name.ts';
import type { StatementFault } from './fault.ts';
import { ROLE_PATH } from './own-path.ts';
import { quoteLiteral, quoteRelation } from './quote.ts';
import type { Session, TextRow } from './session.ts';

export interface RolledBack {
  /** The first row of the last statement; absent where it has none, or a statement failed. */
  readonly row: TextRow | undefined;
  readonly fault: StatementFault | undefined;
}

/**
 * Asks something in a transaction that leaves nothing behind, in one round trip: a file's own SET statements decide
 * there what a name means, and hold no longer than the question. What we ask under them names the schema of each
 * function, operator and type; after OWN_PATH it need not. Throws only SessionLost.
 */
export async function rolledBack(session: Session, statements: readonly string[]): Promise<RolledBack> {
  const { fault, rows } = await session.script(['begin', ROLE_PATH, ...statements, 'rollback'].join('\n;\n'));
  if (fault !== undefined) {
    await session.script('rollback');
    return { row: undefined, fault };
  }
  return { row: rows[statements.length + 1]?.[0], fault };
}

/**
 * Finds the relations as the settings before it have them, for a question under OWN_PATH: ASKED is then a row for each,
 * with its oid, null where there is none, and its number from 1.
 */
export function findRelations(relations: readonly RelationName[]): string {
  return found(relations.map(oidOf));
}

/** The same for a domain. */
export function findDomain(name: RelationName): string {
  return found([`pg_catalog.to_regtype(${quoteLiteral(quoteRelation(name))})`]);
}

function found(oids: readonly string[]): string {
  return `select pg_catalog.set_config('migrations.asked',
         array[${oids.join(', ')}]::pg_catalog.oid[]::pg_catalog.text, true)`;
}

/**
 * By a schema's name from the catalog, since to_regclass() fails on a schema that is closed to our role, and with it the
 * whole question.
 */
function oidOf(relation: RelationName): string {
  const { schema, name } = relation;
  if (schema === undefined || schema === 'pg_temp')
    return `pg_catalog.to_regclass(${quoteLiteral(quoteRelation(relation))})::pg_catalog.oid`;
  return `(select c.oid from pg_catalog.pg_class c
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
            where n.nspname operator(pg_catalog.=) ${quoteLiteral(schema)}::pg_catalog.name
              and c.relname operator(pg_catalog.=) ${quoteLiteral(name)}::pg_catalog.name)`;
}

/** In a FROM clause. */
export const ASKED = `pg_catalog.unnest(pg_catalog.current_setting('migrations.asked')::oid[])
         with ordinality as asked (oid, number)`;
