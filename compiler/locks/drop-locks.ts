import type { DropStmt } from 'libpg-query';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import { as, relationOfParts, relationTypes, strings } from '../syntax/syntax-tree.ts';
import type { LockList } from './lock-list.ts';

/** Named as `table.name`. */
const PARTS: ReadonlySet<string> = new Set(['OBJECT_POLICY', 'OBJECT_RULE', 'OBJECT_TRIGGER']);

export function dropLocks(
  { removeType = 'OBJECT_TABLE', objects = [], behavior, concurrent }: DropStmt,
  locks: LockList,
): void {
  for (const object of objects) {
    const parts = strings(as('List', object)?.items);
    if (parts.length === 0) continue;
    if (removeType === 'OBJECT_INDEX') dropIndex(relationOfParts(parts), concurrent === true, locks);
    else if (PARTS.has(removeType)) locks.addFamily(relationOfParts(parts.slice(0, -1)), 'access exclusive');
    else if (relationTypes.has(removeType))
      dropRelation(relationOfParts(parts), behavior === 'DROP_CASCADE', locks);
  }
}

/** The index gets the same lock as its table, and a query waits for both. */
function dropIndex(name: RelationName, concurrently: boolean, locks: LockList): void {
  const mode = concurrently ? 'share update exclusive' : 'access exclusive';
  locks.add(name, mode);
  const table = locks.schema.index(name)?.table;
  if (table !== undefined) locks.addFamily(table.name, mode);
}

/** Its partitions are dropped with it; its parents, and the tables at the other end of its foreign keys, are locked too. */
function dropRelation(name: RelationName, cascade: boolean, locks: LockList): void {
  locks.addFamily(name, 'access exclusive');
  const relation = locks.schema.relation(name);
  if (relation === undefined) return;
  for (const each of [relation, ...locks.family(name)]) {
    // Dropping a child table does not lock its plain parent.
    for (const parent of each.parents.filter(({ kind }) => kind !== 'table')) {
      locks.add(parent.name, 'access exclusive');
      locks.addDefaultPartition(parent.name);
      if (cascade && locks.isReferred(parent.name)) {
        // A foreign key of the partitioned table is dropped from every partition.
        locks.addFamily(parent.name, 'access exclusive');
        locks.addReferring(parent.name, 'access exclusive');
      }
    }
    for (const { references } of each.constraints.values()) {
      if (references !== undefined) locks.addFamily(references.name, 'access exclusive');
    }
  }
  if (cascade) locks.addReferring(name, 'access exclusive');
}
