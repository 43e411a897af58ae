import type { RangeVar } from 'libpg-query';
import type { TouchedRows, Touches } from '../../lambda/migration/migration.ts';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import { as, kindOf, type Node, relationOf, strings, walk } from '../syntax/syntax-tree.ts';
import { ddlTouches, type Gathered } from './ddl-touches.ts';
import type { Kinship } from './kinship.ts';

/** Kinds that store statements without running them. */
const STORING: ReadonlySet<string> = new Set(['CreateFunctionStmt', 'PrepareStmt', 'RuleStmt', 'ViewStmt']);

/** How a statement affects relations, including those that only the folder shows it to lock. */
export function touchesOf(tree: Node, kinship: Kinship): Touches {
  const gathered: Gathered = {
    creates: [],
    changes: [],
    writes: [],
    upserts: [],
    indexes: [],
    opaque: false,
  };
  ddlTouches(tree, gathered);
  const stores = STORING.has(kindOf(tree));
  if (!stores) walk(tree, (object) => dataTouches(object, gathered));
  const rows = stores ? undefined : rowsOf(tree);
  return {
    creates: unique(gathered.creates),
    changes: unique([...gathered.changes, ...kinship.lockedWith(tree, gathered.changes)]),
    writes: unique(gathered.writes),
    upserts: unique(gathered.upserts),
    indexes: unique(gathered.indexes),
    opaque: gathered.opaque,
    ...(rows && { rows }),
  };
}

/** The tables in FROM and USING, and those whose rows are changed, wherever they occur. */
function rowsOf(tree: Node): TouchedRows | undefined {
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
  return { relations: unique(relations), columns: [...columns] };
}

/** INSERT and the like, wherever they occur: WITH, EXPLAIN ANALYZE, CREATE TABLE AS, COPY (…) TO. */
function dataTouches(object: Record<string, unknown>, { creates, writes, upserts }: Gathered): true {
  const target = (name: string) => (object[name] as { relation?: RangeVar } | undefined)?.relation;
  for (const kind of ['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt']) {
    const relation = target(kind);
    if (relation === undefined) continue;
    writes.push(relationOf(relation));
    const statement = object[kind] as Record<string, unknown>;
    if (kind === 'MergeStmt' || statement.onConflictClause !== undefined) upserts.push(relationOf(relation));
  }
  const into = (object.intoClause as { rel?: RangeVar } | undefined)?.rel;
  if (into !== undefined) creates.push(relationOf(into));
  return true;
}

function unique(relations: readonly RelationName[]): readonly RelationName[] {
  const seen = new Map(
    relations.map((relation) => [JSON.stringify([relation.schema, relation.name]), relation]),
  );
  return [...seen.values()];
}
