import { createHash } from 'node:crypto';

/**
 * SHA-256 (hex) over values and syntax trees, regardless of their position in the file. Keys are sorted, so that the
 * parser's order does not matter.
 */
export function fingerprint(values: readonly unknown[]): string {
  const parts: string[] = [];
  // An explicit stack instead of recursion: an expression of some thousand terms is nested that deep.
  const pending: (Piece | { readonly value: unknown })[] = [{ value: values }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next === 'string') parts.push(next);
    else for (const piece of pieces(next.value).reverse()) pending.push(piece);
  }
  return createHash('sha256').update(parts.join('')).digest('hex');
}

/** Text that is already final. */
type Piece = string;

function pieces(value: unknown): (Piece | { readonly value: unknown })[] {
  if (Array.isArray(value)) return ['[', ...value.flatMap((item) => [{ value: item }, ',']), ']'];
  if (typeof value !== 'object' || value === null) return [JSON.stringify(value) ?? 'null'];
  const object = value as Record<string, unknown>;
  const keys = Object.keys(object).filter((key) => object[key] !== undefined && !isPlace(key));
  return [
    '{',
    ...keys.sort().flatMap((key) => [`${JSON.stringify(key)}:`, { value: object[key] }, ',']),
    '}',
  ];
}

/** Positions in the file: the only parts of a tree that change with white space or comments. */
function isPlace(key: string): boolean {
  return PLACES.has(key) || PLACE_ENDINGS.some((ending) => key.endsWith(ending));
}

const PLACES: ReadonlySet<string> = new Set(['location', 'stmt_len', 'list_start', 'list_end']);
const PLACE_ENDINGS = ['_location', '_list_start', '_list_end'];
