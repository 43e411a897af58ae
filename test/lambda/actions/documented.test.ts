import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { actionExamples, parseAction } from '../../../lambda/actions/action.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

/** The codes that a folder's errors have. */
function codesIn(folder: string): string[] {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  const sources = files.filter((file) => file.endsWith('.ts')).map((file) => read(join(folder, file)));
  const codes = sources.flatMap((source) =>
    [...source.matchAll(/\bcode: '([a-z-]+)'/g)].map(([, code = '']) => code),
  );
  return [...new Set(codes)].sort();
}

/** First cells of the table of errors. */
function documentedCodes(): string[] {
  const [, section = ''] = read('docs/operating.md').split('\n## Errors\n');
  const [table = ''] = section.split('\n### ');
  const cells = [...table.matchAll(/^\| (`.*?`) \|/gm)].map(([, cell = '']) => cell);
  return cells.flatMap((cell) => cell.split(', ').map((code) => code.replaceAll('`', '')));
}

describe('docs/operating.md', () => {
  it('has each code that an error of the functions can have, and no other', () => {
    const codes = codesIn('lambda');
    expect(codes.length).toBeGreaterThan(25);
    expect(documentedCodes().sort()).toEqual([...codes, 'unexpected'].sort());
  });

  it('has no event that is not an action, word for word', () => {
    const text = read('docs/operating.md');
    const events = [...text.matchAll(/[`'\n](\{"action".*?\})[`'\n]/g)].map(([, event = '']) => event);
    expect(events.length).toBeGreaterThan(9);
    for (const event of events) expect(parseAction(JSON.parse(event)), event).toHaveProperty('action');
  });

  it('has an example of every action', () => {
    const text = read('docs/operating.md');
    for (const example of actionExamples) {
      const { action } = JSON.parse(/^\{.*?\}(?= |$)/.exec(example)?.[0] ?? '{}');
      if (action !== undefined) expect(text).toContain(`{"action": "${action}"`);
    }
  });
});

describe('docs/command-line.md', () => {
  it('has each further code that the command line’s errors have', () => {
    const known = new Set(documentedCodes());
    const missing = codesIn('local/cli').filter(
      (code) => !known.has(code) && !read('docs/command-line.md').includes(`\`${code}\``),
    );
    expect(missing).toEqual([]);
  });
});
