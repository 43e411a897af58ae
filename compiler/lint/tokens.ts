import { parser } from '../syntax/parser.ts';

export interface Token {
  readonly text: string;
  /** In UTF-16 units from the beginning of the scanned text. */
  readonly start: number;
  readonly end: number;
  readonly kind: 'identifier' | 'keyword' | 'other';
}

/** The tokens of one statement, without comments. */
export function tokensOf(text: string): readonly Token[] {
  const bytes = Buffer.from(text);
  const isAscii = bytes.length === text.length;
  let byte = 0;
  let unit = 0;
  const unitOf = (at: number): number => {
    if (isAscii) return at;
    unit += bytes.subarray(byte, at).toString().length;
    byte = at;
    return unit;
  };
  return parser()
    .scanSync(text)
    .tokens.filter(({ tokenName }) => tokenName !== 'SQL_COMMENT' && tokenName !== 'C_COMMENT')
    .map(({ start, end, text: word, tokenName, keywordKind }) => {
      const from = unitOf(start);
      const kind = keywordKind !== 0 ? 'keyword' : tokenName === 'IDENT' ? 'identifier' : 'other';
      return { text: word, start: from, end: unitOf(end), kind };
    });
}

export function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === 'keyword' && token.text.toLowerCase() === word;
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

/** Replaces the text between two indexes. */
export function splice(
  text: string,
  range: { readonly start: number; readonly end: number },
  by: string,
): string {
  return `${text.slice(0, range.start)}${by}${text.slice(range.end)}`;
}
