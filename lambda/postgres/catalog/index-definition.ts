import { isPermanent } from '../../migration/sqlstate.ts';
import type { Build } from '../../work/build.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { quoteLiteral, quoteRelation } from '../session/quote.ts';
import { rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { onEmptyCopy } from './empty-copy.ts';

export type ComparedDefinitions =
  | { readonly kind: 'same' }
  | { readonly kind: 'different'; readonly wanted: string; readonly found: string }
  /** The wanted definition can't be written down without its table, such as an expression over the whole row. */
  | { readonly kind: 'unknown'; readonly because: string };

/**
 * Compares the wanted definition with the existing index, as Postgres writes both. They are read under OWN_PATH, since
 * the search path decides how functions and types are written. Where Postgres can't tell, equal texts count as equal.
 *
 * @throws StatementFault if that is not possible now, such as when a lock is taken.
 */
export async function compareDefinitions(
  session: Session,
  build: Build,
  standing: string,
): Promise<ComparedDefinitions> {
  const index = `${quoteLiteral(quoteRelation({ schema: build.schema, name: build.index }))}::pg_catalog.regclass`;
  const { row, fault } = await onEmptyCopy(session, build, (wanted) => [
    OWN_PATH,
    `select ${bodyOf(wanted)} as wanted, ${bodyOf(index)} as body, ${headOf(index)} as head,
       ${meaningOf(wanted)} operator(pg_catalog.=) ${meaningOf(index)} as means_the_same,
       i.indisunique as is_unique, pg_catalog.pg_get_indexdef(i.indexrelid) as found
  from pg_catalog.pg_index i where i.indexrelid = ${index}`,
  ]);
  if (fault !== undefined) {
    if (!isPermanent(fault.fault)) throw fault;
    // Under the file's settings, names are written as the file may write them.
    const { row: own } = await rolledBack(session, [
      ...build.settings,
      `select pg_catalog.pg_get_indexdef(${index}) as found`,
    ]);
    const alike = [standing, own?.found ?? ''].some((text) => isWrittenAlike(build, text));
    return alike ? { kind: 'same' } : { kind: 'unknown', because: fault.plainMessage };
  }
  const { wanted, body, head, is_unique, found, means_the_same } = row ?? {};
  if (wanted == null || body == null || head == null || found == null) {
    return { kind: 'unknown', because: 'one of the two is gone' };
  }
  const same = wanted === body || means_the_same === 't';
  if ((is_unique === 't') === build.unique && same) return { kind: 'same' };
  const start = head.replace(/^CREATE (UNIQUE )?/, build.unique ? 'CREATE UNIQUE ' : 'CREATE ');
  return { kind: 'different', wanted: `${start}${wanted}`, found };
}

/**
 * `CREATE UNIQUE INDEX messages_x ON public.messages`, as pg_get_indexdef() begins. PostgreSQL 14 writes the temporary
 * schema's own name.
 */
function headOf(index: string): string {
  return `(select pg_catalog.format('CREATE %sINDEX %I ON %s%I.%I', case when i.indisunique then 'UNIQUE ' else '' end,
         x.relname, case when t.relkind = 'p' then 'ONLY ' else '' end,
         case when n.oid = pg_catalog.pg_my_temp_schema()
               and pg_catalog.current_setting('server_version_num')::pg_catalog.int4 >= 150000
              then 'pg_temp' else n.nspname end, t.relname)
     from pg_catalog.pg_index i
     join pg_catalog.pg_class x on x.oid = i.indexrelid
     join pg_catalog.pg_class t on t.oid = i.indrelid
     join pg_catalog.pg_namespace n on n.oid = t.relnamespace
    where i.indexrelid = ${index})`;
}

/** The rest: ` USING btree (x)`. */
function bodyOf(index: string): string {
  return `pg_catalog.substr(pg_catalog.pg_get_indexdef(${index}), pg_catalog.length(${headOf(index)}) + 1)`;
}

/**
 * The index as the catalog has it, except for how an expression was written: `x at time zone 'UTC'` is
 * `timezone('UTC', x)`, and Postgres shows each as written. Columns are numbered there, so a table with a dropped column
 * is compared by text alone.
 */
function meaningOf(index: string): string {
  return `(select pg_catalog.concat(pg_catalog.regexp_replace((pg_catalog.to_jsonb(i) - array['indexrelid', 'indrelid', 'indisunique', 'indisprimary',
             'indisexclusion', 'indimmediate', 'indisclustered', 'indisvalid', 'indcheckxmin', 'indisready', 'indislive', 'indisreplident'])::text,
           ':(\\w*format|location) -?[0-9]+', '', 'g'), x.relam, x.reloptions)
     from pg_catalog.pg_index i join pg_catalog.pg_class x on x.oid = i.indexrelid where i.indexrelid = ${index})`;
}

/**
 * Without quotes, white space and case make no difference. The whole row, for which a copy of the table is no help, may
 * be written t, t.* or schema.t.*.
 */
function isWrittenAlike({ unique, definition, schema, table }: Build, standing: string): boolean {
  const body = standing.slice(standing.indexOf(' USING '));
  if (/['"$]|--|\/\*/.test(definition + body)) return false;
  const wholeRow = /^\w+$/.test(schema + table)
    ? new RegExp(`\\b(?:${schema}\\.)?${table}\\b(?:\\.\\*)?(?![\\w.])`, 'g')
    : /(?!)/;
  const normal = (text: string) =>
    text
      .toLowerCase()
      .replace(wholeRow, table)
      .replace(/^\s*using btree\b/, '')
      .replace(/\s*([(),])\s*/g, '$1')
      .replace(/\s+/g, ' ')
      .trim();
  return standing.startsWith('CREATE UNIQUE') === unique && normal(definition) === normal(body);
}
