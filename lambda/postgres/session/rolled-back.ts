import type { RelationName } from '../../migration/relation-name.ts';
import type { StatementFault } from './fault.ts';
import { ROLE_PATH } from './own-path.ts';
import { quoteLiteral, quoteRelation } from './quote.ts';
import type { Session, TextRow } from './session.ts';

export interface RolledBack {
  /** The first row of the last statement; absent without one, or if a statement failed. */
  readonly row: TextRow | undefined;
  readonly fault: StatementFault | undefined;
  /** Which statement failed, from 0; how many there are, if none did. */
  readonly at: number;
}

/**
 * Runs a query in a transaction that is rolled back, in one round trip: a file's own SET statements decide there what
 * names mean, and end with it. Under them, our query must qualify each function, operator and type; after OWN_PATH it
 * need not. Throws only SessionLost.
 */
export async function rolledBack(session: Session, statements: readonly string[]): Promise<RolledBack> {
  const { fault, rows, completed } = await session.script(
    ['begin', ROLE_PATH, ...statements, 'rollback'].join('\n;\n'),
  );
  if (fault !== undefined) {
    await session.script('rollback');
    return { row: undefined, fault, at: completed - 2 };
  }
  return { row: rows[statements.length + 1]?.[0], fault, at: statements.length };
}

/**
 * Resolves the relations under the settings before it, for a query under OWN_PATH: ASKED then has a row for each, with
 * its oid (null if it does not exist) and its number from 1.
 */
export function findRelations(relations: readonly RelationName[]): string {
  return found(relations.map(oidOf));
}

/** The same for a domain. */
export function findDomain(name: RelationName): string {
  return found([`pg_catalog.to_regtype(${quoteLiteral(quoteRelation(name))})`]);
}

// 0 means none: with array_nulls off, a null does not survive as text.
function found(oids: readonly string[]): string {
  return `select pg_catalog.set_config('migrations.asked',
         array[${oids.map((oid) => `coalesce(${oid}, 0::pg_catalog.oid)`).join(', ')}]::pg_catalog.oid[]::pg_catalog.text, true)`;
}

/**
 * Finds the schema in the catalog, since to_regclass() fails on a schema that our role may not use, and the whole query
 * with it.
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

/** For a FROM clause. */
export const ASKED = `(select nullif(oid, 0::oid) as oid, number
          from pg_catalog.unnest(pg_catalog.current_setting('migrations.asked')::oid[])
               with ordinality as found (oid, number)) as asked`;
