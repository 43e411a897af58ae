import { count as counted } from '../../migration/amounts.ts';
import type { DataCheck, OrphansCheck, UniqueKey } from '../../migration/deploy-check.ts';
import type { RelationName } from '../../migration/relation-name.ts';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../session/quote.ts';
import { rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';

/** Rows, or for duplicates keys, that a statement would stumble over. */
export interface Broken {
  /** Exact up to MOST_COUNTED. */
  readonly count: number;
  readonly more: boolean;
  /** As Postgres writes a row: `(42,abc)`. A few; none for nulls and violations. */
  readonly examples: readonly string[];
}

/** `3 rows`, `more than 1,000 rows` */
export function describeBroken({ count, more }: Broken, noun: string): string {
  return `${more ? 'more than ' : ''}${counted(count, noun)}`;
}

export const MOST_COUNTED = 1_000;
const MOST_EXAMPLES = 3;
const READ_ONLY = 'set transaction read only';

export interface Bounds {
  /** The file's own SET statements, since they decide what a name means. */
  readonly settings: readonly string[];
  /** The search ends after so long, without an answer. */
  readonly milliseconds: number;
}

/**
 * Looks for rows that would make the statement fail; counting ends at MOST_COUNTED. Undefined where it can't be told:
 * the time was over, or a table or column is not there yet, or not for our role to read. Writes nothing.
 */
export async function findBroken(
  session: Session,
  check: DataCheck,
  bounds: Bounds,
): Promise<Broken | undefined> {
  switch (check.kind) {
    case 'nulls':
      return ask(session, rowsWhere(check.relation, `${quoteIdentifier(check.column)} is null`), bounds);
    case 'violations':
      return ask(session, rowsWhere(check.relation, `not (${check.expression}\n)`), bounds);
    case 'duplicates':
      return findDuplicates(session, check, bounds);
    case 'orphans':
      return ask(session, orphans(check), bounds);
    default:
      return check satisfies never;
  }
}

/** Keys of a unique index that is to be built, in the same way. */
export function findDuplicates(
  session: Session,
  { relation, key }: { readonly relation: RelationName; readonly key: UniqueKey },
  bounds: Bounds,
): Promise<Broken | undefined> {
  return ask(session, duplicates(quoteRelation(relation), key), bounds);
}

/** Each of these is a query for `key`, a few of which are shown, and for no more rows than are counted. */
function rowsWhere(relation: RelationName, condition: string): string {
  return `select null::text as key from ${quoteRelation(relation)} where ${condition} limit ${MOST_COUNTED + 1}`;
}

/** `from` is a table as SQL. */
function duplicates(from: string, { parts, where, nullsNotDistinct }: UniqueKey): string {
  const conditions = [
    ...(where === undefined ? [] : [`(${where}\n)`]),
    ...(nullsNotDistinct ? [] : parts.map((part) => `(${part}) is not null`)),
  ];
  return `select pg_catalog.concat(row(${parts.join(', ')})::text, ' in ', pg_catalog.count(*), ' rows') as key
  from ${from}${conditions.length === 0 ? '' : `\n where ${conditions.join('\n   and ')}`}
 group by ${parts.join(', ')}
having pg_catalog.count(*) > 1
 limit ${MOST_COUNTED + 1}`;
}

function orphans({ relation, columns, references, referenced }: OrphansCheck): string {
  const own = columns.map((column) => `own.${quoteIdentifier(column)}`);
  const other = referenced.map((column) => `other.${quoteIdentifier(column)}`);
  const same = own.map((column, at) => `${other[at] ?? 'null'} = ${column}`);
  return `select row(${own.join(', ')})::text as key
  from ${quoteRelation(relation)} as own
 where ${own.map((column) => `${column} is not null`).join(' and ')}
   and not exists (select from ${quoteRelation(references)} as other where ${same.join(' and ')})
 limit ${MOST_COUNTED + 1}`;
}

async function ask(
  session: Session,
  query: string,
  { settings, milliseconds }: Bounds,
): Promise<Broken | undefined> {
  const { row, fault } = await rolledBack(session, [
    READ_ONLY,
    ...settings,
    ...questionLimits({ statement: Math.max(1, milliseconds), lock: 1_000 }),
    `with broken as materialized (\n${query}\n)
select pg_catalog.count(*) as broken,
       (select pg_catalog.json_agg(key) from (select distinct key from broken where key is not null limit ${MOST_EXAMPLES}) as few) as examples
  from broken`,
  ]);
  if (fault !== undefined) return undefined;
  const count = Number(row?.broken);
  const examples: unknown = JSON.parse(row?.examples ?? '[]');
  return {
    count: Math.min(count, MOST_COUNTED),
    more: count > MOST_COUNTED,
    examples: Array.isArray(examples) ? examples.map(String) : [],
  };
}

/** Columns of a table's primary key, in its order; empty where it has none, or is not there. */
export async function primaryKeyOf(
  session: Session,
  relation: RelationName,
  settings: readonly string[],
): Promise<readonly string[]> {
  const { row } = await rolledBack(session, [
    READ_ONLY,
    ...settings,
    `select pg_catalog.json_agg(a.attname order by key.ordinal) as columns
  from pg_catalog.pg_index i
 cross join pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality as key (attnum, ordinal)
  join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = key.attnum
 where i.indisprimary and i.indrelid = pg_catalog.to_regclass(${quoteLiteral(quoteRelation(relation))})`,
  ]);
  const columns: unknown = JSON.parse(row?.columns ?? '[]');
  return Array.isArray(columns) ? columns.map(String) : [];
}
