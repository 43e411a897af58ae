import type { RangeVar } from 'libpg-query';
import type { Touches } from '../../lambda/migration/migration.ts';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import { as, createdRelation, kindOf, type Node, relationOf, walk } from '../syntax/syntax-tree.ts';
import { ddlTouches, type Gathered } from './ddl-touches.ts';
import type { Kinship } from './kinship.ts';
import { rowsOf } from './rows.ts';

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
  const rows = stores || isWithoutData(tree) ? undefined : rowsOf(tree);
  const changes = unique([...gathered.changes, ...kinship.lockedWith(tree, gathered.changes)]);
  const partOf = unique(kinship.ancestorsOf(gathered.changes));
  return {
    creates: unique(gathered.creates),
    changes,
    writes: unique(gathered.writes),
    upserts: unique(gathered.upserts),
    indexes: unique(gathered.indexes),
    opaque: gathered.opaque,
    ...(partOf.length > 0 && { partOf }),
    ...(rows && { rows: kinship.throughViews(rows) }),
  };
}

/** CREATE TABLE AS and CREATE MATERIALIZED VIEW that do not run their query. */
function isWithoutData(tree: Node): boolean {
  return as('CreateTableAsStmt', tree)?.into?.skipData === true;
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
  if (into !== undefined) creates.push(createdRelation(into));
  return true;
}

function unique(relations: readonly RelationName[]): readonly RelationName[] {
  const seen = new Map(
    relations.map((relation) => [JSON.stringify([relation.schema, relation.name]), relation]),
  );
  return [...seen.values()];
}
