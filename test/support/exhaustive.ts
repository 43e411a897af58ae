import { it } from 'vitest';

/** Whether this run is of all tests, and not `npm test`. */
export const whole = process.env.WHOLE_SUITE === 'true';

/**
 * Tests beyond a file's story: further forms of what another test of the file shows. `npm run test:all` runs them, and
 * `npx vitest run FILE`; `npm test` does not. A whole file of such tests is named in test/suites.ts instead.
 */
export const exhaustive = { it: it.runIf(whole) };

/** The rows of a table: in `npm test` only the first `count`, which are chosen to stand for the others. */
export function firstOf<T extends unknown[] | [unknown]>(count: number, rows: readonly T[]): readonly T[];
export function firstOf<T>(count: number, rows: readonly T[]): readonly T[];
export function firstOf<T>(count: number, rows: readonly T[]): readonly T[] {
  return whole ? rows : rows.slice(0, count);
}
