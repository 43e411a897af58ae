import type { AlterTableCmd, AlterTableStmt, ColumnDef, Constraint, RangeVar } from 'libpg-query';
import { type LockMode, type LockWork, longerWork } from '../../lambda/migration/lock-modes.ts';
import { isSerial } from '../schema/learn-table.ts';
import { emptyRelation, type Schema } from '../schema/schema.ts';
import type { Relation } from '../schema/table.ts';
import { isPlainConversion, typeChange } from '../schema/type-change.ts';
import { type DataType, dataTypeOf } from '../schema/type-name.ts';
import { volatileFunctionIn } from '../schema/volatility.ts';
import { as, relationOf } from '../syntax/syntax-tree.ts';
import { attachIndexLocks, othersLocked } from './alter-table-others.ts';
import type { LockList } from './lock-list.ts';

/** ALTER TABLE, ALTER VIEW, ALTER INDEX and the like: one lock on the relation, as strong as any subcommand needs. */
export function alterTableLocks({ relation, cmds = [], objtype }: AlterTableStmt, locks: LockList): void {
  if (relation === undefined) return;
  const table = locks.schema.relation(relationOf(relation)) ?? unknownRelation(relation);
  const commands = cmds.map((node) => as('AlterTableCmd', node) ?? {});
  const index =
    objtype === 'OBJECT_INDEX' ||
    (table.kind === 'unknown' && locks.schema.index(relationOf(relation)) !== undefined);
  for (const command of commands) {
    const { mode, work, recurses } = commandLock(command, table, locks.schema);
    if (recurses && !index) locks.addFamily(relation, mode, work);
    else locks.add(relation, mode, work);
    if (index) attachIndexLocks(command, locks);
    else othersLocked(command, table, locks);
  }
}

function unknownRelation(relation: RangeVar): Relation {
  return { ...emptyRelation(relationOf(relation)), kind: 'unknown' };
}

/** The lock that one subcommand of ALTER TABLE takes on the table itself. */
export interface CommandLock {
  readonly mode: LockMode;
  readonly work: LockWork;
  /** It recurses to partitions and child tables. */
  readonly recurses: boolean;
}

/** As AlterTableGetLockLevel in src/backend/commands/tablecmds.c lists them; everything else takes ACCESS EXCLUSIVE. */
const MODES: Readonly<Record<string, LockMode>> = {
  AT_AttachPartition: 'share update exclusive',
  AT_ClusterOn: 'share update exclusive',
  AT_DetachPartitionFinalize: 'share update exclusive',
  AT_DisableTrig: 'share row exclusive',
  AT_DisableTrigAll: 'share row exclusive',
  AT_DisableTrigUser: 'share row exclusive',
  AT_DropCluster: 'share update exclusive',
  AT_EnableAlwaysTrig: 'share row exclusive',
  AT_EnableReplicaTrig: 'share row exclusive',
  AT_EnableTrig: 'share row exclusive',
  AT_EnableTrigAll: 'share row exclusive',
  AT_EnableTrigUser: 'share row exclusive',
  AT_ResetOptions: 'share update exclusive',
  AT_SetOptions: 'share update exclusive',
  AT_SetStatistics: 'share update exclusive',
  AT_ValidateConstraint: 'share update exclusive',
};

/** Subcommands that concern one relation only, not its partitions or child tables. */
const ALONE: ReadonlySet<string> = new Set([
  'AT_AddInherit',
  'AT_AttachPartition',
  'AT_ChangeOwner',
  'AT_ClusterOn',
  'AT_DetachPartition',
  'AT_DetachPartitionFinalize',
  'AT_DisableRowSecurity',
  'AT_DropCluster',
  'AT_DropInherit',
  'AT_EnableRowSecurity',
  'AT_ForceRowSecurity',
  'AT_NoForceRowSecurity',
  'AT_ReplicaIdentity',
  'AT_ResetRelOptions',
  'AT_SetAccessMethod',
  'AT_SetLogged',
  'AT_SetRelOptions',
  'AT_SetTableSpace',
  'AT_SetUnLogged',
]);

/** Storage parameters that Postgres changes under a stronger lock than SHARE UPDATE EXCLUSIVE. */
const STRICT_OPTIONS: ReadonlySet<string> = new Set([
  'buffering',
  'check_option',
  'fastupdate',
  'security_barrier',
  'security_invoker',
  'user_catalog_table',
]);

export function commandLock(command: AlterTableCmd, table: Relation, schema: Schema): CommandLock {
  const subtype = command.subtype ?? '';
  return {
    mode: modeOf(command),
    work: workOf(command, table, schema),
    recurses: !ALONE.has(subtype),
  };
}

function modeOf({ subtype = 'AT_AddColumn', def }: AlterTableCmd): LockMode {
  switch (subtype) {
    case 'AT_DetachPartition':
      return as('PartitionCmd', def)?.concurrent ? 'share update exclusive' : 'access exclusive';
    case 'AT_AddConstraint':
      return as('Constraint', def)?.contype === 'CONSTR_FOREIGN' ? 'share row exclusive' : 'access exclusive';
    case 'AT_SetRelOptions':
    case 'AT_ResetRelOptions': {
      const options = (as('List', def)?.items ?? []).map((node) => as('DefElem', node)?.defname ?? '');
      return options.some((option) => STRICT_OPTIONS.has(option))
        ? 'access exclusive'
        : 'share update exclusive';
    }
    default:
      return MODES[subtype] ?? 'access exclusive';
  }
}

function workOf(command: AlterTableCmd, table: Relation, schema: Schema): LockWork {
  const { subtype, name = '', def } = command;
  switch (subtype) {
    case 'AT_AddColumn':
      return workOfColumn(as('ColumnDef', def) ?? {}, schema);
    case 'AT_AddConstraint':
      return workOfConstraint(as('Constraint', def) ?? {});
    case 'AT_AlterColumnType':
      return workOfType(as('ColumnDef', def) ?? {}, { table, column: name });
    case 'AT_SetNotNull':
      return provesNotNull(table, name) ? 'moment' : 'scan';
    case 'AT_ValidateConstraint':
    case 'AT_AttachPartition':
      return 'scan';
    case 'AT_SetExpression':
    case 'AT_SetAccessMethod':
    case 'AT_SetLogged':
    case 'AT_SetTableSpace':
    case 'AT_SetUnLogged':
      return 'rewrite';
    default:
      return 'moment';
  }
}

/** A constraint already proves what SET NOT NULL would otherwise have to check in every row. */
export function provesNotNull(table: Relation, column: string): boolean {
  if (table.columns.get(column)?.notNull) return true;
  const constraints = [...table.constraints.values()];
  return constraints.some((each) => each.validated && each.provesNotNull.includes(column));
}

function workOfConstraint({ contype, skip_validation, indexname, is_enforced }: Constraint): LockWork {
  switch (contype) {
    case 'CONSTR_UNIQUE':
    case 'CONSTR_PRIMARY':
      return indexname === undefined ? 'build' : 'moment';
    case 'CONSTR_EXCLUSION':
      return 'build';
    case 'CONSTR_CHECK':
    case 'CONSTR_FOREIGN':
    case 'CONSTR_NOTNULL':
      return skip_validation || is_enforced === false ? 'moment' : 'scan';
    default:
      return 'moment';
  }
}

/** A constraint in a column's definition is checked against every row; a default that is the same for all rows is not stored in them. */
function workOfColumn({ typeName, constraints = [] }: ColumnDef, schema: Schema): LockWork {
  if (typeName !== undefined && isSerial(dataTypeOf(typeName).name)) return 'rewrite';
  let work: LockWork =
    typeName !== undefined && isConstrainedDomain(dataTypeOf(typeName), schema) ? 'rewrite' : 'moment';
  const all = constraints.map((node) => as('Constraint', node) ?? {});
  const hasDefault = all.some(({ contype }) => contype === 'CONSTR_DEFAULT');
  for (const constraint of all) {
    const { contype, raw_expr: expression } = constraint;
    if (contype === 'CONSTR_IDENTITY') work = 'rewrite';
    if (contype === 'CONSTR_GENERATED' && constraint.generated_kind !== 'v') work = 'rewrite';
    if (contype === 'CONSTR_DEFAULT' && expression !== undefined) {
      if (volatileFunctionIn(expression, schema) !== undefined) work = 'rewrite';
    }
    // The new column is null, or holds its default, in every row: there is nothing to look up, or it is certainly not null.
    if (contype === 'CONSTR_NOTNULL' || (contype === 'CONSTR_FOREIGN' && !hasDefault)) continue;
    work = longerWork(work, workOfConstraint(constraint));
  }
  return work;
}

/** Postgres does not infer that a null, or the default, satisfies the domain's constraints in every row. */
export function isConstrainedDomain({ name }: DataType, schema: Schema): boolean {
  const type = schema.type(name.split('.').at(-1) ?? '');
  return type?.kind === 'domain' && type.constrained;
}

function workOfType(
  { typeName, raw_default: using }: ColumnDef,
  { table, column }: { readonly table: Relation; readonly column: string },
): LockWork {
  if (typeName === undefined) return 'rewrite';
  const to = dataTypeOf(typeName);
  if (!isPlainConversion(using, { column, to })) return 'rewrite';
  return typeChange(table.columns.get(column)?.type, to) === 'none' ? 'moment' : 'rewrite';
}
