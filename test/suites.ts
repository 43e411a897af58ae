import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Which suite a test file belongs to.
 * - `unit`: it needs no server, no bundle and no other process. Found out from what it imports.
 * - `story`: real servers and real templates, one story for each capability. Whatever is not named here.
 * - `exhaustive`: tables of many cases over what a story shows once, and tests of the tests' own parts.
 * `npm run test:unit` runs the first, `npm test` the first two, `npm run test:all` everything.
 */
const EXHAUSTIVE: readonly string[] = ['test/lambda/work/turn/roles-with-each-session.test.ts'];

/** Signs of a server, a synthesis, a bundle or another process. */
const NEEDS_MORE = /\binject\(|from '(?:aws-cdk-lib|esbuild|node:child_process|node:worker_threads)/;
const FROM = /(?:from|import)\s*\(?\s*'(\.[^'$]+)'/g;

const root = join(import.meta.dirname, '..');
const known = new Map<string, boolean>();

/** Whether a file, or anything that it imports, needs more than this process. */
function needsMore(file: string): boolean {
  const already = known.get(file);
  if (already !== undefined) return already;
  known.set(file, false);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const needs =
    NEEDS_MORE.test(text) ||
    [...text.matchAll(FROM)].some(([, specifier = '']) => needsMore(join(dirname(file), specifier)));
  known.set(file, needs);
  return needs;
}

const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => `test/${file}`)
  .sort();

const missing = EXHAUSTIVE.filter((file) => !files.includes(file));
if (missing.length > 0)
  throw new Error(`test/suites.ts names files that are not there: ${missing.join(', ')}`);

const unit = files.filter((file) => !needsMore(join(root, file)));
const story = files.filter((file) => !unit.includes(file) && !EXHAUSTIVE.includes(file));

export const suites = { unit, story, exhaustive: EXHAUSTIVE };
