import type { ParsedStatement } from '../syntax/parse-file.ts';
import { parser } from '../syntax/parser.ts';
import { as, kindOf, type Node, strings, walk } from '../syntax/syntax-tree.ts';
import { codeTokensOf } from '../syntax/tokens.ts';

/** The parts of a PL/pgSQL body that decide whether it may run inside a transaction. */
export interface ProcedureBody {
  readonly commits: boolean;
  /** Procedures that it calls, without their schemas. */
  readonly calls: readonly string[];
}

/** Reads the body of a DO block or of CREATE PROCEDURE; undefined for other statements and other languages. */
export function procedureBody(statement: ParsedStatement): ProcedureBody | undefined {
  const body = plpgsqlSource(statement.tree);
  if (body === undefined) return undefined;
  try {
    return readTree(parser().parsePlPgSQLSync(statement.text));
  } catch {
    // It knows only built-in types, so it may fail on a valid body.
    return { commits: commitsByTokens(body), calls: [] };
  }
}

/** The name of the procedure that a statement creates, without its schema. */
export function createdProcedure(tree: Node): string | undefined {
  const create = as('CreateFunctionStmt', tree);
  return create?.is_procedure === true ? strings(create.funcname).at(-1) : undefined;
}

/** The name of the procedure that a statement calls, without its schema. */
export function calledProcedure(tree: Node): string | undefined {
  return strings(as('CallStmt', tree)?.funccall?.funcname).at(-1);
}

function plpgsqlSource(tree: Node): string | undefined {
  const block = as('DoStmt', tree);
  const create = createdProcedure(tree) === undefined ? undefined : as('CreateFunctionStmt', tree);
  const options = (block?.args ?? create?.options ?? []).map((node) => as('DefElem', node));
  const option = (name: string) => options.find((each) => each?.defname === name)?.arg;
  // Only DO has a default.
  const language = as('String', option('language'))?.sval ?? (block === undefined ? undefined : 'plpgsql');
  const source = option('as');
  if (language?.toLowerCase() !== 'plpgsql' || source === undefined) return undefined;
  return as('String', source)?.sval ?? strings(as('List', source)?.items)[0];
}

function readTree(tree: unknown): ProcedureBody {
  let commits = false;
  const calls: string[] = [];
  walk(tree, (object) => {
    if ('PLpgSQL_stmt_commit' in object || 'PLpgSQL_stmt_rollback' in object) commits = true;
    if ('PLpgSQL_stmt_call' in object) calls.push(...callsIn(object.PLpgSQL_stmt_call));
    return true;
  });
  return { commits, calls };
}

function callsIn(statement: unknown): readonly string[] {
  const { expr } = statement as { expr?: { PLpgSQL_expr?: { query?: string } } };
  const query = expr?.PLpgSQL_expr?.query;
  if (query === undefined) return [];
  const name = parser()
    .parseSync(query)
    .stmts?.map(({ stmt }) =>
      stmt === undefined || kindOf(stmt) !== 'CallStmt' ? undefined : calledProcedure(stmt),
    )
    .find((called) => called !== undefined);
  return name === undefined ? [] : [name];
}

/** COMMIT or ROLLBACK as a statement of its own: followed by its semicolon, or by AND [NO] CHAIN. */
function commitsByTokens(body: string): boolean {
  try {
    const tokens = codeTokensOf(body).map(({ text }) => text.toLowerCase());
    return tokens.some(
      (token, at) =>
        (token === 'commit' || token === 'rollback') && [';', 'and'].includes(tokens[at + 1] ?? ''),
    );
  } catch {
    // It can't even be scanned: Postgres will say what is wrong with it.
    return false;
  }
}
