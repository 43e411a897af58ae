import { describe, expect, it } from 'vitest';
import type { Touches } from '../../../lambda/migration/migration.ts';
import { waitOf, waitsOf } from '../../../lambda/migration/waiting.ts';
import { build, createIndex, migration, statement, transaction } from './made-up.ts';

const pending = build({ version: '1', table: 'orders', index: 'orders_x', schema: 'shop' });
const unique = build({ version: '1', table: 'orders', index: 'orders_u', schema: 'shop', unique: true });
const orders = { schema: 'shop', name: 'orders' };

const waitFor = (kind: string, touches: Partial<Touches>, builds = [pending]) =>
  waitOf(
    {
      migration: migration('2', []),
      step: transaction(0, statement('SelectStmt'), statement(kind, touches)),
    },
    builds,
  )?.because;

describe('a step waits for a pending build', () => {
  it.each<[string, string, Partial<Touches>, string]>([
    ['whose table it changes', 'AlterTableStmt', { changes: [orders] }, 'it changes the table orders'],
    [
      'whose table it may change: the search path decides',
      'AlterTableStmt',
      { changes: [{ schema: undefined, name: 'orders' }] },
      'it changes the table orders',
    ],
    [
      'whose index it names',
      'AlterTableStmt',
      { indexes: [{ schema: 'shop', name: 'orders_x' }] },
      'it names the index orders_x',
    ],
    [
      'whose index it may name',
      'DropStmt',
      { indexes: [{ schema: undefined, name: 'orders_x' }] },
      'it names the index orders_x',
    ],
    ['that a DO block may touch', 'DoStmt', { opaque: true }, 'nobody can see into a DO block'],
    ['that a procedure may touch', 'CallStmt', { opaque: true }, 'nobody can see into a CALL'],
    [
      'that a prepared statement may touch',
      'ExecuteStmt',
      { opaque: true },
      'nobody can see into what this statement reaches',
    ],
  ])('%s', (_, kind, touches, because) => {
    expect(waitFor(kind, touches)).toBe(because);
  });

  it.each([
    [undefined, 'orders_x', 'it names the index orders_x'],
    ['shop', 'orders_x', 'it names the index orders_x'],
    ['shop', 'orders_y', undefined],
  ])('whose index it is to build again, %s.%s: there is none yet', (schema, name, because) => {
    const step = createIndex(0, orders, name);
    const reindex = { kind: 'reindex', target: 'index', name: { schema, name }, options: '' } as const;
    const reindexing = { ...step, operation: reindex } as typeof step;
    expect(waitOf({ migration: migration('2', []), step: reindexing }, [pending])?.because).toBe(because);
  });

  it('whose unique index its ON CONFLICT may need', () => {
    expect(waitFor('InsertStmt', { upserts: [orders] }, [unique])).toBe(
      'its ON CONFLICT may need the unique index orders_u',
    );
  });

  it('with `-- migrate: wait`, of any other file', () => {
    const waits = migration('2', [], { waitsForBuilds: true });
    const step = transaction(0, statement('SelectStmt'));
    expect(waitOf({ migration: waits, step }, [pending])).toEqual({
      build: pending,
      because: 'the file says `-- migrate: wait`',
    });
    const own = build({ version: '2', table: 'orders', index: 'i' });
    expect(waitOf({ migration: waits, step }, [own])).toBeUndefined();
    expect(waitOf({ migration: waits, step }, [own, pending])?.build).toBe(pending);
  });

  it('the one that it needs among several', () => {
    const other = build({ table: 'users', index: 'users_x' });
    const wait = waitOf(
      {
        migration: migration('2', []),
        step: transaction(
          0,
          statement('AlterTableStmt', { changes: [{ schema: undefined, name: 'users' }] }),
        ),
      },
      [pending, other],
    );
    expect(wait?.build).toBe(other);
  });
});

it('a step waits for every build that it needs, and for no other', () => {
  const users = build({ version: '1', table: 'users', index: 'users_x' });
  const other = build({ version: '1', table: 'other', index: 'other_x' });
  const step = transaction(
    0,
    statement('AlterTableStmt', { changes: [{ schema: undefined, name: 'users' }] }),
    statement('AlterTableStmt', { changes: [orders] }),
  );
  const waits = waitsOf({ migration: migration('2', []), step }, [pending, unique, users, other]);
  expect(waits.map(({ build: { index } }) => index)).toEqual(['users_x', 'orders_x', 'orders_u']);
});

it('a rewritten step waits for the builds of its former statement that continue', () => {
  const of = migration('2', [createIndex(0, orders, 'i')]);
  const states = ['building', 'pending', 'failed', 'cancelled'] as const;
  const builds = states.map((state) => build({ version: '2', table: 'orders', index: state, state }));
  const [step] = of.steps;
  if (step === undefined) throw new Error('it has a step');
  expect(
    waitsOf({ migration: of, step, record: 'rewritten' }, builds).map(({ build: { index } }) => index),
  ).toEqual(['building', 'pending']);
  expect(waitsOf({ migration: of, step, record: 'none' }, builds)).toEqual([]);
});

describe('a step does not wait', () => {
  it.each<[string, string, Partial<Touches>]>([
    ['where it changes another table', 'AlterTableStmt', { changes: [{ schema: 'shop', name: 'users' }] }],
    [
      'where it changes a table of the same name in another schema',
      'AlterTableStmt',
      { changes: [{ schema: 'archive', name: 'orders' }] },
    ],
    ['where it names another index', 'DropStmt', { indexes: [{ schema: 'shop', name: 'orders_y' }] }],
    ['where it only writes to the table', 'UpdateStmt', { writes: [orders] }],
    ['where it creates a table', 'CreateStmt', { creates: [{ schema: 'shop', name: 'other' }] }],
    [
      'where its ON CONFLICT is on the table of an index that is not unique',
      'InsertStmt',
      { writes: [orders], upserts: [orders] },
    ],
  ])('%s', (_, kind, touches) => {
    expect(waitFor(kind, touches)).toBeUndefined();
  });

  it('where no build is pending, whatever it does', () => {
    expect(waitFor('DoStmt', { opaque: true, changes: [orders] }, [])).toBeUndefined();
  });

  it('where it is an index operation: that queues up behind the builds of its table', () => {
    const step = createIndex(0, orders, 'orders_y');
    expect(waitOf({ migration: migration('2', []), step }, [pending])).toBeUndefined();
  });
});

describe('of a backfill', () => {
  const filling = {
    ...build({ table: 'orders', index: 'total, tax', schema: 'shop' }),
    operation: 'backfill' as const,
  };
  const deleting = { ...filling, index: '' };
  const copying = { ...filling, index: 'archive' };
  const reads = (columns: string[], ...relations: string[]): Partial<Touches> => ({
    rows: { relations: relations.map((name) => ({ schema: undefined, name })), columns },
  });
  const others = reads(['id', 'note'], 'orders');
  const some = reads(['id', 'tax'], 'orders');

  it.each<[string, Partial<Touches>, typeof filling, string | undefined]>([
    ['what changes the table waits', { changes: [orders] }, filling, 'it changes the table orders'],
    [
      'what changes a part of the table waits',
      { changes: [{ schema: 'shop', name: 'orders_1' }], partOf: [orders] },
      filling,
      'it changes a part of the table orders',
    ],
    ['what reads a column that it fills waits', some, filling, 'it reads tax of the table orders'],
    ['what reads whole rows waits', reads(['*'], 'orders'), filling, 'it reads total of the table orders'],
    ['what reads other columns continues', others, filling, undefined],
    ['what reads them of another table continues', reads(['tax'], 'items'), filling, undefined],
    ['what adds rows continues', { writes: [orders] }, filling, undefined],
    [
      'what writes the same rows waits',
      { ...others, writes: [orders] },
      filling,
      'it writes rows of the table orders, too',
    ],
    ['that deletes, what reads the table waits', others, deleting, 'it reads the table orders'],
    [
      'that copies, what reads the copies waits',
      reads(['id'], 'archive'),
      copying,
      'it needs the rows of archive',
    ],
    ['that copies, what reads the table continues', others, copying, undefined],
  ])('%s', (_, touches, work, because) => {
    expect(waitFor('SelectStmt', touches, [work])).toBe(because);
  });

  it.each([
    ['refresh', 'view', 'the rows that it reads may be those of orders'],
    ['validate', 'orders', undefined],
    ['backfill', 'orders', undefined],
    ['backfill', 'items', 'it reads tax of the table orders'],
  ] as const)('other work waits where it needs the rows: %s of %s', (operation, name, because) => {
    const step = transaction(0, statement('UpdateStmt', some));
    const long = { operation, relation: { schema: undefined, name }, names: [] };
    const pending = { migration: migration('2', []), step: { ...step, long } };
    expect(waitOf(pending, [filling])?.because).toBe(because);
  });
});
