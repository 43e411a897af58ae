import { createHash } from 'node:crypto';

/** Where something stood in its file: all that a change of white space or comments changes in a tree. */
const PLACES: ReadonlySet<string> = new Set(['location', 'stmt_len', 'list_start', 'list_end']);

/**
 * SHA-256 (hex) over values and syntax trees, blind to where in the file they stood. Keys are sorted, so that the
 * parser's order does not matter.
 */
export function fingerprint(values: readonly unknown[]): string {
  const hash = createHash('sha256');
  for (const value of values) hash.update(`${canonical(value)}\n`);
  return hash.digest('hex');
}

function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_key, each: unknown) => (isObject(each) ? withoutPlaces(each) : each)) ?? 'null'
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function withoutPlaces(object: Record<string, unknown>): Record<string, unknown> {
  const sorted: Record<string, unknown> = {};
  for (const key of Object.keys(object).sort()) {
    if (
      !PLACES.has(key) &&
      !key.endsWith('_location') &&
      !key.endsWith('_list_start') &&
      !key.endsWith('_list_end')
    ) {
      sorted[key] = object[key];
    }
  }
  return sorted;
}
