import { forgetParser, parser } from './parser.ts';
import { type FileRefused, type Finding, problemAt } from './problem.ts';
import type { SourceText } from './source-text.ts';
import { as, type Node } from './syntax-tree.ts';

/**
 * Turns the parser's error into a problem, and explains common causes better than a grammar can. `parsed` is what
 * the parser was given, where that was not the source itself.
 */
export function refuseSyntax(source: SourceText, error: unknown, parsed = source): FileRefused {
  const { message, sqlDetails } = error as { message: string; sqlDetails?: { cursorPosition: number } };
  if (sqlDetails === undefined) {
    forgetParser();
    const sentence = `The parser gave up on this file, which may be too large or nested too deeply for it: ${message}.`;
    return problemAt(source, { index: 0, sentence, advice: 'Split it into several files or statements.' });
  }
  const index = parsed.indexOfCodePoint(sqlDetails.cursorPosition);
  return problemAt(source, explain(source.text, index) ?? { index, sentence: `${firstLine(message)}.` });
}

/** With an unterminated string or comment, "at or near" is followed by the whole rest of the file. */
function firstLine(message: string): string {
  const [line = '', ...others] = message.split('\n');
  return others.length === 0 ? line : `${line} …"`;
}

function explain(text: string, index: number): Finding | undefined {
  return (
    copyData(text, index) ??
    playEvolution(text, index) ??
    metaCommand(text, index) ??
    placeholder(text, index) ??
    invisible(text, index)
  );
}

/** `tool`: undefined where several do it like this. */
export function dividedBy(tool: string | undefined, index: number): Finding {
  const how = tool === undefined ? 'This file is divided' : `This file is divided as ${tool} does it,`;
  return {
    index,
    sentence: `${how} into a part to apply and a part to undo; that is not read yet.`,
    advice:
      'Leave the part to apply here, and move the other into a file of the same name that ends in .down.sql.',
  };
}

/** Play takes `# --- !Ups` as well, which is no comment to PostgreSQL. */
function playEvolution(text: string, index: number): Finding | undefined {
  if (text[index] !== '#') return undefined;
  const mark = /^[ \t]*#.*!(?:Ups|Downs)\b/m.exec(text);
  return mark === null ? undefined : dividedBy('Play', mark.index + mark[0].indexOf('#'));
}

/** The lines after COPY … FROM STDIN are not SQL: the parser stops at the first of them. */
function copyData(text: string, index: number): Finding | undefined {
  const before = lastStatementBefore(text, index);
  return before !== undefined && isCopyFromStdin(before.tree) ? refusedCopy(before.index) : undefined;
}

export function isCopyFromStdin(tree: Node): boolean {
  const copy = as('CopyStmt', tree);
  return copy?.is_from === true && copy.filename === undefined;
}

export function refusedCopy(index: number): Finding {
  return {
    index,
    sentence: 'COPY … FROM STDIN needs data from a client, and a migration has none.',
    advice:
      'Write the rows as INSERT statements (pg_dump --rows-per-insert=1000 does), or load them outside of migrations.',
  };
}

function lastStatementBefore(text: string, index: number): { tree: Node; index: number } | undefined {
  const before = text.slice(0, index);
  try {
    const raw = parser().parseSync(before).stmts?.at(-1);
    if (raw?.stmt === undefined) return undefined;
    const start = Buffer.from(before)
      .subarray(0, raw.stmt_location ?? 0)
      .toString().length;
    return { tree: raw.stmt, index: start };
  } catch {
    // The text before is incomplete: the parser stopped in the middle of a statement.
    return undefined;
  }
}

function metaCommand(text: string, index: number): Finding | undefined {
  if (text[index] !== '\\') return undefined;
  const [command = ''] = /^\\(?:\w+|\S)?/.exec(text.slice(index)) ?? [];
  return {
    index,
    sentence: `${command} is a command of psql, not SQL: only psql understands it.`,
    advice: META_COMMAND_ADVICE.get(command) ?? 'Remove it, or write what it does as SQL.',
  };
}

const PROTECTION = 'Remove it: pg_dump writes it to protect psql, and nothing here needs it.';
const CONNECTION = 'Remove it: migrations run in the one database that their secret names.';
const INCLUSION = "Put the other file's SQL here, or make it a migration of its own.";
const ROWS = 'Write the rows as INSERT statements.';

const META_COMMAND_ADVICE: ReadonlyMap<string, string> = new Map([
  ['\\restrict', PROTECTION],
  ['\\unrestrict', PROTECTION],
  ['\\c', CONNECTION],
  ['\\connect', CONNECTION],
  ['\\i', INCLUSION],
  ['\\ir', INCLUSION],
  ['\\include', INCLUSION],
  ['\\include_relative', INCLUSION],
  ['\\copy', ROWS],
  ['\\.', ROWS],
]);

/** A placeholder that another program would have replaced before Postgres saw it. */
function placeholder(text: string, index: number): Finding | undefined {
  const rest = text.slice(index, index + 200);
  const [variable] = /^:(?:'\w+'|"\w+"|\w+)/.exec(rest) ?? [];
  if (variable !== undefined) {
    const sentence = `${variable} is a variable of psql, and nothing sets it here.`;
    const name = variable.replace(/\W/g, '');
    return {
      index,
      sentence,
      advice: `Give it a value: placeholders: { ${name}: '…' }, on the command line --placeholder ${name}=…; or write the value itself.`,
    };
  }
  const [template] = /^(?:\{\{|\$\{|\{%|<%)/.exec(rest) ?? [];
  if (template === undefined) return undefined;
  const sentence = `${template} begins a placeholder of a template, and nothing fills it here.`;
  return { index, sentence, advice: 'Render the template first, and keep the result as the migration.' };
}

/** Characters that look like white space, or are invisible, but are read as part of a name. */
const INVISIBLE: ReadonlyMap<string, string> = new Map([
  ['\u00a0', 'a no-break space (U+00A0)'],
  ['\u200b', 'a zero-width space (U+200B)'],
  ['\u2028', 'a line separator (U+2028)'],
  ['\u2060', 'a word joiner (U+2060)'],
  ['\u3000', 'an ideographic space (U+3000)'],
  ['\ufeff', 'a byte order mark (U+FEFF)'],
]);

function invisible(text: string, index: number): Finding | undefined {
  const [word] = /^[^\s;,()]*[\u00a0\u200b\u2028\u2060\u3000\ufeff]/.exec(text.slice(index)) ?? [];
  const character = word?.at(-1);
  const name = character === undefined ? undefined : INVISIBLE.get(character);
  if (word === undefined || name === undefined) return undefined;
  return {
    index: index + word.length - 1,
    sentence: `Here is ${name}, which PostgreSQL reads as part of a name.`,
    advice: 'Remove it, or write an ordinary space.',
  };
}
