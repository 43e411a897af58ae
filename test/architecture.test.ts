import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';
import { rooms, roomsTable } from './rooms.ts';

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
const files = ['lambda', 'compiler', 'infra', 'local', 'bench', 'test'].flatMap((directory) =>
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

const ROOMS = Object.keys(rooms);
const PURE = /^lambda\/(?:migration|work)\/[^/]+\.ts$/;

/** The room that a file stands in, as the table of rooms names it. */
function roomOf(file: string): string {
  if (ROOMS.includes(file)) return file;
  if (/^lambda\/[^/]+\.ts$/.test(file)) return 'lambda/(entries)';
  return (
    ROOMS.filter((room) => file.startsWith(`${room}/`)).sort((a, b) => b.length - a.length)[0] ?? 'no room'
  );
}

function mayImport({ file, of, typesOnly }: Import): boolean {
  const [from, to] = [roomOf(file), roomOf(of)];
  if (from === to) return true;
  return (rooms[from]?.imports ?? []).some((allowed) => {
    const room = allowed.replace(/^types of /, '');
    if (room !== allowed && !typesOnly) return false;
    // A room that stands in another one by itself is named by itself; lambda/work does not let in lambda/work/turn.
    return of === room || to === room || (!ROOMS.includes(room) && of.startsWith(`${room}/`));
  });
}

const isOurs = (of: string): boolean => source.has(of);

describe('the arrows', () => {
  it('each file stands in a room, and each room has files', () => {
    expect(files.filter((file) => roomOf(file) === 'no room')).toEqual([]);
    expect(ROOMS.filter((room) => !files.some((file) => roomOf(file) === room))).toEqual([]);
  });

  it('a room imports only what it may', () => {
    const breaches = imports.filter((imported) => isOurs(imported.of) && !mayImport(imported));
    expect(breaches.map(({ file, of }) => `${file} → ${of}`)).toEqual([]);
  });

  it('docs/architecture.md shows the rooms as they are', () => {
    const page = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
    expect(page.split('<!-- rooms -->\n')[1]).toBe(roomsTable());
  });

  it('docs/architecture.md and CONTRIBUTING.md name only files and folders that are there', () => {
    const named = ['docs/architecture.md', 'CONTRIBUTING.md'].flatMap((page) =>
      [
        ...readFileSync(join(root, page), 'utf8').matchAll(
          /`((?:lambda|compiler|infra|local|bench|test|docs)\/[\w./-]+)`/g,
        ),
      ].map(([, path = '']) => path),
    );
    expect(named.length).toBeGreaterThan(0);
    expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });

  it('rooms stand above each other: no room reaches itself through others', () => {
    const above = new Map(
      ROOMS.map((room) => [
        room,
        ROOMS.filter((other) => other !== room && rooms[room]?.imports.includes(other)),
      ]),
    );
    const circles = ROOMS.map((room) => wayBack(room, above)).filter((way) => way !== undefined);
    // The construct's public file also gives the example's stack.
    expect(circles.map((way) => way.join(' → '))).toEqual([
      'infra → infra/app → infra',
      'infra/app → infra → infra/app',
    ]);
  });

  it('pure code imports pure code and nothing else: no package, no part of Node', () => {
    const concerned = imports.filter(({ file }) => PURE.test(file));
    expect(concerned.length).toBeGreaterThan(0);
    expect(concerned.filter(({ of }) => !PURE.test(of)).map(({ file, of }) => `${file} → ${of}`)).toEqual([]);
  });

  it('only lambda/aws and the entries know AWS, so that all else runs anywhere', () => {
    const aws = imports.filter(
      ({ file, of }) => file.startsWith('lambda/') && /^@aws/.test(of) && roomOf(file) !== 'lambda/aws',
    );
    expect(aws.filter(({ file }) => roomOf(file) !== 'lambda/(entries)')).toEqual([]);
  });

  it('the parser stays at synth time', () => {
    const outside = imports
      .filter(({ of }) => /^libpg-query(?:\/|$)/.test(of))
      .filter(({ file, typesOnly }) => !file.startsWith('compiler/') || !typesOnly)
      .map(({ file }) => file);
    // The parser itself is found by its file, since it has to be loaded at once.
    expect(outside.filter((file) => file !== 'compiler/syntax/parser.ts')).toEqual([]);
  });

  it('only tests import tests', () => {
    const breaches = imports.filter(
      ({ file, of }) => !file.startsWith('test/') && (of.startsWith('test/') || of === 'vitest'),
    );
    expect(breaches).toEqual([]);
  });

  it('no file imports itself through others, not even for a type', () => {
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
