import { parser } from './parser.ts';

/** A token of PostgreSQL's own scanner. `start` and `end` are indexes into the scanned text. */
export interface Token {
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly kind: 'comment' | 'identifier' | 'keyword' | 'other';
}

/**
 * The tokens of a text that the parser has accepted, comments included. None where the text is too large for the
 * scanner, whose output is some fifty times as long and has to fit into its memory.
 */
export function tokensOf(text: string): readonly Token[] {
  const indexOf = indexOfBytes(text);
  return parser()
    .scanSync(withoutControlCharacters(text))
    .tokens.map(({ start: startByte, end: endByte, tokenName, keywordKind }) => {
      const start = indexOf(startByte);
      const end = indexOf(endByte);
      return { text: text.slice(start, end), start, end, kind: kindOf(tokenName, keywordKind) };
    });
}

function kindOf(tokenName: string, keywordKind: number): Token['kind'] {
  if (tokenName === 'SQL_COMMENT' || tokenName === 'C_COMMENT') return 'comment';
  if (keywordKind !== 0) return 'keyword';
  return tokenName === 'IDENT' ? 'identifier' : 'other';
}

/** The same without comments. */
export function codeTokensOf(text: string): readonly Token[] {
  return tokensOf(text).filter(({ kind }) => kind !== 'comment');
}

export function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === 'keyword' && token.text.toLowerCase() === word;
}

/** The name that is written so: lower case, unless it is quoted. */
export function nameFrom(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase();
}

/** Index of the token that closes the parenthesis at `open`; of the last token where there is none. */
export function closingBracket(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let at = open; at < tokens.length; at += 1) {
    const { text } = tokens[at] as Token;
    if (text === '(' || text === '[') depth += 1;
    if (text === ')' || text === ']') depth -= 1;
    if (depth === 0) return at;
  }
  return tokens.length - 1;
}

/** Splits at those outside of parentheses. */
export function splitAtCommas(tokens: readonly Token[]): readonly (readonly Token[])[] {
  const pieces: Token[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (token.text === '(' || token.text === '[') depth += 1;
    if (token.text === ')' || token.text === ']') depth -= 1;
    if (depth === 0 && token.text === ',') pieces.push([]);
    else pieces.at(-1)?.push(token);
  }
  return pieces;
}

/** Tokens outside of parentheses; of a pair itself, the opening one. */
export function outermost(tokens: readonly Token[]): readonly Token[] {
  let depth = 0;
  return tokens.filter(({ text }) => {
    if (text === '(' || text === '[') depth += 1;
    const outside = depth === 0;
    if (text === ')' || text === ']') depth -= 1;
    return outside;
  });
}

/** Replaces the text between two indexes. */
export function splice(
  text: string,
  range: { readonly start: number; readonly end: number },
  by: string,
): string {
  return `${text.slice(0, range.start)}${by}${text.slice(range.end)}`;
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
