import { createHash } from 'node:crypto';

/**
 * SHA-256 (hex) over values and syntax trees, blind to where in the file they stood. Keys are sorted, so that the
 * parser's order does not matter.
 */
export function fingerprint(values: readonly unknown[]): string {
  return fingerprints(values).at(-1) ?? createHash('sha256').update('[]').digest('hex');
}

/** Of the first value, of the first two, and so on: each as fingerprint() of that many has it. */
export function fingerprints(values: readonly unknown[]): readonly string[] {
  const hash = createHash('sha256').update('[');
  return values.map((value) => {
    hash.update(textOf(value)).update(',');
    return hash.copy().update(']').digest('hex');
  });
}

function textOf(value: unknown): string {
  const parts: string[] = [];
  // A list of its own instead of recursion: an expression of some thousand terms is nested as deep.
  const pending: (Piece | { readonly value: unknown })[] = [{ value }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next === 'string') parts.push(next);
    else for (const piece of pieces(next.value).reverse()) pending.push(piece);
  }
  return parts.join('');
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
