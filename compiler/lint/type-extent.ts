import { closingBracket, type Token } from '../syntax/tokens.ts';

/** Words that continue a type's name: `double precision`, `character varying`, `timestamp without time zone`. */
const CONTINUED: Readonly<Record<string, readonly string[]>> = {
  bit: ['varying'],
  char: ['varying'],
  character: ['varying'],
  double: ['precision'],
  national: ['character', 'char', 'varying'],
  nchar: ['varying'],
};

const ZONED: ReadonlySet<string> = new Set(['time', 'timestamp']);

/** Where the type that begins at an index of the statement ends, without its array brackets. */
export function typeExtent(
  tokens: readonly Token[],
  start: number,
): { readonly start: number; readonly end: number } {
  let at = tokens.findIndex((token) => token.start >= start);
  const word = (number: number): string => tokens[number]?.text.toLowerCase() ?? '';
  const name = word(at);
  while (tokens[at + 1]?.text === '.') at += 2;
  while (CONTINUED[name]?.includes(word(at + 1))) at += 1;
  if (word(at + 1) === '(') at = closingBracket(tokens, at + 1);
  const zoned =
    ['with', 'without'].includes(word(at + 1)) && word(at + 2) === 'time' && word(at + 3) === 'zone';
  if (ZONED.has(name) && zoned) at += 3;
  return { start, end: tokens[at]?.end ?? start };
}
