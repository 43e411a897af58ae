import type { RawStmt } from 'libpg-query';
import type { Position } from '../../lambda/migration/migration.ts';
import { parseTrees } from './parse-trees.ts';
import { problemAt } from './problem.ts';
import type { SourceText } from './source-text.ts';
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

/** The scanner's output is some fifty times the size of its input, so it is fed in pieces. */
const PIECE_CHARACTERS = 256 * 1024;

/** @throws FileRefused with the position of a syntax error */
export function parseFile(source: SourceText): ParsedFile {
  const { trees, parsed } = parseTrees(source);
  const toStatement = (raw: RawStmt, end: number) => statementOf(source, { raw, parsed, end });
  if (!mayHoldComments(source.text)) {
    return { source, comments: [], statements: trees.map((raw) => toStatement(raw, endOf(parsed, raw))) };
  }
  const comments: Comment[] = [];
  const statements: ParsedStatement[] = [];
  for (const piece of pieces(parsed, trees)) {
    const tokens = scanPiece(source, piece);
    for (const { text, start, kind } of tokens) if (kind === 'comment') comments.push({ text, index: start });
    const code = tokens.filter(({ kind }) => kind !== 'comment');
    let next = 0;
    for (const raw of piece.trees) {
      const end = endOf(parsed, raw);
      while (next < code.length && (code[next]?.end ?? 0) <= end) next += 1;
      statements.push(toStatement(raw, code[next - 1]?.end ?? end));
    }
  }
  return { source, statements, comments };
}

/** Every comment begins with one of these; they may occur in a string too, which the scanner can tell. */
function mayHoldComments(text: string): boolean {
  return text.includes('--') || text.includes('/*');
}

function statementOf(
  source: SourceText,
  { raw, parsed, end }: { readonly raw: RawStmt; readonly parsed: SourceText; readonly end: number },
): ParsedStatement {
  const index = parsed.indexOfByte(raw.stmt_location ?? 0);
  const text = source.text.slice(index, end).trimEnd();
  if (raw.stmt === undefined)
    throw problemAt(source, { index, sentence: 'The parser gave no tree for this.' });
  return { tree: raw.stmt, text, position: source.positionOf(index), index };
}

function endOf(parsed: SourceText, { stmt_location: start = 0, stmt_len: length }: RawStmt): number {
  // No length: up to the end of the file.
  return length === undefined ? parsed.text.length : parsed.indexOfByte(start + length);
}

/** `from` and `to` are indexes. */
interface Piece {
  readonly from: number;
  readonly to: number;
  readonly trees: readonly RawStmt[];
}

/** Parts of a file that begin with a statement, so that none begins inside a string or a comment. */
function pieces(parsed: SourceText, trees: readonly RawStmt[]): readonly Piece[] {
  const result: Piece[] = [];
  let from = 0;
  let gathered: RawStmt[] = [];
  for (const each of trees) {
    const start = parsed.indexOfByte(each.stmt_location ?? 0);
    if (start - from >= PIECE_CHARACTERS) {
      result.push({ from, to: start, trees: gathered });
      from = start;
      gathered = [];
    }
    gathered.push(each);
  }
  return [...result, { from, to: parsed.text.length, trees: gathered }];
}

/** With indexes into the whole source. */
function scanPiece(source: SourceText, { from, to }: Piece): readonly Token[] {
  const text = source.text.slice(from, to);
  if (text.trim() === '') return [];
  const tokens = tokensOf(text);
  if (tokens.length === 0) {
    throw problemAt(source, {
      index: from,
      sentence: `This statement is too large: ${Math.ceil((to - from) / 1e6)} MB with comments or dashes in it.`,
      advice: 'Split it into several statements of at most 4 MB each.',
    });
  }
  return tokens.map((token) => ({ ...token, start: from + token.start, end: from + token.end }));
}
