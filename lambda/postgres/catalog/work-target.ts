import * as v from 'valibot';
import type { LongStatement } from '../../migration/migration.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { quoteLiteral } from '../session/quote.ts';
import { ASKED, findDomain, findRelations, rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { measureTables } from './table-facts.ts';

/** The target of a long statement, as it is now. */
export interface WorkTarget {
  readonly schema: string;
  /** The table, view or domain. */
  readonly table: string;
  /** Rows of the largest table that it reads: exact up to the limit of a small one. */
  readonly rows: number;
  /** Bytes of all tables that it reads. */
  readonly bytes: number;
}

const found = v.object({
  schema: v.string(),
  table: v.string(),
  reads: v.nullish(v.array(v.object({ schema: v.string(), name: v.string() })), []),
});

/**
 * Finds the relation or domain under the file's settings, and how much there is to read: the tables under a view that
 * is refreshed, those with a column of a domain, both tables of a foreign key. Undefined if it does not exist: Postgres
 * will say so.
 */
export async function workTarget(
  session: Session,
  { operation, relation, names }: LongStatement,
  { limit, settings }: { readonly limit: number; readonly settings: readonly string[] },
): Promise<WorkTarget | undefined> {
  if (relation === undefined) return undefined;
  const constraints = `array[${names.map(quoteLiteral).join(', ')}]::pg_catalog.text[]`;
  const { row, fault } = await rolledBack(session, [
    ...settings,
    ...(operation === 'validate-domain'
      ? [findDomain(relation), OWN_PATH, domainQuery()]
      : [findRelations([relation]), OWN_PATH, relationQuery(constraints)]),
  ]);
  if (fault !== undefined) throw fault;
  if (row?.found == null) return undefined;
  const { schema, table, reads } = v.parse(found, JSON.parse(row.found));
  const sizes = await measureTables(session, reads, { limit, settings: [] });
  const present = sizes.filter((size) => size.kind === 'present');
  return {
    schema,
    table,
    rows: Math.max(0, ...present.map(({ rows }) => rows)),
    bytes: present.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

function relationQuery(constraints: string): string {
  return `with recursive named as (
  select c.oid, c.relname, n.nspname from ${ASKED}
    join pg_catalog.pg_class c on c.oid = asked.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
), under (oid) as (
  select oid from named
  union
  select d.refobjid from under
    join pg_catalog.pg_rewrite r on r.ev_class = under.oid
    join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
     and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
), read as (
  select oid from under
  union
  select k.confrelid from pg_catalog.pg_constraint k join named on k.conrelid = named.oid
   where k.confrelid <> 0 and k.conname = any (${constraints})
)
select (select pg_catalog.json_build_object('schema', named.nspname, 'table', named.relname, 'reads', (
          select pg_catalog.json_agg(pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname))
            from read join pg_catalog.pg_class c on c.oid = read.oid
            join pg_catalog.pg_namespace n on n.oid = c.relnamespace
           where c.relkind in ('r', 'm', 'p') and n.nspname <> 'pg_catalog')) from named) as found`;
}

function domainQuery(): string {
  return `select pg_catalog.json_build_object('schema', n.nspname, 'table', t.typname, 'reads', (
         select pg_catalog.json_agg(pg_catalog.json_build_object('schema', within.nspname, 'name', c.relname))
           from pg_catalog.pg_class c join pg_catalog.pg_namespace within on within.oid = c.relnamespace
          where c.relkind in ('r', 'm', 'p')
            and c.oid in (select a.attrelid from pg_catalog.pg_attribute a where a.atttypid = t.oid))) as found
  from ${ASKED}
  join pg_catalog.pg_type t on t.oid = asked.oid
  join pg_catalog.pg_namespace n on n.oid = t.typnamespace`;
}
