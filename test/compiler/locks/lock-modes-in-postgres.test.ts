import { readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LockMode } from '../../../lambda/migration/lock-modes.ts';
import { statementsOf } from '../../../lambda/migration/migration.ts';
import { createDatabase, type FreshDatabase } from '../../support/fresh-database.ts';
import { serverMajor } from '../../support/server-major.ts';
import { compileFiles } from '../compile-text.ts';
import { isNewerThanServer, NEWER_REFUSED } from '../syntax/newer-syntax.ts';

const fixture = (name: string): string =>
  readFileSync(new URL(`./lock-modes/${name}.sql`, import.meta.url), 'utf8');

const SETUP = fixture('setup');
/** One a line. */
const STATEMENTS = fixture('statements')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('--'));

/**
 * Where servers before a major lock less. Which server a migration will meet the compiler does not know: it names what
 * the newest takes. `undefined`: no lock.
 */
const LESS: Readonly<Record<string, { before: number; locks: Record<string, LockMode | undefined> }>> = {
  'analyze ancestor': { before: 18, locks: { heir: undefined } },
  'alter table parent add primary key (id)': {
    before: 18,
    locks: { child: 'share', grandchild: 'share', grandchild_parent: 'share', rest: 'share' },
  },
  'drop table to_big': { before: 15, locks: { big_parent: undefined } },
};

describe('the locks that a compiled statement names are those that Postgres takes', () => {
  let database: FreshDatabase;
  let client: pg.Client;

  beforeAll(async () => {
    database = await createDatabase();
    await database.adminQuery(SETUP);
    client = new pg.Client({ connectionString: database.adminUrl });
    await client.connect();
  });

  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  interface Taken {
    readonly name: string;
    readonly kind: string;
    /** Of an index. */
    readonly table: string | null;
    readonly mode: LockMode;
  }

  /** The strongest mode on each relation that was there before. */
  async function taken(sql: string): Promise<readonly Taken[]> {
    await client.query('begin');
    try {
      const { rows: before } = await client.query<{
        oid: number;
        name: string;
        kind: string;
        table: string | null;
      }>(`
        select oid, relkind as kind,
          (select replace(indrelid::regclass::text, 'public.', '') from pg_index where indexrelid = pg_class.oid) as table,
          case relnamespace::regnamespace::text when 'public' then '' else relnamespace::regnamespace::text || '.' end || relname as name
        from pg_class where relkind in ('r', 'm', 'p', 'v', 'i', 'I')
          and relnamespace in ('public'::regnamespace, 'sub'::regnamespace)
      `);
      await client.query(sql);
      const { rows } = await client.query<{ relation: number; mode: LockMode }>(`
        select relation, lower(regexp_replace(replace(mode, 'Lock', ''), '(.)([A-Z])', '\\1 \\2', 'g')) as mode
        from pg_locks where pid = pg_backend_pid() and granted and relation is not null
      `);
      return before.flatMap(({ oid, name, kind, table }) =>
        rows.filter(({ relation }) => relation === oid).map(({ mode }) => ({ name, kind, table, mode })),
      );
    } finally {
      await client.query('rollback');
    }
  }

  function claimed(sql: string): ReadonlyMap<string, LockMode> {
    const [, migration] = compileFiles({ '1_setup.sql': SETUP, '2_test.sql': sql }).migrations;
    const [statement] = migration?.steps.flatMap(statementsOf) ?? [];
    return new Map(
      (statement?.locks ?? []).map(({ relation: { schema, name }, mode }) => [
        schema === undefined || schema === 'public' ? name : `${schema}.${name}`,
        mode,
      ]),
    );
  }

  it.each(STATEMENTS)('%s', async (sql) => {
    if (isNewerThanServer(sql)) {
      await expect(taken(sql)).rejects.toMatchObject({ code: expect.toBeOneOf([...NEWER_REFUSED]) });
      return;
    }
    const claims = claimed(sql);
    const modes = await taken(sql);
    const names = new Set([...claims.keys(), ...modes.map(({ name }) => name)]);
    const expected: Record<string, LockMode> = {};
    const actual: Record<string, LockMode> = {};
    for (const name of names) {
      const claim = claims.get(name);
      const locks = modes.filter((each) => each.name === name);
      // Reading alone is claimed of nothing, and an index only where it keeps out more than its table does.
      if (locks.some(({ kind, table }) => isIndex(kind) && isClosed(table)) && claim === undefined) continue;
      const mode = strongestOf(locks.map((each) => each.mode).filter((each) => each !== 'access share'));
      const weaker =
        locks.some(({ kind }) => isIndex(kind)) && mode !== 'access exclusive' && claim === undefined;
      if (mode !== undefined && !weaker) expected[name] = mode;
      if (claim !== undefined && claim !== 'access share') actual[name] = claim;
    }
    function isClosed(table: string | null): boolean {
      return modes.some((each) => each.name === table && each.mode === 'access exclusive');
    }
    const less = LESS[sql];
    expect(less !== undefined && serverMajor < less.before ? lessOf(actual, less.locks) : actual).toEqual(
      expected,
    );
  });
});

function lessOf(
  claims: Readonly<Record<string, LockMode>>,
  locks: Readonly<Record<string, LockMode | undefined>>,
): Record<string, LockMode> {
  const merged = Object.entries({ ...claims, ...locks });
  return Object.fromEntries(merged.flatMap(([name, mode]) => (mode === undefined ? [] : [[name, mode]])));
}

function isIndex(kind: string): boolean {
  return kind === 'i' || kind === 'I';
}

const ORDER: readonly LockMode[] = [
  'access share',
  'row share',
  'row exclusive',
  'share update exclusive',
  'share',
  'share row exclusive',
  'exclusive',
  'access exclusive',
];

function strongestOf(modes: readonly LockMode[]): LockMode | undefined {
  return [...modes].sort((a, b) => ORDER.indexOf(b) - ORDER.indexOf(a))[0];
}
