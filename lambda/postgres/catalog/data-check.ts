import * as v from 'valibot';
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

/** Where a check's rows are: `from` is a table as SQL, with ONLY where Postgres itself leaves out what inherits. */
export interface RowsOf {
  readonly from: string;
  /** The table that a foreign key refers to, in the same way. */
  readonly references?: string;
}

/** A table as SQL: `alone` without the tables that inherit from it. A partitioned table is its partitions. */
export function fromOf(
  relation: RelationName,
  { partitioned, alone }: { readonly partitioned: boolean; readonly alone: boolean },
): string {
  return `${alone && !partitioned ? 'only ' : ''}${quoteRelation(relation)}`;
}

/**
 * Looks for rows that would make the statement fail; counting ends at MOST_COUNTED. Undefined where it can't be told:
 * the time was over, a table or column is not there yet or not for our role to read, row security hides rows, or
 * whatever else Postgres has to say. Writes nothing.
 */
export async function findBroken(
  session: Session,
  check: DataCheck,
  { rows, ...bounds }: Bounds & { readonly rows: RowsOf },
): Promise<Broken | undefined> {
  switch (check.kind) {
    case 'nulls':
      return ask(session, rowsWhere(rows, `${quoteIdentifier(check.column)} is null`), bounds);
    case 'violations':
      return ask(session, rowsWhere(rows, `not (${check.expression}\n)`), bounds);
    case 'duplicates':
      return findDuplicates(session, { from: rows.from, key: check.key }, bounds);
    case 'orphans': {
      const key = await referencedKey(session, check, bounds.settings);
      return key === undefined ? undefined : ask(session, orphans(check, rows, key), bounds);
    }
    default:
      return check satisfies never;
  }
}

/** How a unique index compares, where that is not the equality of the type itself: operators as SQL. */
export interface Comparison {
  readonly less: string;
  readonly equals: string;
}

interface Keys {
  readonly from: string;
  readonly key: UniqueKey;
  /** One for each part of the key, undefined for the type's own; looked up by operator class where it is left out. */
  readonly comparisons?: readonly (Comparison | undefined)[];
}

/** Keys of a unique index that is to be built, in the same way. */
export async function findDuplicates(
  session: Session,
  { from, key, comparisons }: Keys,
  bounds: Bounds,
): Promise<Broken | undefined> {
  const compared = comparisons ?? (await comparisonsOf(session, key, bounds.settings));
  if (compared === undefined) return undefined;
  const query = compared.every((each) => each === undefined)
    ? duplicates(from, key)
    : duplicatesBy(from, key, compared);
  return ask(session, query, bounds);
}

/** Each of these is a query for `key`, a few of which are shown, and for no more rows than are counted. */
function rowsWhere({ from }: RowsOf, condition: string): string {
  return `select null::text as key from ${from} where ${condition} limit ${MOST_COUNTED + 1}`;
}

function duplicates(from: string, { parts, where, nullsNotDistinct }: UniqueKey): string {
  return `select pg_catalog.concat(row(${parts.join(', ')})::text, ' in ', pg_catalog.count(*), ' rows') as key
  from ${from}${keyedRows({ parts, where, nullsNotDistinct })}
 group by ${parts.join(', ')}
having pg_catalog.count(*) > 1
 limit ${MOST_COUNTED + 1}`;
}

/** The rows that the index holds to be comparable at all. */
function keyedRows({ parts, where, nullsNotDistinct }: UniqueKey): string {
  const conditions = [
    ...(where === undefined ? [] : [`(${where}\n)`]),
    ...(nullsNotDistinct ? [] : parts.map((part) => `(${part}) is not null`)),
  ];
  return conditions.length === 0 ? '' : `\n where ${conditions.join('\n   and ')}`;
}

/** GROUP BY knows the type's own equality alone: by another one, rows are put in order and compared with the next. */
function duplicatesBy(
  from: string,
  key: UniqueKey,
  comparisons: readonly (Comparison | undefined)[],
): string {
  const compared = key.parts.flatMap((part, at) => {
    const by = comparisons[at];
    return by === undefined ? [] : [{ part, by, at }];
  });
  const plain = key.parts.filter((_, at) => comparisons[at] === undefined);
  const window = (columns: (at: number) => string, groups: readonly string[]) =>
    `(${groups.length === 0 ? '' : `partition by ${groups.join(', ')} `}order by ${compared
      .map(({ by, at }) => `${columns(at)} using ${by.less}`)
      .join(', ')})`;
  const own = window((at) => key.parts[at] ?? '', plain);
  const groups = plain.map((_, at) => `g${at}`);
  const same = compared
    .map(({ by, at }) => `coalesce(k${at} ${by.equals} l${at}, k${at} is null and l${at} is null)`)
    .join(' and ');
  return `select pg_catalog.concat(pg_catalog.min(shown), ' in ', pg_catalog.count(*), ' rows') as key
  from (select shown, ${groups.map((group) => `${group}, `).join('')}pg_catalog.count(*) filter (where place = 1 or not (${same})) over (
                 ${window((at) => `k${at}`, groups).slice(1, -1)} rows unbounded preceding) as number
          from (select row(${key.parts.join(', ')})::text as shown, pg_catalog.row_number() over keys as place,
                       ${[
                         ...plain.map((part, at) => `${part} as g${at}`),
                         ...compared.map(
                           ({ part, at }) => `${part} as k${at}, pg_catalog.lag(${part}) over keys as l${at}`,
                         ),
                       ].join(', ')}
                  from ${from}${keyedRows(key)}
                window keys as ${own}) as neighbours) as numbered
 group by ${[...groups, 'number'].join(', ')}
having pg_catalog.count(*) > 1
 limit ${MOST_COUNTED + 1}`;
}

function orphans({ columns }: OrphansCheck, rows: RowsOf, key: readonly ReferencedColumn[]): string {
  const own = columns.map((column) => `own.${quoteIdentifier(column)}`);
  const same = own.map((column, at) => {
    const other = key[at];
    return other === undefined ? 'false' : `other.${quoteIdentifier(other.column)} ${other.equals} ${column}`;
  });
  return `select row(${own.join(', ')})::text as key
  from ${rows.from} as own
 where ${own.map((column) => `${column} is not null`).join(' and ')}
   and not exists (select from ${rows.references} as other where ${same.join(' and ')})
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
    // What is hidden from us is there for the statement: better no answer than a wrong one.
    'set local row_security = off',
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

const comparisonRows = v.array(v.nullable(v.object({ less: v.string(), equals: v.string() })));

/** For `json_agg()`, with pg_opclass as `c`: the operators by which an index of that class compares. */
export const comparisonColumn = `(
    select pg_catalog.json_build_object('less', pg_catalog.max(o.name) filter (where o.strategy = 1),
                                        'equals', pg_catalog.max(o.name) filter (where o.strategy = 3))
      from (select s.amopstrategy as strategy,
                   pg_catalog.format('operator(%I.%s)', n.nspname, op.oprname) as name
              from pg_catalog.pg_amop s
              join pg_catalog.pg_operator op on op.oid = s.amopopr
              join pg_catalog.pg_namespace n on n.oid = op.oprnamespace
             where s.amopfamily = c.opcfamily and s.amoplefttype = c.opcintype and s.amoprighttype = c.opcintype
               and s.amoppurpose = 's') as o)`;

export function parseComparisons(json: string | null | undefined): readonly (Comparison | undefined)[] {
  return v.parse(comparisonRows, JSON.parse(json ?? '[]')).map((each) => each ?? undefined);
}

/** Of the operator classes that the statement names; undefined where one of them is not known here. */
async function comparisonsOf(
  session: Session,
  { parts, operatorClasses = [] }: UniqueKey,
  settings: readonly string[],
): Promise<readonly (Comparison | undefined)[] | undefined> {
  if (operatorClasses.every((each) => each === undefined || each === null)) return parts.map(() => undefined);
  const classes = parts.map((_, at) => {
    const named = operatorClasses[at];
    if (named === undefined || named === null) return 'null::pg_catalog.json';
    const schema =
      named.schema === undefined
        ? 'pg_catalog.pg_opclass_is_visible(c.oid)'
        : `c.opcnamespace = (select n.oid from pg_catalog.pg_namespace n where n.nspname = ${quoteLiteral(named.schema)})`;
    return `(select ${comparisonColumn} from pg_catalog.pg_opclass c join pg_catalog.pg_am a on a.oid = c.opcmethod
          where a.amname = 'btree' and c.opcname = ${quoteLiteral(named.name)} and ${schema})`;
  });
  const { row, fault } = await rolledBack(session, [
    READ_ONLY,
    ...settings,
    `select pg_catalog.json_build_array(${classes.join(', ')}) as comparisons`,
  ]);
  if (fault !== undefined) return undefined;
  const found = parseComparisons(row?.comparisons);
  const complete = found.every((each, at) => (each === undefined) === (operatorClasses[at] == null));
  return complete ? found : undefined;
}

interface ReferencedColumn {
  readonly column: string;
  /** As the index under the key compares, wherever its operator lies. */
  readonly equals: string;
}

const referencedColumns = v.array(v.object({ column: v.string(), equals: v.string() }));

/**
 * What a foreign key refers to, column by column: the primary key where it names none. Undefined where there is no
 * such key, or nothing can be told.
 */
async function referencedKey(
  session: Session,
  { references, referenced, columns }: OrphansCheck,
  settings: readonly string[],
): Promise<readonly ReferencedColumn[] | undefined> {
  const names = referenced.length === 0 ? 'null' : `array[${referenced.map(quoteLiteral).join(', ')}]`;
  const { row, fault } = await rolledBack(session, [
    READ_ONLY,
    ...settings,
    `select key.columns as key
  from pg_catalog.pg_index i
 cross join lateral (
   select pg_catalog.array_agg(a.attname::pg_catalog.text) as names,
          pg_catalog.json_agg(pg_catalog.json_build_object('column', a.attname,
            'equals', pg_catalog.format('operator(%I.%s)', n.nspname, op.oprname))
            order by coalesce(pg_catalog.array_position(${names}::pg_catalog.text[], a.attname::pg_catalog.text), part.ordinal::pg_catalog.int4)) as columns
     from rows from (pg_catalog.unnest(i.indkey::pg_catalog.int2[]), pg_catalog.unnest(i.indclass::pg_catalog.oid[]))
                    with ordinality as part (attnum, class, ordinal)
     join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = part.attnum
     join pg_catalog.pg_opclass c on c.oid = part.class
     join pg_catalog.pg_amop s on s.amopfamily = c.opcfamily and s.amoplefttype = c.opcintype
                              and s.amoprighttype = c.opcintype and s.amopstrategy = 3 and s.amoppurpose = 's'
     join pg_catalog.pg_operator op on op.oid = s.amopopr
     join pg_catalog.pg_namespace n on n.oid = op.oprnamespace
    where part.ordinal <= i.indnkeyatts) as key
 where i.indrelid = pg_catalog.to_regclass(${quoteLiteral(quoteRelation(references))})
   and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
   and case when ${names}::pg_catalog.text[] is null then i.indisprimary
            else key.names @> ${names}::pg_catalog.text[] and key.names <@ ${names}::pg_catalog.text[] end
 order by i.indisprimary desc
 limit 1`,
  ]);
  if (fault !== undefined || row?.key === undefined || row.key === null) return undefined;
  const key = v.parse(referencedColumns, JSON.parse(row.key));
  return key.length === columns.length ? key : undefined;
}
