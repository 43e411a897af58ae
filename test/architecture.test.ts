import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

interface Import {
  readonly file: string;
  /** A file of the project, or the name of a package. */
  readonly of: string;
  /** Nothing of it is left when the types are gone. */
  readonly typesOnly: boolean;
}

const FROM = /^(?:import|export)\s+(type\s)?([^;'"]*?)\s*from\s*'([^'$]+)'/gm;
const BARE = /^import\s*'([^']+)'/gm;
/** Made-up text of a test, with a place to fill in, is no import. */
const DYNAMIC = /\bimport\(\s*'([^'$]+)'\s*\)/g;

const root = join(import.meta.dirname, '..');
const files = ['lambda', 'infra', 'local', 'bench', 'test'].flatMap((directory) =>
  readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
    .map((file) => `${directory}/${file}`)
    .filter((file) => file.endsWith('.ts') && !file.includes('node_modules')),
);
const source = new Map(files.map((file) => [file, readFileSync(join(root, file), 'utf8')]));
const imports = files.flatMap((file) => importsOf(file, source.get(file) ?? ''));

function importsOf(file: string, text: string): Import[] {
  const found = (specifier: string, typesOnly: boolean): Import => ({
    file,
    of: specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier,
    typesOnly,
  });
  return [
    ...[...text.matchAll(FROM)].map(([, type, names = '', specifier = '']) =>
      found(specifier, type !== undefined || namesTypesOnly(names)),
    ),
    ...[...text.matchAll(BARE)].map(([, specifier = '']) => found(specifier, false)),
    ...[...text.matchAll(DYNAMIC)].map(([, specifier = '']) => found(specifier, false)),
  ];
}

/** `{ type A, type B }` */
function namesTypesOnly(names: string): boolean {
  const list = /^\{([\s\S]*)\}$/.exec(names.trim())?.[1];
  return list?.split(',').every((name) => /^\s*(?:type\s|$)/.test(name)) ?? false;
}

const PURE = /^lambda\/(?:migration|index-build)\//;
const NAMES = 'lambda/environment.ts';
const ENTRY = /^lambda\/[^/]+\.ts$/;
const STORY = /^lambda\/story\//;
const POSTGRES = /^lambda\/postgres\//;
const AWS = /^lambda\/aws\//;

/** Imports that are against the rule, as `file → import`. */
function breaches(
  from: (file: string) => boolean,
  allowed: (of: string, imported: Import) => boolean,
): string[] {
  const concerned = imports.filter(({ file }) => from(file));
  expect(concerned.length, 'files that the rule is about').toBeGreaterThan(0);
  return concerned
    .filter((imported) => !allowed(imported.of, imported))
    .map(({ file, of }) => `${file} → ${of}`);
}

const needsNothing = (file: string): boolean =>
  imports.every((imported) => imported.file !== file || imported.typesOnly);
const isOurs = (of: string): boolean => /^(?:lambda|infra|local|bench|test)\//.test(of);
const isIn = (directory: string) => (file: string) => file.startsWith(`${directory}/`);

describe('the arrows', () => {
  it('pure code imports pure code and nothing else: no package, no part of Node', () => {
    expect(
      breaches(
        (file) => PURE.test(file),
        (of) => PURE.test(of),
      ),
    ).toEqual([]);
  });

  it('the names that infra and runtime share import nothing', () => {
    expect(imports.filter(({ file }) => file === NAMES)).toEqual([]);
  });

  it('what talks to Postgres knows no story, no AWS and no entry', () => {
    expect(
      breaches(
        (file) => POSTGRES.test(file),
        (of) => !isOurs(of) || PURE.test(of) || POSTGRES.test(of) || of === NAMES,
      ),
    ).toEqual([]);
  });

  it('what talks to AWS knows of stories only what they report', () => {
    expect(
      breaches(
        (file) => AWS.test(file),
        (of, { typesOnly }) =>
          !isOurs(of) ||
          PURE.test(of) ||
          AWS.test(of) ||
          POSTGRES.test(of) ||
          of === NAMES ||
          (STORY.test(of) && typesOnly),
      ),
    ).toEqual([]);
  });

  it('stories know Postgres and pure code, no AWS and no entry, so that they run anywhere', () => {
    expect(
      breaches(
        (file) => STORY.test(file),
        (of) => (isOurs(of) ? STORY.test(of) || POSTGRES.test(of) || PURE.test(of) : !of.startsWith('@aws')),
      ),
    ).toEqual([]);
  });

  it('nobody imports an entry but tests and what runs it', () => {
    expect(
      breaches(
        (file) => !/^(?:test|local|bench)\//.test(file),
        (of) => !ENTRY.test(of) || of === NAMES,
      ),
    ).toEqual([]);
  });

  it('nothing in lambda knows infra, local, bench or test', () => {
    expect(breaches(isIn('lambda'), (of) => !isOurs(of) || of.startsWith('lambda/'))).toEqual([]);
  });

  it('infra takes types from lambda, and of values only what is pure and names that need nothing else', () => {
    expect(
      breaches(
        isIn('infra'),
        (of, { typesOnly }) =>
          !isOurs(of) ||
          of.startsWith('infra/') ||
          (of.startsWith('lambda/') && (typesOnly || PURE.test(of) || needsNothing(of))),
      ),
    ).toEqual([]);
  });

  it('only tests import tests', () => {
    expect(
      breaches(
        (file) => !file.startsWith('test/'),
        (of) => !of.startsWith('test/') && of !== 'vitest',
      ),
    ).toEqual([]);
  });

  it('the parser stays at synth time', () => {
    expect(
      breaches(
        (file) => !file.startsWith('infra/'),
        (of) => of !== 'libpg-query' && !of.startsWith('libpg-query/'),
      ).filter((breach) => breach.startsWith('lambda/')),
    ).toEqual([]);
  });

  it('no file imports itself by way of others, not even for a type', () => {
    const reaches = new Map(
      files.map((file) => [
        file,
        imports.filter((one) => one.file === file && source.has(one.of)).map(({ of }) => of),
      ]),
    );
    const circles = files.map((file) => wayBack(file, reaches)).filter((way) => way !== undefined);
    expect(circles.map((way) => way.join(' → '))).toEqual([]);
  });
});

/** The shortest way from a file back to itself. */
function wayBack(
  file: string,
  reaches: ReadonlyMap<string, readonly string[]>,
): readonly string[] | undefined {
  const seen = new Set<string>();
  let ways: readonly (readonly string[])[] = [[file]];
  while (ways.length > 0) {
    const longer = ways.flatMap((way) => (reaches.get(way.at(-1) ?? '') ?? []).map((of) => [...way, of]));
    const back = longer.find((way) => way.at(-1) === file);
    if (back !== undefined) return back;
    ways = longer.filter((way) => {
      const end = way.at(-1) ?? '';
      return !seen.has(end) && seen.add(end);
    });
  }
  return undefined;
}

describe('a file', () => {
  it.each([
    ['lambda', 250],
    ['infra', 250],
    ['local', 250],
    ['bench', 250],
    ['test', 450],
  ])('in %s has at most %i lines', (directory, most) => {
    const long = files
      .filter(isIn(directory))
      .map((file) => ({ file, lines: (source.get(file) ?? '').trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > most);
    expect(long).toEqual([]);
  });

  it('is named after its noun', () => {
    const vague = [
      'types',
      'utils',
      'util',
      'common',
      'helpers',
      'helper',
      'misc',
      'shared',
      'constants',
      'interfaces',
    ];
    expect(files.filter((file) => vague.includes(basename(file).split('.')[0] ?? ''))).toEqual([]);
    expect(
      files.filter((file) => !/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z]+)*\.ts$/.test(basename(file))),
    ).toEqual([]);
  });
});
