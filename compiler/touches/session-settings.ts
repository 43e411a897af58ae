import type { FuncCall, SelectStmt } from 'libpg-query';
import { as, kindOf, type Node, strings, walk } from '../syntax/syntax-tree.ts';

/** A SET, RESET or `select set_config(…, false)` that a later step must have too; not SET LOCAL. */
export function isSetting(tree: Node): boolean {
  const set = as('VariableSetStmt', tree);
  if (set !== undefined) return set.is_local !== true && !isTransactionScoped(set.name);
  const select = as('SelectStmt', tree);
  return select !== undefined && setsOnly(select);
}

function isTransactionScoped(name: string | undefined): boolean {
  return name === 'TRANSACTION' || name === 'TRANSACTION SNAPSHOT';
}

/** Selects calls of set_config(…, false) and nothing else, so that it may be sent again. */
function setsOnly(select: SelectStmt): boolean {
  const { targetList = [], limitOption: _limit, op, ...rest } = select;
  if (op !== 'SETOP_NONE' || Object.keys(rest).length > 0 || targetList.length === 0) return false;
  return targetList.every((target) => {
    const call = as('FuncCall', as('ResTarget', target)?.val);
    return call !== undefined && isSetConfig(call) && isLocal(call) === false;
  });
}

function isSetConfig({ funcname }: FuncCall): boolean {
  return strings(funcname).at(-1) === 'set_config';
}

/** set_config's third argument, where it is a constant. */
function isLocal({ args }: FuncCall): boolean | undefined {
  const value = as('A_Const', args?.[2]);
  return value?.boolval === undefined ? undefined : (value.boolval.boolval ?? false);
}

/** Statements that do more than their text shows, or that leave a setting by their nature. */
const LASTING: ReadonlySet<string> = new Set([
  'CallStmt',
  'DoStmt',
  'ExecuteStmt',
  'ListenStmt',
  'LoadStmt',
  'PrepareStmt',
]);

/** Statements that evaluate the functions in their text at once, with nothing to revert what these set. */
const EVALUATING: ReadonlySet<string> = new Set([
  'CopyStmt',
  'CreateTableAsStmt',
  'DeclareCursorStmt',
  'DeleteStmt',
  'ExplainStmt',
  'InsertStmt',
  'MergeStmt',
  'SelectStmt',
  'UpdateStmt',
]);

/** Functions of PostgreSQL, often seen in migrations, that set nothing. */
const HARMLESS: ReadonlySet<string> = new Set(
  (
    'abs array_agg array_append array_length array_remove array_to_string avg btrim ceil char_length ' +
    'clock_timestamp concat concat_ws count currval date_part date_trunc decode encode extract floor format ' +
    'gen_random_uuid generate_series json_agg json_build_object jsonb_agg jsonb_array_elements jsonb_build_array ' +
    'jsonb_build_object jsonb_object_agg jsonb_set lastval left length lower lpad ltrim make_interval max md5 min ' +
    'mod nextval now overlay pg_get_serial_sequence position random regexp_match regexp_matches regexp_replace ' +
    'replace right round row_number rpad rtrim setval sign split_part statement_timestamp string_agg string_to_array ' +
    'strpos substr substring sum timezone to_char to_date to_json to_jsonb to_timestamp to_tsvector trim trunc ' +
    'unnest upper uuid_generate_v4 version'
  ).split(' '),
);

/** DECLARE … WITH HOLD, in parsenodes.h. */
const CURSOR_OPT_HOLD = 0x20;

/**
 * Whether a statement may leave something in the session. A wrong "yes" costs a `reset all`; a wrong "no" would leak a
 * setting into the next file.
 */
export function leavesSettings(tree: Node): boolean {
  if ('VariableSetStmt' in tree) return isSetting(tree);
  const kind = kindOf(tree);
  if (LASTING.has(kind)) return true;
  if (((as('DeclareCursorStmt', tree)?.options ?? 0) & CURSOR_OPT_HOLD) !== 0) return true;
  const evaluates = EVALUATING.has(kind);
  let leaves = false;
  walk(tree, (object) => {
    const temporary = object.relpersistence === 't' || object.schemaname === 'pg_temp';
    leaves ||= temporary || (evaluates && 'funcname' in object && callMayLast(object as FuncCall));
    return !leaves;
  });
  return leaves;
}

function callMayLast(call: FuncCall): boolean {
  if (isSetConfig(call)) return isLocal(call) !== true;
  return !HARMLESS.has(strings(call.funcname).at(-1) ?? '');
}
