import { isOwnUndo } from './own-undo.ts';
import type { Comment, ParsedFile } from './parse-file.ts';
import { problemAt } from './problem.ts';
import { dividedBy } from './syntax-error.ts';
import { as, kindOf } from './syntax-tree.ts';

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
  { tool: 'Mojo::Pg', up: /^\d+\s*up$/i, down: /^\d+\s*down$/i },
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
  'migration migrations migrate script sql section part block region step steps statement statements changes version begin start end below direction name file to the this'.split(
    ' ',
  ),
);

const MOST_WORDS = 5;

function headlineOf(words: readonly string[]): FileRole | undefined {
  const directions = words.filter((word) => !BESIDE.has(word) && !/^v?\d+$/.test(word));
  if (words.length > MOST_WORDS || directions.length === 0) return undefined;
  if (words.length === 1 && NEVER_ALONE.has(words[0] ?? '')) return undefined;
  return (['up', 'down'] as const).find((part) => directions.every((word) => DIRECTIONS[part].has(word)));
}

/** `+mig up`, `@tool down`, `tool:down`, `@db/rollback`: marks of tools that are not known here. */
const UNKNOWN_TOOL = /^(?:[+@!]\w+\s+|[+@!]?\w+[:/]\s*)(up|down|rollback|undo|revert)$/i;

/** `-- 001_people.down.sql`: files that were put together. */
const OF_FILE = /^(?:file:?\s*)?[\w./-]*\b(up|down)\.sql$/i;

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
  const divider =
    marks.find(({ certain }) => certain) ??
    headlineThatDivides(file, marks, role) ??
    (role === 'up' ? commentBeforeOwnUndo(file) : undefined);
  if (divider === undefined) return;
  throw problemAt(file.source, dividedBy(divider.tool, divider.index));
}

/** Whatever its words: below it is dropped all that is created above it, and nothing else is done. */
function commentBeforeOwnUndo(file: ParsedFile): Mark | undefined {
  const { statements, comments } = file;
  const other = statements.findLastIndex(({ tree }) => !DROPS.has(kindOf(tree)));
  const from = statements[other]?.index ?? 0;
  const comment = comments.find((each) => {
    if (each.index < from || !standsAlone(file, each)) return false;
    const first = statements.filter(({ index }) => index < each.index);
    return isOwnUndo(first, statements.slice(first.length));
  });
  return comment && { index: comment.index, tool: undefined, part: 'down', certain: false };
}

const DROPS: ReadonlySet<string> = new Set([
  'AlterTableStmt',
  'DropRoleStmt',
  'DropStmt',
  'GrantStmt',
  'TransactionStmt',
]);

/**
 * `-- Rollback:` above SQL that is commented out, in a file that continues with a statement that makes something: its
 * part to undo is those comments.
 */
function isAboutComments({ source, statements, comments }: ParsedFile, mark: Mark): boolean {
  const at = comments.findIndex(({ index }) => index === mark.index);
  const [headline, next] = comments.slice(at, at + 2);
  const statement = statements.find(({ index }) => index > mark.index);
  if (headline === undefined || next === undefined || statement === undefined) return false;
  const between = source.text.slice(headline.index + headline.text.length, next.index);
  const destroys =
    ['DropStmt', 'DropRoleStmt', 'DeleteStmt', 'TruncateStmt', 'UpdateStmt'].includes(
      kindOf(statement.tree),
    ) ||
    (as('AlterTableStmt', statement.tree)?.cmds ?? []).some((node) =>
      as('AlterTableCmd', node)?.subtype?.startsWith('AT_Drop'),
    );
  const adjacent = between.trim() === '' && between.split('\n').length <= 2;
  return adjacent && !destroys && contentOf(next).endsWith(';');
}

/** Headlines divide where statements are on the wrong side of them. */
function headlineThatDivides(file: ParsedFile, marks: readonly Mark[], role: FileRole): Mark | undefined {
  const { statements } = file;
  return marks.find((mark, at) => {
    const end = marks[at + 1]?.index ?? Number.POSITIVE_INFINITY;
    const below = statements.some(({ index }) => index > mark.index && index < end);
    const above = statements.some(({ index }) => index < mark.index);
    if (role === 'up') return mark.part === 'down' && below && !isAboutComments(file, mark);
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
  const unknown = (UNKNOWN_TOOL.exec(content) ?? OF_FILE.exec(content))?.[1]?.toLowerCase();
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
