import { parser } from './parser.ts';

/** A token of PostgreSQL's own scanner. `start` and `end` are indexes into the scanned text. */
export interface Token {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly comment: boolean;
}

/**
 * The tokens of a text that the parser has accepted, comments included. None where the text is too large for the
 * scanner, whose output is some fifty times as long and has to fit into its memory.
 */
export function tokensOf(text: string): readonly Token[] {
  const indexOf = indexOfBytes(text);
  return parser()
    .scanSync(withoutControlCharacters(text))
    .tokens.map(({ start: startByte, end: endByte, tokenName }) => {
      const start = indexOf(startByte);
      const end = indexOf(endByte);
      const comment = tokenName === 'SQL_COMMENT' || tokenName === 'C_COMMENT';
      return { text: text.slice(start, end), start, end, comment };
    });
}

/** The same without comments. */
export function codeTokensOf(text: string): readonly Token[] {
  return tokensOf(text).filter(({ comment }) => !comment);
}

/**
 * The scanner returns JSON and fails to escape these. An accepted text has them only in strings, quoted names
 * and comments, where a space will do.
 */
function withoutControlCharacters(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
  return text.replace(/[\x01-\x08\x0b\x0c\x0e-\x1f]/g, ' ');
}

/** Converts bytes of UTF-8 to indexes; must be called in ascending order. */
function indexOfBytes(text: string): (byte: number) => number {
  let index = 0;
  let passed = 0;
  return (byte) => {
    while (passed < byte) {
      const codePoint = text.codePointAt(index) ?? 0;
      passed += codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
      index += codePoint < 0x10000 ? 1 : 2;
    }
    return index;
  };
}
