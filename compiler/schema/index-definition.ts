import type { IndexElem, IndexStmt } from 'libpg-query';
import { suggestedIndexName } from '../syntax/index-name.ts';
import { as, strings } from '../syntax/syntax-tree.ts';
import { columnsIn, expressionKey } from './expression.ts';
import type { Index, Origin, Relation } from './table.ts';

/** The index that CREATE INDEX makes. */
export function indexOf(
  statement: IndexStmt,
  { table, origin }: { readonly table: Relation; readonly origin: Origin },
): Index {
  const elements = elementsOf(statement.indexParams);
  const include = elementsOf(statement.indexIncludingParams).map((element) => element.name ?? '');
  return {
    name: statement.idxname ?? suggestedIndexName(statement),
    table,
    unique: statement.unique ?? false,
    method: statement.accessMethod ?? 'btree',
    keys: elements.map(keyOf),
    keyColumns: elements.map(({ name }) => name),
    columns: new Set([
      ...elements.flatMap((element) => element.name ?? columnsIn(element.expr)),
      ...include,
      ...columnsIn(statement.whereClause),
    ]),
    include,
    predicate: statement.whereClause === undefined ? undefined : expressionKey(statement.whereClause),
    nullsNotDistinct: statement.nulls_not_distinct ?? false,
    only: statement.relation?.inh !== true,
    constraint: false,
    origin,
  };
}

/** The index behind UNIQUE or PRIMARY KEY. */
export function constraintIndex(
  columns: readonly string[],
  { name, table, origin }: { readonly name: string; readonly table: Relation; readonly origin: Origin },
): Index {
  return {
    name,
    table,
    unique: true,
    method: 'btree',
    keys: columns.map((column) => keyOf({ name: column })),
    keyColumns: columns,
    columns: new Set(columns),
    include: [],
    predicate: undefined,
    nullsNotDistinct: false,
    only: false,
    constraint: true,
    origin,
  };
}

function elementsOf(nodes: IndexStmt['indexParams']): readonly IndexElem[] {
  return (nodes ?? []).map((node) => as('IndexElem', node) ?? {});
}

/** `asc` and `nulls last` are the defaults; after `desc` the default is `nulls first`. */
function keyOf({ name, expr, collation, opclass, opclassopts, ordering, nulls_ordering }: IndexElem): string {
  const descending = ordering === 'SORTBY_DESC';
  const nullsFirst =
    nulls_ordering === 'SORTBY_NULLS_FIRST' || (descending && nulls_ordering !== 'SORTBY_NULLS_LAST');
  return JSON.stringify([
    name ?? (expr === undefined ? '' : { expression: expressionKey(expr) }),
    strings(collation),
    strings(opclass),
    opclassopts?.map(expressionKey) ?? [],
    descending ? 'desc' : 'asc',
    nullsFirst,
  ]);
}
