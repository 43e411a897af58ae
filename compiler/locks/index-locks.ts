import type { LockMode } from '../../lambda/migration/lock-modes.ts';
import { as, booleanOption, type Node, relationOf } from '../syntax/syntax-tree.ts';
import type { LockList } from './lock-list.ts';

/** CREATE INDEX, REINDEX, CLUSTER, VACUUM and ANALYZE. */
export function indexLocks(tree: Node, locks: LockList): void {
  if ('IndexStmt' in tree) {
    const { relation, concurrent } = tree.IndexStmt;
    if (relation === undefined) return;
    const mode = concurrent ? 'share update exclusive' : 'share';
    locks.add(relation, mode, 'build');
    const table = locks.schema.relation(relationOf(relation));
    if (table === undefined || relation.inh !== true) return;
    for (const each of locks.schema.partitions(table)) locks.add(each.name, mode, 'build');
  } else if ('ReindexStmt' in tree) reindex(tree, locks);
  else if ('ClusterStmt' in tree) {
    const { relation } = tree.ClusterStmt;
    locks.addFamily(relation, 'access exclusive', 'rewrite');
    if (relation !== undefined) addIndexesOf(locks, relationOf(relation), 'access exclusive');
  } else vacuum(tree, locks);
}

function reindex(tree: Node, locks: LockList): void {
  const statement = as('ReindexStmt', tree);
  const relation = statement?.relation;
  if (relation === undefined) return;
  const concurrently = booleanOption(statement?.params, 'concurrently') === true;
  const ofTable: LockMode = concurrently ? 'share update exclusive' : 'share';
  const ofIndex: LockMode = concurrently ? 'share update exclusive' : 'access exclusive';
  if (statement?.kind === 'REINDEX_OBJECT_INDEX') {
    locks.add(relation, ofIndex, 'build');
    locks.add(locks.schema.index(relationOf(relation))?.table.name, ofTable, 'build');
  } else {
    locks.addFamily(relation, ofTable, 'build');
    addIndexesOf(locks, relationOf(relation), ofIndex);
  }
}

/** Every query opens all indexes of its table, so a lock on one index blocks the table's readers too. */
function addIndexesOf(locks: LockList, table: ReturnType<typeof relationOf>, mode: LockMode): void {
  const relation = locks.schema.relation(table);
  if (relation === undefined) return;
  for (const each of [relation, ...locks.family(table)]) {
    for (const index of locks.schema.indexesOf(each)) {
      locks.add({ schema: each.name.schema, name: index.name }, mode, 'build');
    }
  }
}

function vacuum(tree: Node, locks: LockList): void {
  const statement = as('VacuumStmt', tree);
  const full = statement?.is_vacuumcmd === true && booleanOption(statement.options, 'full') === true;
  for (const node of statement?.rels ?? []) {
    const relation = as('VacuumRelation', node)?.relation;
    if (full) locks.addFamily(relation, 'access exclusive', 'rewrite');
    else locks.addFamily(relation, 'share update exclusive', 'scan');
  }
}
