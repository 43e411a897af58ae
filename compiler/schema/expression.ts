import { fingerprint } from '../syntax/fingerprint.ts';
import { as, kindOf, type Node, strings, walk } from '../syntax/syntax-tree.ts';

/** The same value for the same expression, whatever its white space and case. */
export function expressionKey(node: Node): string {
  return fingerprint([node]);
}

/** Names of the columns that an expression mentions, in the order in which they first appear. */
export function columnsIn(tree: unknown): readonly string[] {
  const columns = new Set<string>();
  walk(tree, (object) => {
    const reference = object.ColumnRef as { fields?: Node[] } | undefined;
    const column = strings(reference?.fields).at(-1);
    if (column !== undefined && column !== '') columns.add(column);
    return true;
  });
  return [...columns];
}

/** Columns that cannot be null where this is true: `a is not null and b is not null`. */
export function provenNotNull(node: Node | undefined): readonly string[] {
  if (node === undefined) return [];
  const all = as('BoolExpr', node);
  if (all?.boolop === 'AND_EXPR') return (all.args ?? []).flatMap(provenNotNull);
  const test = as('NullTest', node);
  if (test?.nulltesttype !== 'IS_NOT_NULL') return [];
  const column = columnName(test.arg);
  return column === undefined ? [] : [column];
}

/** The column, where the expression is just a column. */
export function columnName(node: Node | undefined): string | undefined {
  if (node === undefined || kindOf(node) !== 'ColumnRef') return undefined;
  return strings(as('ColumnRef', node)?.fields).at(-1);
}
