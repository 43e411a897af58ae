import type { KeyColumn, Walk, Way } from '../../postgres/catalog/walks.ts';
import { quoteIdentifier, quoteLiteral } from '../../postgres/session/quote.ts';

/** The setting that passes a batch's upper bound from our query to the author's statement within one message. */
export const UNTIL = 'migrations.backfill_until';

export interface Batch {
  /** Key of the last row before the batch, or its first block; undefined at the start. */
  readonly from: readonly string[] | undefined;
  readonly until: readonly string[];
  readonly rows: number;
}

/** The values of a key, or a setting that has them as a JSON list of texts. */
type Key = readonly string[] | { readonly setting: string };

/** A value as text that its type reads back: as its output function writes it, and under any DateStyle. */
function asText(alias: string, { name, type }: KeyColumn): string {
  const column = `${alias}.${quoteIdentifier(name)}`;
  return /^(?:date|timestamp)[^[]*$/.test(type)
    ? `(pg_catalog.to_json(${column}) operator(pg_catalog.#>>) '{}'::pg_catalog.text[])`
    : `pg_catalog.format('%s'::pg_catalog.text, ${column})`;
}

function texts(columns: readonly KeyColumn[]): string {
  return columns.map((column) => asText('w', column)).join(', ');
}

/** `until`: the highest key of the table, or its number of blocks; null where it has none. */
export function endOf({ table, oid, way }: Walk): string {
  if (way.kind === 'blocks')
    return `select case when file.blocks operator(pg_catalog.>) 0::pg_catalog.int8
            then pg_catalog.json_build_array(file.blocks::pg_catalog.text)::pg_catalog.text end as until
  from (select pg_catalog.pg_relation_size(${oid}::pg_catalog.regclass)
                 operator(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.int8 as blocks) as file`;
  const columns = way.columns.map(({ name }) => `w.${quoteIdentifier(name)}`);
  return `select pg_catalog.json_build_array(${texts(way.columns)})::pg_catalog.text as until
  from only ${table} as w order by ${columns.map((column) => `${column} desc`).join(', ')} limit 1`;
}

/** Finds the end of the batch, and puts it into a setting for the statement in the same message. */
export function boundQuery(walk: Walk, { from, until, rows }: Batch): string {
  const end = quoteLiteral(JSON.stringify(until));
  if (walk.way.kind === 'blocks') {
    const to = Math.min(Number(until[0]), Number(from?.[0] ?? 0) + rows);
    const bound = quoteLiteral(JSON.stringify([String(to)]));
    return `select pg_catalog.set_config('${UNTIL}', ${bound}, true) as until, ${to >= Number(until[0])} as last`;
  }
  const bound = lastOf(walk.table, walk.way.columns, { from, until, skipped: String(rows - 1) });
  return `select pg_catalog.set_config('${UNTIL}', coalesce(found.bound, ${end}), true) as until,
       found.bound is null or found.bound operator(pg_catalog.=) ${end}::pg_catalog.text as last
  from (select (${bound}) as bound) as found`;
}

/** The key of the row after so many that are skipped, as a JSON list; no row if that is beyond the end. */
export function lastOf(
  table: string,
  columns: readonly KeyColumn[],
  { from, until, skipped }: { readonly from: Key | undefined; readonly until: Key; readonly skipped: string },
): string {
  const names = columns.map(({ name }) => `w.${quoteIdentifier(name)}`);
  const after = from === undefined ? '' : `where ${behindKey({ kind: 'key', columns }, 'w', from)}`;
  // The end is not a bound of the scan: between two bounds, a planner without statistics expects few rows and sorts
  // them.
  return `select pg_catalog.json_build_array(${texts(columns)})::pg_catalog.text
                  from (select ${names.join(', ')} from only ${table} as w ${after}
                         order by ${names.join(', ')} offset ${skipped} limit 1) as w
                 where ${keyOf(columns, 'w')} operator(${operatorsOf(columns)}.<=) ${valuesOf(columns, until)}`;
}

function valuesOf(columns: readonly KeyColumn[], key: Key): string {
  const typed = columns.map(({ type }, at) => `${valueAt(key, at)}::${type}`);
  return typed.length === 1 ? String(typed[0]) : `(${typed.join(', ')})`;
}

function valueAt(key: Key, at: number): string {
  return 'setting' in key
    ? `(pg_catalog.current_setting('${key.setting}')::pg_catalog.json operator(pg_catalog.->>) ${at})`
    : quoteLiteral(key[at] ?? '');
}

/** The beginning of a block. */
function blockOf(key: Key): string {
  return 'setting' in key
    ? `('(' operator(pg_catalog.||) ${valueAt(key, 0)} operator(pg_catalog.||) ',0)')::pg_catalog.tid`
    : `'(${Number(key[0] ?? 0)},0)'::pg_catalog.tid`;
}

/** Condition: the row comes after this key, or is in this block or a later one. */
export function behindKey(way: Way, alias: string, key: Key): string {
  if (way.kind === 'blocks') return `${alias}.ctid operator(pg_catalog.>=) ${blockOf(key)}`;
  const { columns } = way;
  return `${keyOf(columns, alias)} operator(${operatorsOf(columns)}.>) ${valuesOf(columns, key)}`;
}

/** The key as one value, or a row of them. */
function keyOf(columns: readonly KeyColumn[], alias: string): string {
  const names = columns.map(({ name }) => `${alias}.${quoteIdentifier(name)}`);
  return names.length === 1 ? String(names[0]) : `(${names.join(', ')})`;
}

/** The schema of the operators by which its index compares. */
function operatorsOf([first]: readonly KeyColumn[]): string {
  return quoteIdentifier(first?.operators ?? 'pg_catalog');
}

/** The bounds of a batch up to what boundQuery() has left in the setting, as a condition on the statement's table. */
export function boundsOf({ way }: Walk, alias: string, from: Key | undefined): string {
  const until = { setting: UNTIL };
  if (way.kind === 'blocks')
    return `${behindKey(way, alias, from ?? [])} and ${alias}.ctid operator(pg_catalog.<) ${blockOf(until)}`;
  const after = from === undefined ? '' : `${behindKey(way, alias, from)} and `;
  const { columns } = way;
  return `${after}${keyOf(columns, alias)} operator(${operatorsOf(columns)}.<=) ${valuesOf(columns, until)}`;
}
