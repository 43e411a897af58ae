import type { RangeVar } from 'libpg-query';
import { as, kindOf, type Node, walk } from '../syntax/syntax-tree.ts';
import type { LockList } from './lock-list.ts';

/** Statements that contain a query without running it. */
const STORING: ReadonlySet<string> = new Set([
  'AlterPolicyStmt',
  'CreateFunctionStmt',
  'CreatePolicyStmt',
  'CreateTrigStmt',
  'DeclareCursorStmt',
  'PrepareStmt',
  'RuleStmt',
  'ViewStmt',
]);

const WRITES = ['InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'] as const;

/** INSERT and the like, wherever they occur (WITH, EXPLAIN ANALYZE, COPY (…) TO), and SELECT … FOR UPDATE. */
export function dataLocks(tree: Node, locks: LockList): void {
  if (STORING.has(kindOf(tree))) return;
  const copy = as('CopyStmt', tree);
  if (copy?.is_from) locks.addFamily(copy.relation, 'row exclusive', 'write');
  walk(tree, (object) => {
    for (const kind of WRITES) {
      const statement = object[kind] as { relation?: RangeVar } | undefined;
      if (statement?.relation === undefined) continue;
      // An INSERT writes to one table; the others visit the partitions too.
      if (kind === 'InsertStmt') locks.add(statement.relation, 'row exclusive', 'write');
      else locks.addFamily(statement.relation, 'row exclusive', 'write');
    }
    const select = object.SelectStmt as { lockingClause?: Node[]; fromClause?: Node[] } | undefined;
    if (select?.lockingClause !== undefined) lockRows(select, locks);
    return true;
  });
}

function lockRows(
  { lockingClause = [], fromClause = [] }: { lockingClause?: Node[]; fromClause?: Node[] },
  locks: LockList,
): void {
  const named = lockingClause.flatMap((node) => as('LockingClause', node)?.lockedRels ?? []);
  const names = new Set(named.map((node) => as('RangeVar', node)?.relname));
  for (const node of fromClause) {
    const table = as('RangeVar', node);
    const name = table?.alias?.aliasname ?? table?.relname;
    if (table !== undefined && (names.size === 0 || names.has(name))) locks.addFamily(table, 'row share');
  }
}
