import type { AlterTableCmd, AlterTableStmt, RangeVar } from 'libpg-query';
import { as, type Node, relationOf } from '../syntax/syntax-tree.ts';
import { learnConstraint, setNotNull } from './constraint.ts';
import { learnColumn } from './learn-table.ts';
import type { Schema } from './schema.ts';
import type { Origin, Relation } from './table.ts';
import { dataTypeOf } from './type-name.ts';

/** ALTER TABLE: learns only what the safety of a later statement depends on. */
export function learnAlterTable(schema: Schema, alter: AlterTableStmt, origin: Origin): void {
  if (alter.objtype === 'OBJECT_INDEX' || alter.relation === undefined) return;
  const table = schema.relationOrUnknown(relationOf(alter.relation));
  for (const node of alter.cmds ?? []) {
    const command = as('AlterTableCmd', node);
    if (command !== undefined) learnCommand(schema, command, { table, origin });
  }
}

interface Place {
  readonly table: Relation;
  readonly origin: Origin;
}

function learnCommand(schema: Schema, command: AlterTableCmd, { table, origin }: Place): void {
  const { subtype, name = '', def } = command;
  switch (subtype) {
    case 'AT_AddColumn': {
      const column = as('ColumnDef', def);
      const known = command.missing_ok === true && table.columns.has(column?.colname ?? '');
      if (column !== undefined && !known) learnColumn(schema, column, { table, origin });
      return;
    }
    case 'AT_DropColumn':
      dropColumn(schema, table, name);
      return;
    case 'AT_AlterColumnType':
      alterType(table, name, def);
      return;
    case 'AT_SetNotNull':
    case 'AT_DropNotNull':
      setNotNull(table, name, subtype === 'AT_SetNotNull');
      return;
    case 'AT_AddConstraint': {
      const constraint = as('Constraint', def);
      if (constraint !== undefined) learnConstraint(schema, constraint, { table, origin });
      return;
    }
    case 'AT_ValidateConstraint': {
      const constraint = table.constraints.get(name);
      if (constraint !== undefined) table.constraints.set(name, { ...constraint, validated: true });
      return;
    }
    case 'AT_DropConstraint':
      dropConstraint(schema, table, name);
      return;
    case 'AT_AttachPartition':
      descend(schema, {
        child: as('PartitionCmd', def)?.name,
        parent: table,
        isDefault: as('PartitionCmd', def)?.bound?.is_default === true,
      });
      return;
    case 'AT_DetachPartition':
      part(schema, { child: as('PartitionCmd', def)?.name, parent: table });
      return;
    case 'AT_AddInherit':
    case 'AT_DropInherit':
      inherit(schema, { table, parent: as('RangeVar', def), adds: subtype === 'AT_AddInherit' });
      return;
    default:
  }
}

function dropColumn(schema: Schema, table: Relation, column: string): void {
  table.columns.delete(column);
  for (const constraint of table.constraints.values()) {
    if (constraint.columns.includes(column)) table.constraints.delete(constraint.name);
  }
  for (const index of schema.indexesOf(table)) if (index.columns.has(column)) schema.dropIndex(index);
}

function alterType(table: Relation, name: string, def: Node | undefined): void {
  const type = as('ColumnDef', def)?.typeName;
  const known = table.columns.get(name) ?? { notNull: false, origin: undefined };
  if (type !== undefined) table.columns.set(name, { ...known, type: dataTypeOf(type) });
}

function dropConstraint(schema: Schema, table: Relation, name: string): void {
  table.constraints.delete(name);
  const index = schema.indexesOf(table).find((each) => each.constraint && each.name === name);
  if (index !== undefined) schema.dropIndex(index);
}

interface Descent {
  readonly child: RangeVar | undefined;
  readonly parent: Relation;
}

function descend(
  schema: Schema,
  { child, parent, isDefault }: Descent & { readonly isDefault: boolean },
): void {
  if (child === undefined) return;
  const partition = schema.relationOrUnknown(relationOf(child));
  partition.parents.push(parent);
  partition.isDefaultPartition = isDefault;
}

function part(schema: Schema, { child, parent }: Descent): void {
  const table = child === undefined ? undefined : schema.relation(relationOf(child));
  if (table !== undefined) leave(table, parent);
}

function inherit(
  schema: Schema,
  {
    table,
    parent,
    adds,
  }: { readonly table: Relation; readonly parent: RangeVar | undefined; readonly adds: boolean },
): void {
  if (parent === undefined) return;
  const relation = schema.relationOrUnknown(relationOf(parent));
  if (adds) table.parents.push(relation);
  else leave(table, relation);
}

function leave(child: Relation, parent: Relation): void {
  const at = child.parents.indexOf(parent);
  if (at !== -1) child.parents.splice(at, 1);
}
