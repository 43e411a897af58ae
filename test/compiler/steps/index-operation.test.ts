import { describe, expect, it } from 'vitest';
import type { IndexOperation } from '../../../lambda/migration/migration.ts';
import { compileStatement } from '../compile-text.ts';

function operationOf(sql: string): IndexOperation {
  const { step } = compileStatement(sql);
  if (step.kind !== 'index-operation') throw new Error(`Not an index operation: ${sql}`);
  return step.operation;
}

describe('CREATE INDEX CONCURRENTLY', () => {
  it('is taken apart', () => {
    expect(
      operationOf(
        'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "My Index" ON ONLY app."T" USING btree (a) WHERE b',
      ),
    ).toEqual({
      kind: 'create-index',
      table: { schema: 'app', name: 'T' },
      index: 'My Index',
      unique: true,
      ifNotExists: true,
      definition: 'USING btree (a) WHERE b',
      only: true,
      suggestedName: 'T_a_idx',
    });
    expect(operationOf('create index concurrently on messages (user_id, created_at desc)')).toEqual({
      kind: 'create-index',
      table: { schema: undefined, name: 'messages' },
      index: undefined,
      unique: false,
      ifNotExists: false,
      definition: '(user_id, created_at desc)',
      only: false,
      suggestedName: 'messages_user_id_created_at_idx',
    });
  });

  it.each([
    ['create index concurrently i on a(x)', '(x)'],
    ['create index concurrently i on a (x) -- last words', '(x)'],
    [
      'create index concurrently i on a /* by */ using /* which */ gin (x) /* last */ ; -- words',
      'using /* which */ gin (x)',
    ],
    ['create index concurrently i -- on b\n on a -- (y)\n (x -- first\n, y)', '(x -- first\n, y)'],
    ['create index concurrently "on" on "on" (x)', '(x)'],
    ['create index concurrently "a on b (c)" on "x.y" . "(z)" (x)', '(x)'],
    ['create index concurrently i on only ( a ) (x)', '(x)'],
    ['create index concurrently i on a * using hash (x)', 'using hash (x)'],
    ['create index concurrently i on db.s.a (x)', '(x)'],
    ['create index concurrently "ü" on "ß" (x) where y = \'é\'', "(x) where y = 'é'"],
    [
      'create unique index concurrently i on a (x) include (y) nulls not distinct with (fillfactor = 70) tablespace t where z',
      '(x) include (y) nulls not distinct with (fillfactor = 70) tablespace t where z',
    ],
  ])('has the definition that is written after the table: %s', (sql, definition) => {
    expect(operationOf(sql)).toMatchObject({ definition });
  });

  it('has the name that Postgres will store: 63 bytes, whole characters, lower case unless quoted', () => {
    const indexOf = (name: string) =>
      (operationOf(`create index concurrently ${name} on a (x)`) as { index: string }).index;
    expect(indexOf('i'.repeat(64))).toBe('i'.repeat(63));
    expect(indexOf(`"${'ä'.repeat(40)}"`)).toBe('ä'.repeat(31));
    expect(indexOf(`"${'i'.repeat(61)}👍"`)).toBe('i'.repeat(61));
    expect(indexOf('MyIndex')).toBe('myindex');
    expect(indexOf('"My""Index"')).toBe('My"Index');
    expect(indexOf('U&"\\00e9"')).toBe('é');
  });
});

describe('DROP INDEX CONCURRENTLY', () => {
  it('is taken apart', () => {
    expect(operationOf('drop index concurrently a')).toEqual({
      kind: 'drop-index',
      indexes: [{ schema: undefined, name: 'a' }],
      ifExists: false,
      cascade: false,
    });
    expect(operationOf('DROP INDEX CONCURRENTLY IF EXISTS a, s."B" CASCADE')).toEqual({
      kind: 'drop-index',
      indexes: [
        { schema: undefined, name: 'a' },
        { schema: 's', name: 'B' },
      ],
      ifExists: true,
      cascade: true,
    });
  });
});

describe('REINDEX CONCURRENTLY', () => {
  it.each([
    ['reindex index concurrently s.i', { target: 'index', name: { schema: 's', name: 'i' }, options: '' }],
    [
      'reindex table concurrently t',
      { target: 'table', name: { schema: undefined, name: 't' }, options: '' },
    ],
    [
      'reindex (concurrently) index i',
      { target: 'index', name: { schema: undefined, name: 'i' }, options: '' },
    ],
    [
      'REINDEX (CONCURRENTLY ON, TABLESPACE "T s" /* fast */, VERBOSE) INDEX i',
      { target: 'index', name: { schema: undefined, name: 'i' }, options: '(TABLESPACE "T s", VERBOSE)' },
    ],
    [
      'reindex (verbose) table concurrently t',
      { target: 'table', name: { schema: undefined, name: 't' }, options: '(verbose)' },
    ],
    [
      'reindex schema concurrently s',
      { target: 'schema', name: { schema: undefined, name: 's' }, options: '' },
    ],
    ['reindex database concurrently', { target: 'database', name: undefined, options: '' }],
    [
      'reindex database concurrently d',
      { target: 'database', name: { schema: undefined, name: 'd' }, options: '' },
    ],
    [
      'reindex system concurrently d',
      { target: 'system', name: { schema: undefined, name: 'd' }, options: '' },
    ],
  ])('is taken apart: %s', (sql, expected) => {
    expect(operationOf(sql)).toEqual({ kind: 'reindex', ...expected });
  });
});
