import type { DeleteStmt, InsertStmt, RangeVar, SelectStmt, UpdateStmt } from 'libpg-query';
import type { Backfill } from '../../lambda/migration/backfill.ts';
import type { BackfillDirective } from '../syntax/backfill-directive.ts';
import { fingerprint } from '../syntax/fingerprint.ts';
import type { ParsedStatement } from '../syntax/parse-file.ts';
import { parser } from '../syntax/parser.ts';
import type { Finding } from '../syntax/problem.ts';
import { as, type Node, relationOf, strings, walk } from '../syntax/syntax-tree.ts';
import { codeTokensOf, isWord, outermost, type Token } from '../syntax/tokens.ts';

/** Why a statement can't be done in batches. */
export class NoBackfill extends Error {
  readonly finding: Finding;

  constructor(finding: Finding) {
    super(finding.sentence);
    this.finding = finding;
  }
}

/**
 * Takes a statement under `-- migrate: backfill` apart, so that the bounds of a batch can be put into its WHERE. The
 * scanner's tokens tell where; the parser then has to read the same statement with the bounds in it, or it is refused.
 *
 * @throws NoBackfill
 */
export function takeApart(statement: ParsedStatement, directive: BackfillDirective): Backfill {
  const refuse = (sentence: string, advice: string) =>
    new NoBackfill({ index: statement.index, sentence, advice });
  const target = targetOf(statement.tree);
  const manyRows = whyNotSelect(statement.tree);
  if (manyRows !== undefined) throw refuse(...manyRows);
  if (target === undefined) {
    throw refuse(
      'A backfill is an UPDATE, a DELETE or an INSERT … SELECT.',
      'Remove the directive, or write the work as one of these.',
    );
  }
  const reason = whyNot(statement.tree, target, directive);
  if (reason !== undefined) throw refuse(...reason);
  const split = splitText(statement.text, target);
  const backfill: Backfill = {
    ...directive,
    command: target.command,
    table: relationOf(target.walked),
    only: target.walked.inh !== true,
    alias: target.walked.alias?.aliasname ?? target.walked.relname ?? '',
    aliasWritten: target.walked.alias !== undefined,
    sets: target.sets,
    insertsInto: target.command === 'insert' ? relationOf(target.written) : undefined,
    makesItsWhereFalse: makesItsWhereFalse(target),
    looksElsewhere: target.command === 'insert' || target.others,
    text: split,
  };
  if (!readsTheSame(statement, backfill)) {
    throw refuse(
      'This statement cannot be divided into batches: its parts could not be told apart.',
      'Write it in a plainer form, with the table first and WHERE at its end.',
    );
  }
  return backfill;
}

interface Target {
  readonly command: Backfill['command'];
  /** The relation whose rows are walked. */
  readonly walked: RangeVar;
  /** The relation that is written. */
  readonly written: RangeVar;
  readonly where: Node | undefined;
  readonly sets: readonly string[];
  readonly assignments: readonly { readonly column: string; readonly value: Node | undefined }[];
  readonly with: Node[];
  /** There are other relations in FROM or USING. */
  readonly others: boolean;
}

function targetOf(tree: Node): Target | undefined {
  const update = as('UpdateStmt', tree);
  if (update?.relation !== undefined) return ofUpdate(update, update.relation);
  const deletion = as('DeleteStmt', tree);
  if (deletion?.relation !== undefined) return ofDelete(deletion, deletion.relation);
  const insert = as('InsertStmt', tree);
  const select = insert?.selectStmt === undefined ? undefined : as('SelectStmt', insert.selectStmt);
  if (insert?.relation !== undefined && select !== undefined)
    return ofInsert(insert, insert.relation, select);
  return undefined;
}

function ofUpdate(update: UpdateStmt, relation: RangeVar): Target {
  const assignments = (update.targetList ?? []).flatMap((node) => {
    const target = as('ResTarget', node);
    return target?.name === undefined ? [] : [{ column: target.name, value: target.val }];
  });
  return {
    command: 'update',
    walked: relation,
    written: relation,
    where: update.whereClause,
    sets: assignments.map(({ column }) => column),
    assignments,
    with: update.withClause?.ctes ?? [],
    others: (update.fromClause ?? []).length > 0,
  };
}

function ofDelete(deletion: DeleteStmt, relation: RangeVar): Target {
  return {
    command: 'delete',
    walked: relation,
    written: relation,
    where: deletion.whereClause,
    sets: [],
    assignments: [],
    with: deletion.withClause?.ctes ?? [],
    others: (deletion.usingClause ?? []).length > 0,
  };
}

function ofInsert(insert: InsertStmt, relation: RangeVar, select: SelectStmt): Target | undefined {
  const walked = firstTable(select.fromClause?.[0]);
  if (walked === undefined) return undefined;
  return {
    command: 'insert',
    walked,
    written: relation,
    where: select.whereClause,
    sets: [],
    assignments: [],
    with: [...(insert.withClause?.ctes ?? []), ...(select.withClause?.ctes ?? [])],
    others: true,
  };
}

/** The leftmost table of FROM, where no outer join can make up rows for it. */
function firstTable(from: Node | undefined): RangeVar | undefined {
  const join = from === undefined ? undefined : as('JoinExpr', from);
  if (join !== undefined) {
    if (join.jointype === 'JOIN_RIGHT' || join.jointype === 'JOIN_FULL') return undefined;
    return firstTable(join.larg);
  }
  return from === undefined ? undefined : as('RangeVar', from);
}

type Refusal = readonly [sentence: string, advice: string];

function whyNot(tree: Node, target: Target, { by }: BackfillDirective): Refusal | undefined {
  return (
    modifyingWith(target) ??
    volatileWhere(target) ??
    currentOf(target) ??
    readsItself(tree, target) ??
    movesItsKey(target, by)
  );
}

/** What sees more rows than one, or leaves some out by their number. */
function whyNotSelect(tree: Node): Refusal | undefined {
  const insert = as('InsertStmt', tree);
  const select = insert?.selectStmt === undefined ? undefined : as('SelectStmt', insert.selectStmt);
  if (select === undefined) return undefined;
  const rewrite =
    'Write it so that each row of the first table makes its own rows, or run it as one statement.';
  if (select.op !== undefined && select.op !== 'SETOP_NONE')
    return ['UNION, INTERSECT and EXCEPT compare all rows, and a batch sees its own alone.', rewrite];
  if ((select.groupClause ?? []).length > 0 || select.havingClause !== undefined)
    return ['GROUP BY counts over all rows, and a batch sees its own alone.', rewrite];
  if ((select.distinctClause ?? []).length > 0)
    return ['DISTINCT compares all rows, and a batch sees its own alone.', rewrite];
  if (select.limitCount !== undefined || select.limitOffset !== undefined)
    return [
      'LIMIT and OFFSET would hold for each batch, not for the whole.',
      'Remove them, or say in WHERE which rows are meant.',
    ];
  if ((select.windowClause ?? []).length > 0 || hasWindow(select.targetList))
    return ['A window function looks at all rows, and a batch sees its own alone.', rewrite];
  if (hasAggregate(select.targetList))
    return ['An aggregate counts over all rows, and a batch sees its own alone.', rewrite];
  return undefined;
}

function hasWindow(list: readonly Node[] | undefined): boolean {
  return (list ?? []).some((node) => findsCall(node, (call) => call.over !== undefined));
}

/** Aggregates of Postgres by name; one of the user's own fails at the first batch's plan instead. */
const AGGREGATES = new Set(
  'count sum avg min max bool_and bool_or every array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg xmlagg bit_and bit_or bit_xor stddev variance stddev_pop stddev_samp var_pop var_samp corr covar_pop covar_samp regr_slope percentile_cont percentile_disc mode any_value range_agg range_intersect_agg'.split(
    ' ',
  ),
);

function hasAggregate(list: readonly Node[] | undefined): boolean {
  return (list ?? []).some((node) =>
    findsCall(node, (call) => call.agg_star === true || AGGREGATES.has(strings(call.funcname).at(-1) ?? '')),
  );
}

/** Calls outside of sub-selects, which are queries of their own. */
function findsCall(node: Node, test: (call: NonNullable<ReturnType<typeof callOf>>) => boolean): boolean {
  let found = false;
  walk(node, (object) => {
    if (found || 'SelectStmt' in object || 'SubLink' in object) return false;
    const call = callOf(object as unknown as Node);
    if (call !== undefined && test(call)) found = true;
    return !found;
  });
  return found;
}

function callOf(node: Node) {
  return as('FuncCall', node);
}

function modifyingWith(target: Target): Refusal | undefined {
  const modifies = target.with.some((node) => {
    const query = as('CommonTableExpr', node)?.ctequery;
    return query !== undefined && !('SelectStmt' in query);
  });
  return modifies
    ? ['A WITH that writes would be carried out once for each batch.', 'Make it a statement of its own.']
    : undefined;
}

/** Volatile functions of Postgres: each batch, and each attempt, would decide again. */
const VOLATILE = new Set(
  'random random_normal gen_random_uuid uuidv4 uuidv7 uuid_generate_v4 uuid_generate_v1 clock_timestamp timeofday nextval setval currval lastval pg_sleep setseed txid_current pg_current_xact_id'.split(
    ' ',
  ),
);

function volatileWhere({ where }: Target): Refusal | undefined {
  if (where === undefined) return undefined;
  let name: string | undefined;
  walk(where, (object) => {
    const called = strings(callOf(object as unknown as Node)?.funcname).at(-1);
    if (called !== undefined && VOLATILE.has(called)) name = called;
    return name === undefined;
  });
  return name === undefined
    ? undefined
    : [
        `${name}() in WHERE decides again for each batch and each attempt which rows are meant.`,
        'Say in WHERE by the rows themselves which are meant.',
      ];
}

function currentOf({ where }: Target): Refusal | undefined {
  return where !== undefined && 'CurrentOfExpr' in where
    ? [
        'WHERE CURRENT OF needs a cursor, which no batch has.',
        'Say in WHERE by the rows themselves which are meant.',
      ]
    : undefined;
}

/** Earlier batches change what a look at the same table finds. */
function readsItself(tree: Node, target: Target): Refusal | undefined {
  const { written, walked, command, sets } = target;
  let again = false;
  walk(tree, (object) => {
    const range = as('RangeVar', object as unknown as Node);
    if (range === undefined || range === written || range === walked) return true;
    if (range.relname === written.relname && sameSchema(range, written)) again = true;
    return true;
  });
  if (command === 'insert' && walked.relname === written.relname && sameSchema(walked, written)) again = true;
  if (!again) return undefined;
  // A column that is not written reads the same in every batch.
  if (command === 'update' && !namesInQueries(tree).some((name) => name === '*' || sets.includes(name)))
    return undefined;
  return [
    `The statement reads ${written.relname} while it writes it, so a batch would see what earlier batches did.`,
    'Write it without a second look at that table, or run it as one statement. To leave out rows that are there already, write ON CONFLICT DO NOTHING.',
  ];
}

function sameSchema(a: RangeVar, b: RangeVar): boolean {
  return a.schemaname === undefined || b.schemaname === undefined || a.schemaname === b.schemaname;
}

/** Names of all columns that sub-selects, FROM and WITH mention. */
function namesInQueries(tree: Node): string[] {
  const names: string[] = [];
  const collect = (node: Node): void =>
    walk(node, (object) => {
      const column = as('ColumnRef', object as unknown as Node);
      if (column !== undefined) {
        const last = column.fields?.at(-1);
        names.push(last === undefined || 'A_Star' in last ? '*' : (as('String', last)?.sval ?? '*'));
      }
      return true;
    });
  const update = as('UpdateStmt', tree);
  for (const node of [...(update?.fromClause ?? []), ...(update?.withClause?.ctes ?? [])]) collect(node);
  walk(tree, (object) => {
    const link = as('SubLink', object as unknown as Node);
    if (link !== undefined) collect({ SubLink: link } as Node);
    return link === undefined;
  });
  // A self-join's columns may be anywhere in the statement.
  if ((update?.fromClause ?? []).some((node) => as('RangeVar', node)?.relname === update?.relation?.relname))
    for (const node of [...(update?.targetList ?? []), ...(update?.whereClause ? [update.whereClause] : [])])
      collect(node);
  return names;
}

function movesItsKey({ sets }: Target, by: readonly string[] | undefined): Refusal | undefined {
  const moved = by?.find((column) => sets.includes(column));
  return moved === undefined
    ? undefined
    : [
        `The statement sets ${moved}, by which it is to be walked: a row could be passed over, or met twice.`,
        'Name another key in `backfill by (…)`, or leave it out.',
      ];
}

/**
 * `where x is null` and x is set: a row that is done does not match any more. One for which x is null again comes out
 * the same the second time, or the statement does not count.
 */
function makesItsWhereFalse({ command, where, assignments, sets }: Target): boolean {
  if (command === 'delete') return true;
  if (command === 'insert' || where === undefined) return false;
  if (assignments.some(({ value }) => value !== undefined && !isRepeatable(value, sets))) return false;
  return conjuncts(where).some((term) => {
    const test = as('NullTest', term);
    if (test?.nulltesttype === 'IS_NULL' && test.arg !== undefined) {
      const value = assignedTo(test.arg, assignments);
      return value !== undefined && as('A_Const', value)?.isnull !== true;
    }
    const differs = as('A_Expr', term);
    if (differs?.kind !== 'AEXPR_DISTINCT' || differs.lexpr === undefined || differs.rexpr === undefined)
      return false;
    const value = assignedTo(differs.lexpr, assignments);
    return value !== undefined && fingerprint([value]) === fingerprint([differs.rexpr]);
  });
}

/** It reads no column that the statement sets, and calls nothing that answers otherwise each time. */
function isRepeatable(value: Node, sets: readonly string[]): boolean {
  let repeatable = true;
  walk(value, (object) => {
    const node = object as unknown as Node;
    const column = as('ColumnRef', node)?.fields?.at(-1);
    if (column !== undefined && ('A_Star' in column || sets.includes(as('String', column)?.sval ?? '')))
      repeatable = false;
    if (VOLATILE.has(strings(callOf(node)?.funcname).at(-1) ?? '')) repeatable = false;
    return repeatable;
  });
  return repeatable;
}

function conjuncts(where: Node): readonly Node[] {
  const both = as('BoolExpr', where);
  return both?.boolop === 'AND_EXPR' ? (both.args ?? []).flatMap(conjuncts) : [where];
}

function assignedTo(node: Node, assignments: Target['assignments']): Node | undefined {
  const last = as('ColumnRef', node)?.fields?.at(-1);
  const name = last === undefined ? undefined : as('String', last)?.sval;
  return assignments.find(({ column }) => column === name)?.value;
}

/** Cuts the text at the table's name and around the condition. */
function splitText(text: string, target: Target): Backfill['text'] {
  const tokens = outermost(codeTokensOf(text));
  const main = tokens.findIndex((token) => isWord(token, target.command));
  const start = startOfTable(tokens, main, target.command);
  const name = nameAt(tokens, start);
  const where = tokens.findIndex((token, index) => index > name.last && isWord(token, 'where'));
  const after = tokens.findIndex((token, index) => {
    if (index <= Math.max(name.last, where)) return false;
    if (isWord(token, 'returning')) return true;
    if (target.command !== 'insert') return false;
    if (isWord(token, 'on')) return isWord(tokens[index + 1], 'conflict');
    return isWord(token, 'order') || isWord(token, 'for');
  });
  const from = tokens[name.first]?.start ?? 0;
  const to = tokens[name.last]?.end ?? text.length;
  const end = tokens[after]?.start ?? text.length;
  const condition = where === -1 ? undefined : text.slice(tokens[where]?.end ?? end, end);
  const untilCondition = where === -1 ? end : (tokens[where]?.start ?? end);
  return {
    before: text.slice(0, name.only ?? from),
    table: text.slice(name.only ?? from, to),
    between: text.slice(to, untilCondition),
    ...(condition === undefined ? {} : { condition: condition.trim() }),
    after: text.slice(end),
  };
}

function startOfTable(tokens: readonly Token[], main: number, command: Backfill['command']): number {
  if (command === 'update') return main + 1;
  if (command === 'delete') return main + 2;
  const select = tokens.findIndex((token, index) => index > main && isWord(token, 'select'));
  return tokens.findIndex((token, index) => index > select && isWord(token, 'from')) + 1;
}

/** `only a . b`: the places of its first and last token, and where ONLY begins. */
function nameAt(tokens: readonly Token[], start: number) {
  const only = isWord(tokens[start], 'only');
  const first = only ? start + 1 : start;
  let last = first;
  while (tokens[last + 1]?.text === '.') last += 2;
  return { first, last, only: only ? tokens[start]?.start : undefined };
}

const MARK = 'the_batch_of_this_backfill';

/** Whether the statement with a mark for its bounds is the statement, and the mark one more condition of it. */
function readsTheSame(statement: ParsedStatement, { text, table }: Backfill): boolean {
  const { condition } = text;
  const name = text.table;
  if (name === '' || table.name === '') return false;
  const marked = `${text.before}${name}${text.between} where (${MARK})${condition === undefined ? '' : ` and (${condition}\n)`} ${text.after}`;
  const trees = (() => {
    try {
      return parser().parseSync(marked).stmts;
    } catch {
      return undefined;
    }
  })();
  const [first, ...rest] = trees ?? [];
  if (first?.stmt === undefined || rest.length > 0) return false;
  return fingerprint([withoutMark(first.stmt as Node)]) === fingerprint([statement.tree]);
}

/** The tree without the mark: the condition beside it, or none. */
function withoutMark(tree: Node): Node {
  const copy = structuredClone(tree) as Node;
  const insert = as('InsertStmt', copy);
  const owner = (as('UpdateStmt', copy) ??
    as('DeleteStmt', copy) ??
    (insert?.selectStmt === undefined ? undefined : as('SelectStmt', insert.selectStmt))) as
    | { whereClause?: Node }
    | undefined;
  const where = owner?.whereClause;
  if (owner === undefined || where === undefined) return copy;
  if (isMark(where)) delete owner.whereClause;
  const both = as('BoolExpr', where);
  const [mark, condition, ...others] = both?.args ?? [];
  if (both?.boolop === 'AND_EXPR' && mark !== undefined && isMark(mark) && condition !== undefined) {
    if (others.length === 0) owner.whereClause = condition;
    // The parser makes one list of `a and (b and c)`.
    else owner.whereClause = { BoolExpr: { ...both, args: [condition, ...others] } } as Node;
  }
  return copy;
}

function isMark(node: Node): boolean {
  const fields = as('ColumnRef', node)?.fields ?? [];
  return fields.length === 1 && as('String', fields[0] as Node)?.sval === MARK;
}
