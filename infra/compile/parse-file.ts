import type { RawStmt } from 'libpg-query';
import type { Position } from '../../lambda/migration/migration.ts';
import { parser } from './parser.ts';
import { problemAt } from './problem.ts';
import type { SourceText } from './source-text.ts';
import { refuseSyntax } from './syntax-fault.ts';
import type { Node } from './syntax-tree.ts';
import { type Token, tokensOf } from './tokens.ts';

/** One statement with its syntax tree, as the linter needs it. */
export interface ParsedStatement {
  readonly tree: Node;
  /** Without its semicolon and without comments around it. */
  readonly text: string;
  readonly position: Position;
  /** Where the text begins in its source. */
  readonly index: number;
}

export interface Comment {
  /** With its marks, `-- …` or `/* … *\/`. */
  readonly text: string;
  readonly index: number;
}

export interface ParsedFile {
  readonly source: SourceText;
  readonly statements: readonly ParsedStatement[];
  readonly comments: readonly Comment[];
}

/** The scanner's answer takes some fifty times the size of its input, so it gets pieces. */
const PIECE_BYTES = 256 * 1024;

/** @throws FileRefused with the position of a syntax error */
export function parseFile(source: SourceText): ParsedFile {
  const trees = parseTrees(source);
  if (!mayHoldComments(source.text)) {
    return { source, comments: [], statements: trees.map((each) => toStatement(source, each, undefined)) };
  }
  const comments: Comment[] = [];
  const statements: ParsedStatement[] = [];
  for (const piece of pieces(source, trees)) {
    const tokens = scanPiece(source, piece);
    for (const { text, start, comment } of tokens) if (comment) comments.push({ text, index: start });
    const code = tokens.filter((token) => !token.comment);
    let next = 0;
    for (const each of piece.trees) {
      const end = endOf(source, each);
      while (next < code.length && (code[next]?.end ?? 0) <= end) next += 1;
      statements.push(toStatement(source, each, code[next - 1]?.end));
    }
  }
  return { source, statements, comments };
}

/** Every comment begins with one of these; they may stand in a string as well, which the scanner then tells. */
function mayHoldComments(text: string): boolean {
  return text.includes('--') || text.includes('/*');
}

function parseTrees(source: SourceText): readonly RawStmt[] {
  // The parser refuses an empty string, though not one of white space.
  if (source.text === '') return [];
  try {
    return parser().parseSync(source.text).stmts ?? [];
  } catch (error) {
    throw refuseSyntax(source, error);
  }
}

function toStatement(source: SourceText, raw: RawStmt, end: number | undefined): ParsedStatement {
  const index = source.indexOfByte(raw.stmt_location ?? 0);
  const text = source.text.slice(index, end ?? endOf(source, raw)).trimEnd();
  if (raw.stmt === undefined)
    throw problemAt(source, { index, sentence: 'The parser gave no tree for this.' });
  return { tree: raw.stmt, text, position: source.positionOf(index), index };
}

function endOf(source: SourceText, { stmt_location: start = 0, stmt_len: length }: RawStmt): number {
  // No length: up to the end of the file.
  return length === undefined ? source.text.length : source.indexOfByte(start + length);
}

interface Piece {
  readonly from: number;
  readonly to: number;
  readonly trees: readonly RawStmt[];
}

/** Parts of a file that begin with a statement, so that none begins within a string or a comment. */
function pieces(source: SourceText, trees: readonly RawStmt[]): readonly Piece[] {
  const result: Piece[] = [];
  let from = 0;
  let gathered: RawStmt[] = [];
  for (const each of trees) {
    const start = each.stmt_location ?? 0;
    if (start - from >= PIECE_BYTES) {
      result.push({ from, to: start, trees: gathered });
      from = start;
      gathered = [];
    }
    gathered.push(each);
  }
  return [...result, { from, to: source.byteLength, trees: gathered }];
}

/** With indexes into the whole source. */
function scanPiece(source: SourceText, { from, to }: Piece): readonly Token[] {
  const index = source.indexOfByte(from);
  const text = source.text.slice(index, source.indexOfByte(to));
  if (text.trim() === '') return [];
  const tokens = tokensOf(text);
  if (tokens.length === 0) {
    throw problemAt(source, {
      index,
      sentence: `This statement is too large: ${Math.ceil((to - from) / 1e6)} MB with comments or dashes in it.`,
      advice: 'Split it into several statements of at most 4 MB each.',
    });
  }
  return tokens.map((token) => ({ ...token, start: index + token.start, end: index + token.end }));
}
