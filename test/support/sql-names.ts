import { parser } from '../../compiler/syntax/parser.ts';
import type { SqlInSource } from './sql-in-source.ts';

const { parseSync, parsePlPgSQLSync } = parser();

/** What is put into a hole of whose value nothing is known, in the order in which it is tried. */
const GUESSES = [
  'hole',
  '1',
  "'hole'",
  '',
  '(hole)',
  'hole = hole',
  'select 1 as hole',
  'table',
  'when 1 then 1',
  'hole (id int)',
  "set hole = 'hole'",
];
/** Where a part of a statement may stand. */
const AROUND: readonly Around[] = [
  ['', ''],
  ['', ' (like hole.hole)'],
  ['select ', ''],
  ['select 1 from hole.hole ', ''],
  ['select 1 from ', ''],
  ['select 1 from hole.hole where true ', ''],
  ['select 1 from hole.hole where ', ''],
  ['insert into hole.hole values (1) ', ''],
];
const MOST_ATTEMPTS = 3_000;

type Around = readonly [before: string, after: string];

/** A statement that the parser takes, of which the SQL in the source is the whole or a part; its tree. */
export function parseSql(sql: Pick<SqlInSource, 'texts' | 'holes'>): unknown {
  for (const around of AROUND) {
    const tree = fill(sql, around);
    if (tree !== undefined) return tree;
  }
  return undefined;
}

/** Finds something for each hole: where the parser stops, one of the holes before that place gets another guess. */
function fill({ texts, holes }: Pick<SqlInSource, 'texts' | 'holes'>, [before, after]: Around): unknown {
  const guesses = holes.map((hole, at) => {
    if (hole === 'identifier') return ['"hole"'];
    if (hole === 'literal') return ["'hole'"];
    const next = texts[at + 1] ?? '';
    // Words that may be left out bring their space along.
    return /^[a-z(]/.test(next) || (next === '' && at < holes.length - 1) ? ['', 'hole '] : GUESSES;
  });
  const queue: (readonly number[])[] = [holes.map(() => 0)];
  const seen = new Set<string>();
  for (const filling of queue) {
    if (seen.size >= MOST_ATTEMPTS) return undefined;
    const starts: number[] = [];
    let sql = before + texts[0];
    for (const [at, guess] of filling.entries()) {
      starts.push(sql.length);
      sql += guesses[at]?.[guess];
      sql += texts[at + 1];
    }
    if (seen.has(sql)) continue;
    seen.add(sql);
    const outcome = tryParse(sql + after, sql.slice(before.length));
    if (typeof outcome !== 'number') return outcome;
    const near = starts.map((start, at) => ({ start, at })).filter(({ start }) => start - 1 <= outcome);
    for (const { at } of near.reverse().slice(0, 5)) {
      for (let other = 1; other < (guesses[at]?.length ?? 0); other += 1)
        queue.push(filling.map((guess, index) => (index === at ? other : guess)));
    }
  }
  return undefined;
}

/** The tree, or the place where the parser stops. */
function tryParse(sql: string, alone: string): unknown {
  try {
    // What is psql's own ends a statement there.
    const tree = parseSync(sql.replace(/ \\[a-z]+$/, ''));
    return [tree, ...blocksIn(tree)];
  } catch (error) {
    // Of a block it does not say where.
    if (BLOCK.test(alone)) return tryBlock(alone) ?? sql.length;
    return (error as { sqlDetails?: { cursorPosition?: number } }).sqlDetails?.cursorPosition ?? 0;
  }
}

const BLOCK = /^\s*(?:declare|begin)\s/;

/** PL/pgSQL, of a DO or a function, whose expressions the parser leaves as text. */
function tryBlock(sql: string): unknown {
  if (!BLOCK.test(sql)) return undefined;
  try {
    const tag = '$a_tag_of_the_test$';
    return expressionsOf(parsePlPgSQLSync(`create procedure hole() language plpgsql as ${tag}${sql}${tag}`));
  } catch {
    return undefined;
  }
}

function blocksIn(tree: unknown): unknown[] {
  const found: unknown[] = [];
  walk(tree, (node) => {
    const body = (
      node.DoStmt as { args?: readonly { DefElem?: { arg?: { String?: { sval?: string } } } }[] } | undefined
    )?.args?.[0];
    const text = body?.DefElem?.arg?.String?.sval;
    if (text !== undefined) found.push(tryBlock(text));
  });
  return found;
}

interface Variable {
  readonly refname?: string;
  readonly datatype?: { readonly PLpgSQL_type?: { readonly typname?: string } };
}

function expressionsOf(block: unknown): unknown[] {
  const found: unknown[] = [];
  walk(block, (node) => {
    const { query, parseMode } = (node.PLpgSQL_expr ?? {}) as { query?: string; parseMode?: number };
    if (query === undefined) return;
    // 0 is a statement, 2 an expression, 3 to 5 an assignment.
    const sql =
      parseMode === 2
        ? `select ${query}`
        : (parseMode ?? 0) >= 3
          ? `select ${query.replace(/^[^:]*:?=/, '')}`
          : query;
    found.push(parseSync(sql));
  });
  walk(block, (node) => {
    const { refname, datatype } = (node.PLpgSQL_var ?? {}) as Variable;
    const name = datatype?.PLpgSQL_type?.typname;
    // Those of PL/pgSQL itself are none of ours.
    if (name !== undefined && !['found', 'sqlstate', 'sqlerrm'].includes(refname ?? ''))
      found.push(parseSync(`select null::${name.replace('UNKNOWN', 'int')}`));
  });
  return found;
}

type AnyNode = Readonly<Record<string, unknown>>;

function walk(value: unknown, visit: (node: AnyNode) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if (Array.isArray(value)) {
    for (const each of value) walk(each, visit);
    return;
  }
  visit(value as AnyNode);
  for (const each of Object.values(value)) walk(each, visit);
}

/** The parser's names of what we write in its own syntax, and of what fills a hole. */
const OWN_SCHEMAS: ReadonlySet<string> = new Set(['pg_catalog', 'hole', 'pg_temp']);

export interface Rules {
  /** The statement may run under another search path than ours, so that types and operators need their schema too. */
  readonly anySearchPath: boolean;
}

/** Every name by which a search path could lead to an object that is not Postgres's. */
export function unqualifiedNames(tree: unknown, { anySearchPath }: Rules): string[] {
  const found: string[] = [];
  const known = new Set<string>(['hole']);
  walk(tree, (node) => {
    const { ctename } = (node.CommonTableExpr ?? {}) as { ctename?: string };
    if (ctename !== undefined) known.add(ctename);
  });
  walk(tree, (node) => {
    for (const [kind, value] of Object.entries(node)) {
      if (typeof value !== 'object' || value === null) continue;
      found.push(...faults(kind, value as AnyNode, { known, anySearchPath }));
    }
  });
  return found;
}

function faults(
  kind: string,
  node: AnyNode,
  { known, anySearchPath }: { known: ReadonlySet<string>; anySearchPath: boolean },
): string[] {
  switch (kind) {
    case 'FuncCall':
      return unknownName('the function', namesIn(node.funcname));
    case 'RangeVar':
    case 'relation': {
      // Of TABLESAMPLE it is a node around one.
      if (node.RangeVar !== undefined) return [];
      const name = String(node.relname);
      const temporary = node.relpersistence === 't';
      return typeof node.schemaname === 'string' || known.has(name) || temporary
        ? []
        : [`the relation ${name}`];
    }
    default:
  }
  if (!anySearchPath) return [];
  switch (kind) {
    case 'TypeName':
    case 'typeName':
      return unknownName('the type', namesIn(node.names));
    case 'A_Expr': {
      const names = namesIn(node.name);
      const written = unqualifiable(node.kind);
      if (written !== undefined) return [written];
      return unknownName('the operator', names);
    }
    case 'SubLink':
      return node.subLinkType === 'ANY_SUBLINK' || node.subLinkType === 'ALL_SUBLINK'
        ? unknownName('the operator', node.operName === undefined ? ['in'] : namesIn(node.operName))
        : [];
    case 'CaseExpr':
      return node.arg === undefined ? [] : ['the operator = of case … when'];
    case 'JoinExpr':
      return node.usingClause === undefined && node.isNatural !== true ? [] : ['the operator = of using'];
    case 'CollateClause':
      return unknownName('the collation', namesIn(node.collname));
    default:
      return [];
  }
}

/** What can't be written with a schema. */
function unqualifiable(kind: unknown): string | undefined {
  switch (kind) {
    case 'AEXPR_DISTINCT':
    case 'AEXPR_NOT_DISTINCT':
      return 'the operator = of is distinct from';
    case 'AEXPR_NULLIF':
      return 'the operator = of nullif';
    case 'AEXPR_IN':
      return 'the operator = of in';
    case 'AEXPR_LIKE':
    case 'AEXPR_ILIKE':
    case 'AEXPR_SIMILAR':
      return 'the operator of like';
    case 'AEXPR_BETWEEN':
    case 'AEXPR_NOT_BETWEEN':
    case 'AEXPR_BETWEEN_SYM':
    case 'AEXPR_NOT_BETWEEN_SYM':
      return 'the operators of between';
    default:
      return undefined;
  }
}

function namesIn(value: unknown): string[] {
  return (Array.isArray(value) ? value : []).map((each) =>
    String((each as { String?: { sval?: string } }).String?.sval),
  );
}

function unknownName(what: string, names: readonly string[]): string[] {
  const [schema = '', name] = names;
  if (name !== undefined && OWN_SCHEMAS.has(schema)) return [];
  // What is put in by the source itself.
  if (schema === 'hole') return [];
  return [`${what} ${names.join('.')}`];
}
