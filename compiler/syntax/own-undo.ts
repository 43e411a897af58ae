import type { ParsedStatement } from './parse-file.ts';
import { as, kindOf, type Node, strings } from './syntax-tree.ts';

/**
 * Whether the last statements do nothing but drop what the first ones create, and all of it: run in a row they do
 * nothing, so nobody means them to be. The first may fill and describe what they create, but do nothing else; a table
 * that others are filled from, and that is dropped then, is none of this.
 */
export function isOwnUndo(first: readonly ParsedStatement[], last: readonly ParsedStatement[]): boolean {
  const dropped = new Set<string>();
  for (const { tree } of last) {
    const names = droppedBy(tree);
    if (names === undefined) return false;
    for (const name of names) dropped.add(name);
  }
  const created = new Set<string>();
  let kept = false;
  for (const { tree } of first) {
    const { names, goesAlong } = createdBy(tree) ?? { names: undefined, goesAlong: true };
    if (names === undefined && !isAbout(tree, created)) return false;
    for (const name of names ?? []) {
      created.add(name);
      kept ||= !goesAlong && !dropped.has(name);
    }
  }
  return dropped.size > 0 && !kept && [...dropped].every((name) => created.has(name));
}

interface Created {
  readonly names: readonly string[];
  /** It goes with its table, or is often forgotten. */
  readonly goesAlong: boolean;
}

function createdBy(tree: Node): Created | undefined {
  const relation =
    as('CreateStmt', tree)?.relation ??
    as('CreateTableAsStmt', tree)?.into?.rel ??
    as('ViewStmt', tree)?.view ??
    as('CompositeTypeStmt', tree)?.typevar;
  if (relation !== undefined) return { names: [relation.relname ?? ''], goesAlong: false };
  const parts = as('CreateEnumStmt', tree)?.typeName ?? as('CreateDomainStmt', tree)?.domainname;
  if (parts !== undefined) return { names: strings(parts).slice(-1), goesAlong: false };
  const beside =
    as('IndexStmt', tree)?.idxname ??
    as('CreateSeqStmt', tree)?.sequence?.relname ??
    as('CreateSchemaStmt', tree)?.schemaname ??
    as('CreateExtensionStmt', tree)?.extname ??
    as('CreateTrigStmt', tree)?.trigname ??
    as('CreatePolicyStmt', tree)?.policy_name ??
    as('CreateRoleStmt', tree)?.role ??
    strings(as('CreateFunctionStmt', tree)?.funcname).at(-1);
  if (beside !== undefined) return { names: [beside], goesAlong: true };
  const adds = (as('AlterTableStmt', tree)?.cmds ?? []).map((node) => {
    const command = as('AlterTableCmd', node);
    if (command?.subtype === 'AT_AddColumn') return as('ColumnDef', command.def)?.colname;
    return command?.subtype === 'AT_AddConstraint' ? as('Constraint', command.def)?.conname : undefined;
  });
  if (adds.length === 0 || adds.some((name) => name === undefined)) return undefined;
  return { names: adds.map((name) => name ?? ''), goesAlong: false };
}

const AROUND: ReadonlySet<string> = new Set([
  'CommentStmt',
  'IndexStmt',
  'GrantStmt',
  'VariableSetStmt',
  'TransactionStmt',
]);

/** Changes only what was created before it. */
function isAbout(tree: Node, created: ReadonlySet<string>): boolean {
  const written = as('InsertStmt', tree)?.relation ?? as('AlterTableStmt', tree)?.relation;
  return AROUND.has(kindOf(tree)) || created.has(written?.relname ?? '');
}

function droppedBy(tree: Node): readonly string[] | undefined {
  if (AROUND.has(kindOf(tree))) return [];
  const drop = as('DropStmt', tree);
  if (drop !== undefined) return (drop.objects ?? []).map(lastName);
  const role = as('DropRoleStmt', tree);
  if (role !== undefined) return (role.roles ?? []).map((node) => as('RoleSpec', node)?.rolename ?? '');
  const drops = (as('AlterTableStmt', tree)?.cmds ?? []).map((node) => {
    const command = as('AlterTableCmd', node);
    const isDrop = command?.subtype === 'AT_DropColumn' || command?.subtype === 'AT_DropConstraint';
    return isDrop ? command.name : undefined;
  });
  if (drops.length === 0 || drops.some((name) => name === undefined)) return undefined;
  return drops.map((name) => name ?? '');
}

function lastName(object: Node): string {
  const parts =
    as('List', object)?.items ?? as('TypeName', object)?.names ?? as('ObjectWithArgs', object)?.objname;
  return parts === undefined ? (as('String', object)?.sval ?? '') : (strings(parts).at(-1) ?? '');
}
