import type { RangeVar } from 'libpg-query';
import type { TouchedRows } from '../../lambda/migration/migration.ts';
import { type RelationName, relationKey } from '../../lambda/migration/relation-name.ts';
import { as, type Node, relationOf, strings, walk } from '../syntax/syntax-tree.ts';

/** The tables in FROM and USING, and those whose rows are changed, wherever they occur. */
export function rowsOf(tree: Node): TouchedRows | undefined {
  const relations: RelationName[] = [];
  const columns = new Set<string>();
  const aliases = new Set<string | undefined>();
  const add = (relation: RangeVar | undefined) => {
    if (relation === undefined) return;
    relations.push(relationOf(relation));
    aliases.add(relation.alias?.aliasname ?? relation.relname);
  };
  walk(tree, (object) => {
    const node = object as unknown as Node;
    add(as('RangeVar', node));
    const insert = as('InsertStmt', node);
    if (insert?.onConflictClause !== undefined) add(insert.relation);
    add((as('UpdateStmt', node) ?? as('DeleteStmt', node) ?? as('MergeStmt', node))?.relation);
    const copy = as('CopyStmt', node);
    if (copy !== undefined && !copy.is_from) add(copy.relation);
    const last = as('ColumnRef', node)?.fields?.at(-1);
    if (last !== undefined || copy !== undefined) columns.add(as('String', last)?.sval ?? '*');
    const set = as('ResTarget', node)?.name;
    if (set !== undefined) columns.add(set);
    const join = as('JoinExpr', node);
    for (const name of strings(join?.usingClause)) columns.add(name);
    if (join?.isNatural) columns.add('*');
    return true;
  });
  if (relations.length === 0) return undefined;
  // The name of a table stands for its rows.
  if ([...columns].some((name) => aliases.has(name))) columns.add('*');
  return {
    relations: [...new Map(relations.map((relation) => [relationKey(relation), relation])).values()],
    columns: [...columns],
  };
}
