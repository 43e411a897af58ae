import * as v from 'valibot';
import { count as counted } from '../../migration/amounts.ts';
import type { DataCheck, OrphansCheck, UniqueKey } from '../../migration/deploy-check.ts';
import { wordsOf } from '../../migration/postgres-fault.ts';
import type { RelationName } from '../../migration/relation-name.ts';
import type { Text } from '../../migration/row-values.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import type { StatementFault } from '../session/fault.ts';
import { OWN_PATH } from '../session/own-path.ts';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../session/quote.ts';
import { ASKED, findRelations, rolledBack } from '../session/rolled-back.ts';
import type { Session } from '../session/session.ts';
import { questionLimits } from '../session/statement-limits.ts';

/** Rows (for duplicates: keys) that would make a statement fail. */
export interface Broken {
  /** Exact up to MOST_COUNTED. */
  readonly count: number;
  readonly more: boolean;
  /** As Postgres writes a row: `(42,abc)`. A few; none for nulls and violations. */
  readonly examples: readonly string[];
}

/** The objects exist, and yet Postgres can't give us an answer. */
export interface Untold {
  readonly because: Text;
}

/** `3 rows`, `more than 1,000 rows` */
export function describeBroken({ count, more }: Broken, noun: string): string {
  return `${more ? 'more than ' : ''}${counted(count, noun)}`;
}

export const MOST_COUNTED = 1_000;
const MOST_EXAMPLES = 3;
const READ_ONLY = 'set transaction read only';

export interface Bounds {
  /** The file's own SET statements, which decide what names mean. */
  readonly settings: readonly string[];
  /** The search gives up after this time. */
  readonly milliseconds: number;
}

/** Where a check's rows are: `from` is a table as SQL, with ONLY if Postgres itself ignores inheriting tables. */
export interface RowsOf {
  readonly from: string;
  /** The table that a foreign key references, in the same form. */
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
 * Counts rows that would make the statement fail, up to MOST_COUNTED. Undefined if the objects don't exist yet: an
 * earlier file may create the table, the column or the function. Untold if they exist, but time ran out, our role may
 * not read them, row security hides rows, or Postgres reports another error. Writes nothing.
 */
export async function findBroken(
  session: Session,
  check: DataCheck,
  { rows, ...bounds }: Bounds & { readonly rows: RowsOf },
): Promise<Broken | Untold | undefined> {
  switch (check.kind) {
    case 'nulls':
      return ask(session, rowsWhere(rows, `${quoteIdentifier(check.column)} is null`), bounds);
    case 'violations':
      return ask(session, rowsWhere(rows, `not (${check.expression}\n)`), bounds);
    case 'duplicates':
      return findDuplicates(session, { from: rows.from, key: check.key }, bounds);
    case 'orphans':
      return findOrphans(session, check, { ...bounds, rows });
    default:
      return check satisfies never;
  }
}

/** How a unique index compares, if not by the type's own equality: operators as SQL. */
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
): Promise<Broken | Untold | undefined> {
  const compared = comparisons ?? (await comparisonsOf(session, key, bounds.settings));
  if (compared === undefined) return undefined;
  const query = compared.every((each) => each === undefined)
    ? duplicates(from, key)
    : duplicatesBy(from, key, compared);
  return ask(session, query, bounds);
}

/** Each of these is a query for `key`, a few of which are shown, and returns at most as many rows as are counted. */
function rowsWhere({ from }: RowsOf, condition: string): string {
  return `select null::pg_catalog.text as key from ${from} where ${condition} limit ${MOST_COUNTED + 1}`;
}

function duplicates(from: string, { parts, where, nullsNotDistinct }: UniqueKey): string {
  return `select pg_catalog.concat(row(${parts.join(', ')})::pg_catalog.text, ' in ', pg_catalog.count(*), ' rows') as key
  from ${from}${keyedRows({ parts, where, nullsNotDistinct })}
 group by ${parts.join(', ')}
having pg_catalog.count(*) operator(pg_catalog.>) 1
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

/** GROUP BY uses the type's own equality only: for any other, rows are sorted and compared with the next. */
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
  from (select shown, ${groups.map((group) => `${group}, `).join('')}pg_catalog.count(*) filter (where place operator(pg_catalog.=) 1 or not (${same})) over (
                 ${window((at) => `k${at}`, groups).slice(1, -1)} rows unbounded preceding) as number
          from (select row(${key.parts.join(', ')})::pg_catalog.text as shown, pg_catalog.row_number() over keys as place,
                       ${[
                         ...plain.map((part, at) => `${part} as g${at}`),
                         ...compared.map(
                           ({ part, at }) => `${part} as k${at}, pg_catalog.lag(${part}) over keys as l${at}`,
                         ),
                       ].join(', ')}
                  from ${from}${keyedRows(key)}
                window keys as ${own}) as neighbours) as numbered
 group by ${[...groups, 'number'].join(', ')}
having pg_catalog.count(*) operator(pg_catalog.>) 1
 limit ${MOST_COUNTED + 1}`;
}

async function findOrphans(
  session: Session,
  given: OrphansCheck,
  { rows, ...bounds }: Bounds & { readonly rows: RowsOf },
): Promise<Broken | Untold | undefined> {
  // `references users` means its primary key.
  const referenced =
    given.referenced.length > 0
      ? given.referenced
      : await primaryKeyOf(session, given.references, bounds.settings);
  const check = { ...given, referenced };
  const equalities = await keyEqualities(session, check, bounds.settings);
  return equalities === undefined ? undefined : ask(session, orphans(check, rows, equalities), bounds);
}

/** How a foreign key compares one of its columns with the referenced one; each of them SQL. */
interface KeyEquality {
  readonly operator: string;
  readonly own: string;
  readonly other: string;
}

const equalityRows = v.array(v.object({ operator: v.string(), own: v.string(), other: v.string() }));

/**
 * As Postgres chooses them: from the operator family of the unique index on just the referenced columns, in any order.
 * An operator's name alone could mean another one in the search path. Undefined without such an index. No cast is
 * written for operators on any enum, array, range or row: there is no such type to cast to.
 */
async function keyEqualities(
  session: Session,
  { relation, columns, references, referenced }: OrphansCheck,
  settings: readonly string[],
): Promise<readonly KeyEquality[] | undefined> {
  const array = (names: readonly string[]) => `array[${names.map(quoteLiteral).join(', ')}]::text[]`;
  const { row } = await rolledBack(session, [
    READ_ONLY,
    ...settings,
    findRelations([relation, references]),
    OWN_PATH,
    `with asked as (select * from ${ASKED}),
     pairs as (
  select k.ordinal, k.own, k.other, f.atttypid as own_type, p.attrelid, p.attnum
    from rows from (pg_catalog.unnest(${array(columns)}), pg_catalog.unnest(${array(referenced)})) with ordinality as k (own, other, ordinal)
    join pg_catalog.pg_attribute f on f.attrelid = (select oid from asked where number = 1) and f.attname = k.own
    join pg_catalog.pg_attribute p on p.attrelid = (select oid from asked where number = 2) and p.attname = k.other
     ), classes as (
  select distinct on (pairs.ordinal) pairs.*, c.opcfamily, c.opcintype
    from pairs
    join pg_catalog.pg_index i on i.indrelid = pairs.attrelid and i.indisunique and i.indpred is null
                              and i.indnkeyatts = ${columns.length}
    cross join rows from (pg_catalog.unnest(i.indkey::int2[]), pg_catalog.unnest(i.indclass::oid[])) with ordinality as part (attnum, class, place)
    join pg_catalog.pg_opclass c on c.oid = part.class
   where part.attnum = pairs.attnum and part.place <= i.indnkeyatts
     and (select pg_catalog.count(*) from pairs as all_of_them where all_of_them.attnum = any (i.indkey::int2[])) = ${columns.length}
   order by pairs.ordinal, i.indexrelid
     )
select pg_catalog.json_agg(pg_catalog.json_build_object(
         'operator', pg_catalog.format('operator(%I.%s)', n.nspname, o.oprname),
         'own', pg_catalog.format('own.%I%s', classes.own, '::' || pg_catalog.format_type(r.oid, null)),
         'other', pg_catalog.format('other.%I%s', classes.other, '::' || pg_catalog.format_type(l.oid, null)))
         order by classes.ordinal) as equalities
  from classes
 cross join lateral (
  select a.amopopr from pg_catalog.pg_amop a
   where a.amopfamily = classes.opcfamily and a.amopstrategy = 3 and a.amoplefttype = classes.opcintype
     and a.amoprighttype in (classes.own_type, classes.opcintype)
   order by a.amoprighttype <> classes.own_type
   limit 1) as equal
  join pg_catalog.pg_operator o on o.oid = equal.amopopr
  join pg_catalog.pg_namespace n on n.oid = o.oprnamespace
  left join pg_catalog.pg_type l on l.oid = o.oprleft and l.typtype <> 'p'
  left join pg_catalog.pg_type r on r.oid = o.oprright and r.typtype <> 'p'`,
  ]);
  const equalities = v.parse(equalityRows, JSON.parse(row?.equalities ?? '[]'));
  return equalities.length === columns.length ? equalities : undefined;
}

function orphans({ columns, full }: OrphansCheck, rows: RowsOf, equalities: readonly KeyEquality[]): string {
  const own = columns.map((column) => `own.${quoteIdentifier(column)}`);
  const same = equalities.map((equality) => `${equality.other} ${equality.operator} ${equality.own}`);
  const there = own.map((column) => `${column} is not null`);
  // One with a null refers to nothing, and MATCH FULL allows that where all are null.
  return `select row(${own.join(', ')})::pg_catalog.text as key
  from ${rows.from} as own
 where (${there.join(full ? ' or ' : ' and ')})
   and not exists (select from ${rows.references} as other where ${same.join(' and ')})
 limit ${MOST_COUNTED + 1}`;
}

async function ask(
  session: Session,
  query: string,
  { settings, milliseconds }: Bounds,
): Promise<Broken | Untold | undefined> {
  const { row, fault } = await rolledBack(session, [
    READ_ONLY,
    ...settings,
    ...questionLimits({ statement: Math.max(1, milliseconds), lock: 1_000 }),
    // The statement would see rows that are hidden from us: better no answer than a wrong one.
    'set local row_security = off',
    `with broken as materialized (\n${query}\n)
select pg_catalog.count(*) as broken,
       (select pg_catalog.json_agg(key) from (select distinct key from broken where key is not null limit ${MOST_EXAMPLES}) as few) as examples
  from broken`,
  ]);
  if (fault !== undefined) return untold(fault, milliseconds);
  const count = Number(row?.broken);
  const examples: unknown = JSON.parse(row?.examples ?? '[]');
  return {
    count: Math.min(count, MOST_COUNTED),
    more: count > MOST_COUNTED,
    examples: Array.isArray(examples) ? examples.map(String) : [],
  };
}

/** The object does not exist (yet); or it is a materialized view that was never filled. */
const NOT_THERE: ReadonlySet<string> = new Set([
  sqlstate.undefinedTable,
  sqlstate.undefinedColumn,
  sqlstate.undefinedFunction,
  sqlstate.undefinedObject,
  sqlstate.undefinedSchema,
  sqlstate.objectNotInPrerequisiteState,
]);

function untold({ fault }: StatementFault, milliseconds: number): Untold | undefined {
  if (NOT_THERE.has(fault.sqlstate)) return undefined;
  if (fault.sqlstate === sqlstate.queryCanceled)
    return { because: `looking took more than ${milliseconds / 1000} s` };
  return { because: wordsOf(fault) };
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

/** Operators of the operator classes that the statement names; undefined if one does not exist here. */
async function comparisonsOf(
  session: Session,
  { parts, operatorClasses = [] }: UniqueKey,
  settings: readonly string[],
): Promise<readonly (Comparison | undefined)[] | undefined> {
  if (operatorClasses.every((each) => each === null)) return parts.map(() => undefined);
  const classes = parts.map((_, at) => classNamed(operatorClasses[at] ?? null));
  const { row, fault } = await rolledBack(session, [
    READ_ONLY,
    ...settings,
    `select pg_catalog.set_config('migrations.asked', array[${classes.join(', ')}]::pg_catalog.oid[]::pg_catalog.text, true)`,
    OWN_PATH,
    `select pg_catalog.json_agg((select ${comparisonColumn} from pg_catalog.pg_opclass c where c.oid = asked.oid)
                             order by asked.number) as comparisons
  from ${ASKED}`,
  ]);
  if (fault !== undefined) return undefined;
  const found = parseComparisons(row?.comparisons);
  const complete = found.every((each, at) => (each === undefined) === (operatorClasses[at] === null));
  return complete ? found : undefined;
}

/** Its oid as SQL, as the search path of the file has it. */
function classNamed(name: RelationName | null): string {
  if (name === null) return 'null';
  const where =
    name.schema === undefined
      ? 'pg_catalog.pg_opclass_is_visible(c.oid)'
      : `n.nspname operator(pg_catalog.=) ${quoteLiteral(name.schema)}::pg_catalog.name`;
  return `(select c.oid from pg_catalog.pg_opclass c
             join pg_catalog.pg_am a on a.oid operator(pg_catalog.=) c.opcmethod
             join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.opcnamespace
            where a.amname operator(pg_catalog.=) 'btree'::pg_catalog.name
              and c.opcname operator(pg_catalog.=) ${quoteLiteral(name.name)}::pg_catalog.name and ${where})`;
}

/** Columns of a table's primary key, in order; empty if it has none, or does not exist. */
async function primaryKeyOf(
  session: Session,
  relation: RelationName,
  settings: readonly string[],
): Promise<readonly string[]> {
  const { row } = await rolledBack(session, [
    READ_ONLY,
    ...settings,
    findRelations([relation]),
    OWN_PATH,
    `select pg_catalog.json_agg(a.attname order by key.ordinal) as columns
  from ${ASKED}
  join pg_catalog.pg_index i on i.indrelid = asked.oid and i.indisprimary
 cross join pg_catalog.unnest(i.indkey::pg_catalog.int2[]) with ordinality as key (attnum, ordinal)
  join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = key.attnum`,
  ]);
  const columns: unknown = JSON.parse(row?.columns ?? '[]');
  return Array.isArray(columns) ? columns.map(String) : [];
}
