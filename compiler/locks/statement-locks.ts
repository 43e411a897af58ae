import type { CreateStmt } from 'libpg-query';
import { lockModes, type RelationLock, strongestLocks } from '../../lambda/migration/lock-modes.ts';
import type { Schema } from '../schema/schema.ts';
import { as, type Node, relationOf, relationOfParts, relationTypes, strings } from '../syntax/syntax-tree.ts';
import { alterTableLocks } from './alter-table-locks.ts';
import { dataLocks } from './data-locks.ts';
import { dropLocks } from './drop-locks.ts';
import { indexLocks } from './index-locks.ts';
import { LockList } from './lock-list.ts';

/**
 * The locks that a statement takes on tables, views and the indexes that it names, as far as its text and the folder
 * before it tell, including partitions, child tables and foreign keys that the folder shows. Checked against pg_locks by
 * test/compiler/locks/lock-modes-in-postgres.test.ts.
 */
export function statementLocks(tree: Node, schema: Schema): readonly RelationLock[] {
  const locks = new LockList(schema);
  gather(tree, locks);
  return strongestLocks(locks.locks);
}

function gather(tree: Node, locks: LockList): void {
  if ('AlterTableStmt' in tree) alterTableLocks(tree.AlterTableStmt, locks);
  else if ('IndexStmt' in tree || 'ReindexStmt' in tree || 'ClusterStmt' in tree || 'VacuumStmt' in tree) {
    indexLocks(tree, locks);
  } else if ('DropStmt' in tree) dropLocks(tree.DropStmt, locks);
  else if ('RenameStmt' in tree) {
    const { renameType, relation, subname } = tree.RenameStmt;
    if (relation === undefined) return;
    if (renameType === 'OBJECT_INDEX') locks.add(relation, 'share update exclusive');
    else if (renameType === 'OBJECT_TABLE' && subname === undefined) locks.add(relation, 'access exclusive');
    else locks.addFamily(relation, 'access exclusive');
  } else HANDLERS[Object.keys(tree)[0] ?? '']?.(tree, locks);
  dataLocks(tree, locks);
}

type Handler = (tree: Node, locks: LockList) => void;

const HANDLERS: Readonly<Record<string, Handler>> = {
  AlterObjectSchemaStmt: (tree, locks) =>
    locks.add(as('AlterObjectSchemaStmt', tree)?.relation, 'access exclusive'),
  CreateStmt: (tree, locks) => createTable(as('CreateStmt', tree) ?? {}, locks),
  CreateSchemaStmt: (tree, locks) => {
    for (const element of as('CreateSchemaStmt', tree)?.schemaElts ?? []) {
      if ('CreateStmt' in element) createTable(element.CreateStmt, locks);
    }
  },
  CreateForeignTableStmt: (tree, locks) => {
    const base = as('CreateForeignTableStmt', tree)?.base;
    for (const node of base?.inhRelations ?? []) locks.add(as('RangeVar', node), 'share update exclusive');
  },
  CreateTrigStmt: (tree, locks) => {
    const trigger = as('CreateTrigStmt', tree);
    locks.addFamily(trigger?.relation, 'share row exclusive');
    locks.add(trigger?.constrrel, 'access share');
  },
  RuleStmt: (tree, locks) => locks.add(as('RuleStmt', tree)?.relation, 'access exclusive'),
  CreatePolicyStmt: (tree, locks) => locks.add(as('CreatePolicyStmt', tree)?.table, 'access exclusive'),
  AlterPolicyStmt: (tree, locks) => locks.add(as('AlterPolicyStmt', tree)?.table, 'access exclusive'),
  CreateStatsStmt: (tree, locks) => {
    for (const node of as('CreateStatsStmt', tree)?.relations ?? []) {
      locks.add(as('RangeVar', node), 'share update exclusive');
    }
  },
  CreatePublicationStmt: (tree, locks) => publication(as('CreatePublicationStmt', tree)?.pubobjects, locks),
  AlterPublicationStmt: (tree, locks) => publication(as('AlterPublicationStmt', tree)?.pubobjects, locks),
  CommentStmt: (tree, locks) => {
    const comment = as('CommentStmt', tree);
    described(locks, { type: comment?.objtype, object: comment?.object });
  },
  SecLabelStmt: (tree, locks) => {
    const label = as('SecLabelStmt', tree);
    described(locks, { type: label?.objtype, object: label?.object });
  },
  ViewStmt: (tree, locks) => {
    const view = as('ViewStmt', tree);
    const name = view?.view === undefined ? undefined : relationOf(view.view);
    if (view?.replace && name !== undefined && locks.schema.relation(name) !== undefined) {
      locks.add(name, 'access exclusive');
    }
  },
  RefreshMatViewStmt: (tree, locks) => {
    const refresh = as('RefreshMatViewStmt', tree);
    locks.add(refresh?.relation, refresh?.concurrent ? 'exclusive' : 'access exclusive', 'rewrite');
  },
  LockStmt: (tree, locks) => {
    const lock = as('LockStmt', tree);
    const mode = lockModes[(lock?.mode ?? lockModes.length) - 1] ?? 'access exclusive';
    for (const node of lock?.relations ?? []) locks.addFamily(as('RangeVar', node), mode);
  },
  TruncateStmt: (tree, locks) => {
    const truncate = as('TruncateStmt', tree);
    for (const node of truncate?.relations ?? []) {
      const table = as('RangeVar', node);
      locks.addFamily(table, 'access exclusive');
      if (truncate?.behavior === 'DROP_CASCADE') locks.addReferring(table, 'access exclusive');
    }
  },
};

/** PARTITION OF takes a stronger lock on the parent than ATTACH PARTITION does, INHERITS a weaker one. */
function createTable(create: CreateStmt, locks: LockList): void {
  const exists =
    create.relation !== undefined && locks.schema.relation(relationOf(create.relation)) !== undefined;
  if (create.if_not_exists && exists) return;
  for (const node of create.inhRelations ?? []) {
    const parent = as('RangeVar', node);
    locks.add(parent, create.partbound === undefined ? 'share update exclusive' : 'access exclusive');
    if (create.partbound !== undefined) locks.addDefaultPartition(parent);
  }
  locks.addReferenced(create.tableElts);
}

function publication(objects: readonly Node[] | undefined, locks: LockList): void {
  for (const node of objects ?? []) {
    locks.addFamily(as('PublicationObjSpec', node)?.pubtable?.relation, 'share update exclusive');
  }
}

/** COMMENT and SECURITY LABEL: on a relation or on a part of it. */
function described(
  locks: LockList,
  { type = '', object }: { readonly type: string | undefined; readonly object: Node | undefined },
): void {
  const parts = strings(as('List', object)?.items);
  if (parts.length === 0) return;
  if (WHOLE.has(type)) locks.add(relationOfParts(parts), 'share update exclusive');
  else if (type === 'OBJECT_COLUMN') locks.add(relationOfParts(parts.slice(0, -1)), 'share update exclusive');
}

const WHOLE: ReadonlySet<string> = new Set([...relationTypes, 'OBJECT_INDEX']);
