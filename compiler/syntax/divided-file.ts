import type { Comment, ParsedFile } from './parse-file.ts';
import { problemAt } from './problem.ts';
import { dividedBy } from './syntax-error.ts';

/** What a file is there for: one that undoes may say so in a headline. */
export type FileRole = 'up' | 'down';

interface Mark {
  readonly index: number;
  readonly tool: string | undefined;
  readonly part: FileRole;
  /** Nobody writes it but for the tool; others may be headlines. */
  readonly certain: boolean;
}

/** Comments by which a tool divides one file into a part to apply and a part to undo, as each tool finds them. */
const SIGNATURES: readonly { readonly tool: string; readonly up?: RegExp; readonly down: RegExp }[] = [
  { tool: 'dbmate', up: /^migrate:up\b/i, down: /^migrate:down\b/i },
  { tool: 'goose', up: /^\+goose\s+up\b/i, down: /^\+goose\s+down\b/i },
  { tool: 'sql-migrate', up: /^\+migrate\s+up\b/i, down: /^\+migrate\s+down\b/i },
  { tool: 'micrate', up: /^\+micrate\s+up\b/i, down: /^\+micrate\s+down\b/i },
  { tool: 'rambler', up: /^rambler\s+up$/i, down: /^rambler\s+down$/i },
  { tool: 'tern', down: /^[\s-]*create\s+above\s*\/\s*drop\s+below[\s-]*$/i },
  { tool: 'shmig', up: /^=+\s*up\s*=+$/i, down: /^=+\s*down\s*=+$/i },
  { tool: 'MyBatis Migrations', down: /^(?:\/\/)?\s*@undo\b/i },
  { tool: 'Play', up: /^[\s-]*!ups\b/i, down: /^[\s-]*!downs\b/i },
  { tool: 'Atlas', down: /^(?:atlas:txtar\b|down\.sql\s*--$)/i },
];

/**
 * A headline is a whole comment that has one of these words, and besides it none but those that say nothing about it;
 * `-- Down migration: removes the table` is a sentence, and divides nothing.
 */
const DIRECTIONS: Readonly<Record<FileRole, ReadonlySet<string>>> = {
  up: new Set(['up', 'ups', 'upgrade', 'forward', 'forwards']),
  down: new Set([
    'down',
    'downs',
    'downgrade',
    'undo',
    'rollback',
    'revert',
    'reverse',
    'backward',
    'backwards',
  ]),
};

/** A word on its own that is as often about the data. */
const NEVER_ALONE: ReadonlySet<string> = new Set(['forward', 'forwards', 'reverse', 'upgrade']);

const BESIDE: ReadonlySet<string> = new Set(
  'migration migrations migrate script sql section part step steps changes below direction name to the this'.split(
    ' ',
  ),
);

const MOST_WORDS = 5;

function headlineOf(words: readonly string[]): FileRole | undefined {
  const directions = words.filter((word) => !BESIDE.has(word));
  if (words.length > MOST_WORDS || directions.length === 0) return undefined;
  if (words.length === 1 && NEVER_ALONE.has(words[0] ?? '')) return undefined;
  return (['up', 'down'] as const).find((part) => directions.every((word) => DIRECTIONS[part].has(word)));
}

/** `+mig up`, `@tool down`, `tool:down`, `@db/rollback`: marks of tools that are not known here. */
const UNKNOWN_TOOL = /^(?:[+@!]\w+\s+|[+@!]?\w+[:/]\s*)(up|down|rollback|undo|revert)$/i;

/** The parentheses that may follow: `-- Down Migration (drops people)`. */
const REMARK = /\s*\(.*\)\s*$/;

/**
 * Refuses a file that holds both directions: run as it stands, it would undo at once what it did. `read` is the tool
 * whose marks are understood.
 *
 * @throws FileRefused at the comment that divides it
 */
export function refuseDividedFile(file: ParsedFile, role: FileRole, read?: string): void {
  const marks = file.comments
    .flatMap((comment) => markOf(file, comment) ?? [])
    .filter(({ tool }) => tool === undefined || tool !== read);
  const divider = marks.find(({ certain }) => certain) ?? headlineThatDivides(file, marks, role);
  if (divider === undefined) return;
  throw problemAt(file.source, dividedBy(divider.tool, divider.index));
}

/** Headlines divide where statements stand on the wrong side of them. */
function headlineThatDivides(
  { statements }: ParsedFile,
  marks: readonly Mark[],
  role: FileRole,
): Mark | undefined {
  return marks.find((mark, at) => {
    const end = marks[at + 1]?.index ?? Number.POSITIVE_INFINITY;
    const below = statements.some(({ index }) => index > mark.index && index < end);
    const above = statements.some(({ index }) => index < mark.index);
    if (role === 'up') return mark.part === 'down' && below;
    // A file to undo may call itself so, above all that is in it.
    return mark.part === 'up' ? below : above && below;
  });
}

function markOf(file: ParsedFile, comment: Comment): Mark | undefined {
  const content = contentOf(comment);
  const { index } = comment;
  for (const { tool, up, down } of SIGNATURES) {
    const part = down.test(content) ? 'down' : up?.test(content) ? 'up' : undefined;
    if (part !== undefined) return { index, tool, part, certain: true };
  }
  if (!standsAlone(file, comment)) return undefined;
  const words = content
    .replace(REMARK, '')
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim()
    .toLowerCase()
    .replace(/\broll back\b/, 'rollback');
  const unknown = UNKNOWN_TOOL.exec(content)?.[1]?.toLowerCase();
  const part =
    unknown === undefined
      ? headlineOf(words === '' ? [] : words.split(' '))
      : unknown === 'up'
        ? 'up'
        : 'down';
  const tool = /^(?:up|down) migration$/.test(words) ? 'node-pg-migrate' : undefined;
  return part === undefined ? undefined : { index, tool, part, certain: false };
}

/** On a line of its own, and within no statement. */
function standsAlone({ source, statements }: ParsedFile, { index }: Comment): boolean {
  const line = source.lineAround(index);
  if (source.text.slice(line.start, index).trim() !== '') return false;
  return !statements.some((each) => each.index < index && index < each.index + each.text.length);
}

/** What a comment says, without its marks. */
export function contentOf({ text }: Comment): string {
  return (text.startsWith('--') ? text.slice(2) : text.slice(2, -2)).trim();
}
