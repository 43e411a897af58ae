import type { Statement, Touches } from '../../lambda/migration/migration.ts';
import { mayChangeRows } from '../syntax/postgres-functions.ts';
import { as, kindOf, type Node, strings, walk } from '../syntax/syntax-tree.ts';
import { isSetting } from './session-settings.ts';

type Altered = NonNullable<Statement['alters']>;

/**
 * Relations whose rows or columns may differ after a statement has run. What was true of the data before it need not be
 * true after it: a SET NOT NULL may well follow the UPDATE that makes it possible.
 */
export function altersOf(tree: Node, { opaque, creates, changes, writes }: Touches): Altered {
  if (opaque || mayCallAnything(tree)) return 'everything';
  if (movesNames(tree)) return 'names';
  const columns = columnsOf(tree);
  if (columns !== undefined)
    return changes.map((relation, at) => (at === 0 ? { ...relation, columns } : relation));
  return [...creates, ...writes, ...(keepsRows(tree) ? [] : changes)];
}

/** Statements that run what they contain. */
const RUNNING: ReadonlySet<string> = new Set([
  'CopyStmt',
  'CreateTableAsStmt',
  'DeleteStmt',
  'ExplainStmt',
  'InsertStmt',
  'MergeStmt',
  'UpdateStmt',
]);

/** A SELECT is in a migration for the side effects of its functions; others call some by the way. */
function mayCallAnything(tree: Node): boolean {
  if (kindOf(tree) === 'SelectStmt') return !isSetting(tree);
  if (!RUNNING.has(kindOf(tree))) return false;
  let found = false;
  walk(tree, (object) => {
    const call = as('FuncCall', object as unknown as Node);
    found ||= call !== undefined && mayChangeRows(strings(call.funcname));
    return !found;
  });
  return found;
}

/** Settings that decide which relation a name means; a function may set any of them. */
const OF_NAMES: ReadonlySet<string> = new Set(['search_path', 'role', 'session_authorization']);

function movesNames(tree: Node): boolean {
  const set = as('VariableSetStmt', tree);
  if (set === undefined) return kindOf(tree) === 'SelectStmt';
  return set.kind === 'VAR_RESET_ALL' || OF_NAMES.has(set.name ?? '');
}

/** Statements that lock existing relations but leave their rows and columns as they are. */
const KEEPING: ReadonlySet<string> = new Set([
  'AlterPolicyStmt',
  'AlterPublicationStmt',
  'ClusterStmt',
  'CommentStmt',
  'CreatePolicyStmt',
  'CreatePublicationStmt',
  'CreateStatsStmt',
  'CreateStmt',
  'CreateTrigStmt',
  'IndexStmt',
  'LockStmt',
  'ReindexStmt',
  'SecLabelStmt',
  'VacuumStmt',
]);

/** Subcommands of ALTER TABLE that change no value. */
const KEEPING_COMMANDS: ReadonlySet<string> = new Set([
  'AT_AddColumn',
  'AT_AddConstraint',
  'AT_ChangeOwner',
  'AT_ClusterOn',
  'AT_ColumnDefault',
  'AT_DisableTrig',
  'AT_DropConstraint',
  'AT_DropNotNull',
  'AT_EnableTrig',
  'AT_ReplicaIdentity',
  'AT_ResetRelOptions',
  'AT_SetNotNull',
  'AT_SetOptions',
  'AT_SetRelOptions',
  'AT_SetStatistics',
  'AT_ValidateConstraint',
]);

/** Subcommands that change one column and no other. */
const OF_A_COLUMN: ReadonlySet<string> = new Set([
  'AT_AlterColumnType',
  'AT_SetCompression',
  'AT_SetStorage',
]);

/** The columns that may differ, where an ALTER TABLE changes no others. */
function columnsOf(tree: Node): readonly string[] | undefined {
  const commands = (as('AlterTableStmt', tree)?.cmds ?? []).map((node) => as('AlterTableCmd', node));
  const columns: string[] = [];
  for (const { subtype = 'AT_AddColumn', name = '' } of commands.map((each) => each ?? {})) {
    if (OF_A_COLUMN.has(subtype)) columns.push(name);
    else if (!KEEPING_COMMANDS.has(subtype)) return undefined;
  }
  return columns.length === 0 ? undefined : columns;
}

function keepsRows(tree: Node): boolean {
  const alter = as('AlterTableStmt', tree);
  if (alter === undefined) return KEEPING.has(kindOf(tree)) || dropsNoRelation(tree);
  // Postgres's first subtype is not written down.
  return (alter.cmds ?? []).every((node) =>
    KEEPING_COMMANDS.has(as('AlterTableCmd', node)?.subtype ?? 'AT_AddColumn'),
  );
}

/** An index, a trigger or a policy. */
function dropsNoRelation(tree: Node): boolean {
  const type = as('DropStmt', tree)?.removeType ?? '';
  return ['OBJECT_INDEX', 'OBJECT_POLICY', 'OBJECT_TRIGGER'].includes(type);
}
