import type { AlterTableCmd } from 'libpg-query';
import type { Relation, TableConstraint } from '../schema/table.ts';
import { as, relationOf } from '../syntax/syntax-tree.ts';
import type { LockList } from './lock-list.ts';

/** The other relations that a subcommand of ALTER TABLE locks. */
export function othersLocked(command: AlterTableCmd, table: Relation, locks: LockList): void {
  const { subtype, name = '', def } = command;
  switch (subtype) {
    case 'AT_AddColumn':
    case 'AT_AddConstraint':
      locks.addReferenced(def);
      return;
    case 'AT_ValidateConstraint': {
      const constraint = table.constraints.get(name);
      if (constraint?.validated === false) locks.add(constraint.references?.name, 'row share');
      return;
    }
    case 'AT_DropConstraint':
      for (const constraint of table.constraints.values()) {
        if (constraint.name === name) detachForeignKey(constraint, locks);
      }
      dropBackedForeignKeys(command, table, locks);
      return;

    case 'AT_DropColumn':
    case 'AT_AlterColumnType':
      for (const constraint of table.constraints.values()) {
        if (constraint.columns.includes(name)) detachForeignKey(constraint, locks);
      }
      rebuildReferring(command, table, locks);
      return;
    case 'AT_AttachPartition':
      locks.addFamily(as('PartitionCmd', def)?.name, 'access exclusive', 'scan');
      locks.addDefaultPartition(table.name);
      return;
    case 'AT_DetachPartition': {
      const partition = as('PartitionCmd', def);
      const mode = partition?.concurrent ? 'share update exclusive' : 'access exclusive';
      locks.addFamily(partition?.name, mode);
      if (!partition?.concurrent) {
        locks.addDefaultPartition(table.name);
        locks.addReferring(table.name, mode);
      }
      return;
    }
    case 'AT_AddInherit':
      locks.add(as('RangeVar', def), 'share update exclusive');
      return;
    case 'AT_DropInherit':
      locks.add(as('RangeVar', def), 'access share');
      return;
    default:
  }
}

/** A foreign key has triggers on both tables. */
function detachForeignKey({ references }: TableConstraint, locks: LockList): void {
  if (references !== undefined) locks.addFamily(references.name, 'access exclusive');
}

/** Foreign keys of other tables depend on a primary key or unique constraint, and CASCADE drops them with it. */
function dropBackedForeignKeys({ behavior }: AlterTableCmd, table: Relation, locks: LockList): void {
  if (behavior === 'DROP_CASCADE') locks.addReferring(table.name, 'access exclusive');
}

/** Changing the type of a column that foreign keys refer to recreates those keys. */
function rebuildReferring({ subtype, behavior }: AlterTableCmd, table: Relation, locks: LockList): void {
  if (subtype === 'AT_AlterColumnType' || behavior === 'DROP_CASCADE') {
    locks.addReferring(table.name, 'access exclusive');
  }
}

/** ALTER INDEX … ATTACH PARTITION. */
export function attachIndexLocks({ subtype, def }: AlterTableCmd, locks: LockList): void {
  if (subtype !== 'AT_AttachPartition') return;
  const child = as('PartitionCmd', def)?.name;
  locks.add(child, 'access exclusive');
  const table = child === undefined ? undefined : locks.schema.index(relationOf(child))?.table;
  locks.add(table?.name, 'access share');
}
