import type { A_Const, FuncCall, SelectStmt } from 'libpg-query';
import type { ParsedStatement } from '../syntax/parse-file.ts';
import { as, kindOf, type Node, strings, walk } from '../syntax/syntax-tree.ts';

/** A SET, RESET or `select set_config(…, false)` that a later step must have too; not SET LOCAL. */
export function isSetting(tree: Node): boolean {
  const set = as('VariableSetStmt', tree);
  if (set !== undefined) return set.is_local !== true && !isTransactionScoped(set.name);
  const select = as('SelectStmt', tree);
  return select !== undefined && setsOnly(select);
}

export function isLocalSetting(tree: Node): boolean {
  const set = as('VariableSetStmt', tree);
  return set?.is_local === true && !isTransactionScoped(set.name);
}

function isTransactionScoped(name: string | undefined): boolean {
  return name === 'TRANSACTION' || name === 'TRANSACTION SNAPSHOT';
}

/** Calls set_config(…, false), and reads and calls nothing that could differ, so that it may be sent again. */
function setsOnly(select: SelectStmt): boolean {
  let sets = false;
  let more = select.intoClause !== undefined;
  walk(select, (object) => {
    if ('funcname' in object) {
      const call = object as FuncCall;
      if (isSetConfig(call) && isLocal(call) === false) sets = true;
      else more ||= isSetConfig(call) || !isRepeatable(call);
    }
    more ||= 'relname' in object && !isOfWith(select, object.relname);
    return !more;
  });
  return sets && !more;
}

/** A name that WITH gives to a part of the statement itself. */
function isOfWith({ withClause }: SelectStmt, name: unknown): boolean {
  return (withClause?.ctes ?? []).some((cte) => as('CommonTableExpr', cte)?.ctename === name);
}

function isRepeatable({ funcname, args }: FuncCall): boolean {
  const name = strings(funcname).at(-1) ?? '';
  // Put before or behind the path that there is, a schema may be put there twice.
  if (name === 'current_setting') return constantOf(args?.[0])?.sval?.sval?.toLowerCase() === 'search_path';
  return HARMLESS.has(name) && !/^(?:nextval|setval|currval|lastval)$/.test(name);
}

function isSetConfig({ funcname }: FuncCall): boolean {
  return strings(funcname).at(-1) === 'set_config';
}

/** set_config's third argument, where it is a constant. */
function isLocal({ args }: FuncCall): boolean | undefined {
  const value = constantOf(args?.[2]);
  if (value?.boolval !== undefined) return value.boolval.boolval ?? false;
  const word = value?.sval?.sval?.trim().toLowerCase();
  if (word === undefined || word === '') return undefined;
  return BOOLEAN_WORDS.find(([, words]) => words.some((each) => each === word))?.[0];
}

/** What PostgreSQL reads as a boolean, beginnings of the words included. */
const BOOLEAN_WORDS = [
  [false, ['f', 'fa', 'fal', 'fals', 'false', 'n', 'no', 'of', 'off', '0']],
  [true, ['t', 'tr', 'tru', 'true', 'y', 'ye', 'yes', 'on', '1']],
] as const;

/** A constant, with or without a cast. */
function constantOf(node: Node | undefined): A_Const | undefined {
  const cast = as('TypeCast', node);
  return cast === undefined ? as('A_Const', node) : constantOf(cast.arg);
}

/**
 * What is left of the settings so far after this one. RESET ALL takes back all but roles, and leaves nothing to be
 * sent: where it is sent again, the session is a new one, and has settings of our own that are not the file's to take
 * back.
 */
export function withSetting(
  settings: readonly ParsedStatement[],
  setting: ParsedStatement,
): readonly ParsedStatement[] {
  return as('VariableSetStmt', setting.tree)?.kind === 'VAR_RESET_ALL'
    ? settings.filter(({ tree }) => namesRole(tree))
    : [...settings, setting];
}

/** Settings that RESET ALL leaves alone. */
const ROLES: ReadonlySet<string> = new Set(['role', 'session_authorization']);

function namesRole(tree: Node): boolean {
  const set = as('VariableSetStmt', tree);
  if (set !== undefined) return ROLES.has(set.name ?? '');
  return settingsNamed(tree).some((name) => name === undefined || ROLES.has(name));
}

/** Whether strings would mean something else on the server from then on than they did at synth. */
export function changesStrings(tree: Node): boolean {
  return valuesGivenTo('standard_conforming_strings', tree).some((value) => !isTrue(value));
}

/** Whether the server would read what is sent from then on, in UTF-8, as another encoding. */
export function changesEncoding(tree: Node): boolean {
  return valuesGivenTo('client_encoding', tree).some((value) => {
    const name = constantOf(value)
      ?.sval?.sval?.replace(/[^a-z\d]/gi, '')
      .toLowerCase();
    return name !== 'utf8' && name !== 'unicode';
  });
}

/** By SET, SET NAMES and set_config(). */
function valuesGivenTo(setting: string, tree: Node): (Node | undefined)[] {
  const isSetting = (name: string | undefined) => name?.toLowerCase() === setting;
  const set = as('VariableSetStmt', tree);
  if (set !== undefined) return isSetting(set.name) && set.kind === 'VAR_SET_VALUE' ? [set.args?.[0]] : [];
  const values: (Node | undefined)[] = [];
  walk(tree, (object) => {
    const call = 'funcname' in object ? (object as FuncCall) : undefined;
    if (call !== undefined && isSetConfig(call) && isSetting(constantOf(call.args?.[0])?.sval?.sval))
      values.push(call.args?.[1]);
    return undefined;
  });
  return values;
}

function isTrue(node: Node | undefined): boolean {
  const value = constantOf(node);
  if (value?.boolval !== undefined) return value.boolval.boolval ?? false;
  if (value?.ival !== undefined) return value.ival.ival === 1;
  const word = value?.sval?.sval?.trim().toLowerCase() ?? '';
  return word !== 'o' && BOOLEAN_WORDS[1][1].some((each) => each === word);
}

/**
 * Names of the settings that a SET, or the calls of set_config in a SELECT, change; undefined for one that is computed.
 */
export function settingsNamed(tree: Node): (string | undefined)[] {
  const set = as('VariableSetStmt', tree);
  if (set !== undefined) return [set.name?.toLowerCase()];
  const names: (string | undefined)[] = [];
  walk(tree, (object) => {
    const call = 'funcname' in object ? (object as FuncCall) : undefined;
    if (call !== undefined && isSetConfig(call))
      names.push(constantOf(call.args?.[0])?.sval?.sval?.toLowerCase());
    return true;
  });
  return names;
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
  if (LASTING.has(kind) || updatesSettings(tree)) return true;
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

/** UPDATE of pg_settings, whose rule calls set_config(…, false). */
function updatesSettings(tree: Node): boolean {
  return as('UpdateStmt', tree)?.relation?.relname === 'pg_settings';
}

function callMayLast(call: FuncCall): boolean {
  if (isSetConfig(call)) return isLocal(call) !== true;
  return !HARMLESS.has(strings(call.funcname).at(-1) ?? '');
}

/** Kinds that can't be analysed, or whose purpose is to change settings. */
const CHANGING: ReadonlySet<string> = new Set([
  'CallStmt',
  'DiscardStmt',
  'DoStmt',
  'ExecuteStmt',
  'VariableSetStmt',
]);

/**
 * Whether settings may differ after it has run, if only for the rest of its transaction: the migrator then sets its
 * limits again. Functions in statements that write rows are trusted with the limits, since there may be thousands.
 */
export function changesSettings(tree: Node): boolean {
  const kind = kindOf(tree);
  if (kind === 'VariableSetStmt') return !isTransactionScoped(as('VariableSetStmt', tree)?.name);
  if (CHANGING.has(kind) || updatesSettings(tree)) return true;
  let changes = false;
  walk(tree, (object) => {
    const call = 'funcname' in object ? (object as FuncCall) : undefined;
    const unknown = kind === 'SelectStmt' && !HARMLESS.has(strings(call?.funcname).at(-1) ?? '');
    changes ||= call !== undefined && (isSetConfig(call) || unknown);
    return !changes;
  });
  return changes;
}
