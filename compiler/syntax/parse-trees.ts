import type { RawStmt } from 'libpg-query';
import { parser } from './parser.ts';
import { SourceText } from './source-text.ts';
import { refuseSyntax } from './syntax-error.ts';
import { tokensOf } from './tokens.ts';

/** The parser's result. Its locations are bytes of `parsed`, whose indexes are those of the source. */
export interface ParseTrees {
  readonly trees: readonly RawStmt[];
  readonly parsed: SourceText;
}

/**
 * Parses a file, if need be without its comments: this build of the parser fails on a comment within NOT IN,
 * NULLS FIRST, WITH TIME ZONE and the like, which PostgreSQL itself accepts.
 *
 * @throws FileRefused with the position of a syntax error
 */
export function parseTrees(source: SourceText): ParseTrees {
  try {
    return parse(source);
  } catch (error) {
    const bare = withoutComments(source);
    if (bare === undefined) throw refuseSyntax(source, error);
    try {
      return parse(bare);
    } catch (bareError) {
      throw refuseSyntax(source, bareError, bare);
    }
  }
}

function parse(source: SourceText): ParseTrees {
  // The parser refuses an empty string, but not one of white space.
  const trees = source.text === '' ? [] : (parser().parseSync(source.text).stmts ?? []);
  return { trees, parsed: source };
}

/** The text with comments replaced by spaces, so that each character keeps its index; undefined without comments. */
function withoutComments({ file, text }: SourceText): SourceText | undefined {
  let bare = '';
  let end = 0;
  try {
    for (const token of tokensOf(text)) {
      if (token.kind !== 'comment') continue;
      bare += text.slice(end, token.start) + token.text.replace(/[^\n]/g, ' ');
      end = token.end;
    }
  } catch {
    // An unterminated string or comment: the parser's own error says so.
    return undefined;
  }
  return end === 0 ? undefined : new SourceText(file, bare + text.slice(end));
}
