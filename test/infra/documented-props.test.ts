import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { optionRows } from '../../lambda/migration/options.ts';

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

/** The construct's own, and those of a run. */
const PROPS = ['infra/postgres-migrations-props.ts', 'infra/run-props.ts'].map(read).join('\n');

/** First cells of the rows of the table under a heading, in code marks. */
function documented(heading: string): string[] {
  const [, section = ''] = read('docs/using-the-construct.md').split(`\n## ${heading}\n`);
  const [table = ''] = section.split('\n## ');
  return [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name);
}

describe('the table of props', () => {
  it('has each prop of the construct, and no other', () => {
    const props = [...PROPS.matchAll(/^ {2}readonly (\w+)\??:/gm)].map(([, name = '']) => name);
    expect(props.length).toBeGreaterThan(20);
    expect(documented('Props').sort()).toEqual(props.sort());
  });

  it('calls required what is required', () => {
    const required = [...PROPS.matchAll(/^ {2}readonly (\w+):/gm)].map(([, name = '']) => name);
    const said = [...read('docs/using-the-construct.md').matchAll(/^\| `(\w+)` \| required \|/gm)];
    expect(said.map(([, name = '']) => name)).toEqual(required);
  });
});

describe('the context of the repository’s own app', () => {
  it('is documented, key by key', () => {
    const others = [...read('infra/app/stack-context.ts').matchAll(/(?:text|number)\(read, '(\w+)'\)/g)];
    const keys = [...others.map(([, name = '']) => name), ...optionRows.map(([name]) => name)];
    const [, section = ''] = read('docs/using-the-construct.md').split('\n## The app of this repository\n');
    expect(keys.length).toBeGreaterThan(10);
    expect([...new Set(keys)].filter((key) => !section.includes(`\`${key}\``))).toEqual([]);
  });
});
