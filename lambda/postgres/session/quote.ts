import type { RelationName } from '../../migration/relation-name.ts';

/** Quotes an identifier. The only function that does: every name from outside enters SQL text through it. */
export function quoteIdentifier(name: string): string {
  if (name.includes('\0')) throw new TypeError('an identifier cannot contain the NUL character');
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * Quotes a string constant, for the few places that take no bind parameter: many statements in one message, and
 * utility statements. Safe with both settings of standard_conforming_strings.
 */
export function quoteLiteral(value: string): string {
  if (value.includes('\0')) throw new TypeError('a text cannot contain the NUL character');
  const doubled = value.replaceAll("'", "''");
  return value.includes('\\') ? `E'${doubled.replaceAll('\\', '\\\\')}'` : `'${doubled}'`;
}

/** `"schema"."name"`, or `"name"` where the search path decides. */
export function quoteRelation({ schema, name }: RelationName): string {
  return schema === undefined ? quoteIdentifier(name) : `${quoteIdentifier(schema)}.${quoteIdentifier(name)}`;
}
