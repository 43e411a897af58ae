/**
 * SQL for the oid of a relation by its schema and name, which are SQL expressions themselves; null where there is none.
 * Everybody may read the catalogs, whereas to_regclass() raises an error if our role has no USAGE on the schema, which
 * only the role of a file's SET ROLE may have.
 */
export function relationOid(schema: string, name: string): string {
  return `(select named.oid from pg_catalog.pg_class named
          join pg_catalog.pg_namespace within on within.oid = named.relnamespace
         where within.nspname = ${schema}::pg_catalog.name and named.relname = ${name}::pg_catalog.name)`;
}
