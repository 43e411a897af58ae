import type { IndexBuild } from '../../work/index-build.ts';
import { isPermanent } from '../../work/permanence.ts';
import { quoteLiteral, quoteRelation } from '../session/quote.ts';
import { rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';

export type ComparedDefinitions =
  | { readonly kind: 'same' }
  | { readonly kind: 'different'; readonly wanted: string; readonly found: string }
  /** The wanted definition can't be had without its table, such as an expression over the whole row. */
  | { readonly kind: 'unknown' };

const PROBE = 'index_definition_probe';

/**
 * Compares the wanted definition with the index that stands, in Postgres's own words: the wanted one is made on an
 * empty temporary copy of the table's columns, both are read, and all is rolled back. The search path is emptied
 * before they are read, since it decides how functions and types are written.
 *
 * @throws StatementFault where that can't be said now, such as a lock that is not to be had.
 */
export async function compareDefinitions(session: Session, build: IndexBuild): Promise<ComparedDefinitions> {
  const table = quoteRelation({ schema: build.schema, name: build.table });
  const index = quoteLiteral(quoteRelation({ schema: build.schema, name: build.index }));
  const { row, fault } = await rolledBack(session, [
    ...build.settings,
    ...questionLimits({ statement: 0, lock: 10_000 }),
    `create temporary table ${PROBE} (like ${table}) on commit drop`,
    `create ${build.unique ? 'unique ' : ''}index ${PROBE}_index on pg_temp.${PROBE} ${build.definition}`,
    "set local search_path = ''",
    `select pg_catalog.pg_get_indexdef('pg_temp.${PROBE}_index'::pg_catalog.regclass) as wanted,
       pg_catalog.pg_get_indexdef(i.indexrelid) as found,
       pg_catalog.format('CREATE %sINDEX %I ON %s%I.%I', case when i.indisunique then 'UNIQUE ' else '' end,
         x.relname, case when t.relkind = 'p' then 'ONLY ' else '' end, n.nspname, t.relname) as head
  from pg_catalog.pg_index i
  join pg_catalog.pg_class x on x.oid = i.indexrelid
  join pg_catalog.pg_class t on t.oid = i.indrelid
  join pg_catalog.pg_namespace n on n.oid = t.relnamespace
 where i.indexrelid = ${index}::pg_catalog.regclass`,
  ]);
  if (fault !== undefined) {
    if (!isPermanent(fault.fault)) throw fault;
    return { kind: 'unknown' };
  }
  const { wanted, found, head } = row ?? {};
  if (typeof wanted !== 'string' || typeof found !== 'string' || typeof head !== 'string') {
    return { kind: 'unknown' };
  }
  const from = wanted.indexOf(' USING ');
  const unique = found.startsWith('CREATE UNIQUE');
  if (unique === build.unique && wanted.slice(from) === found.slice(head.length)) return { kind: 'same' };
  const start = head.replace(/^CREATE (UNIQUE )?/, build.unique ? 'CREATE UNIQUE ' : 'CREATE ');
  return { kind: 'different', wanted: `${start}${wanted.slice(from)}`, found };
}
