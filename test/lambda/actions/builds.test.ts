import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { largeTable } from '../run/scenario.ts';
import { freshOperator, type Operator } from './operator.ts';

let operator: Operator;
beforeEach(async () => {
  operator = await freshOperator();
});

const table = { '1_large.sql': largeTable('large') };
const files = {
  ...table,
  '2_index.sql': 'create index concurrently i on large (x);',
  '3_waits.sql': 'alter table large add column y int;',
};
const buildStates = async () => {
  const rows = await operator.query<{ line: string }>(
    "select index_name || ' ' || state as line from migrations.index_build order by id",
  );
  return rows.map(({ line }) => line);
};

const phaseIs = (phase: string) =>
  expectEventually(async () => {
    const [building] = await operator.adminQuery(
      'select 1 from pg_stat_progress_create_index where phase = $1 and datname = current_database()',
      [phase],
    );
    return building;
  });

describe('cancel', () => {
  it('stops a running build, leaves no INVALID index, and its step waits until retry', async () => {
    await operator.deploy(table);
    const open = await operator.session();
    await open.query('begin isolation level repeatable read; select 1');
    const deploying = operator.deploy(files);
    await phaseIs('waiting for old snapshots');
    expect(await operator.act({ action: 'cancel', index: 'i' }, files)).toEqual({
      cancelled: 'i on public.large',
    });
    await open.query('rollback');
    expect((await deploying).message).toBe(
      'i on public.large (2_index.sql:1) was cancelled. Next: run the action retry to build it.',
    );
    expect(await operator.indexes()).toEqual(['large_pkey']);

    // Another deploy leaves it at that.
    expect((await operator.run(files)).waiting?.because).toBe(
      'it changes the table large, and i is cancelled',
    );
    expect(await operator.steps()).toEqual(['1.0 applied', '2.0 failed']);

    expect(await operator.act({ action: 'retry', index: 'public.i' }, files)).toEqual({
      retried: ['i on public.large'],
    });
    expect(await operator.loop(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await operator.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
    expect(await operator.recorded()).toEqual(['cancel by console: done', 'retry by console: done']);
  });

  exhaustive.it(
    'behind a transaction that holds the table names it, and clears up when it is asked again',
    async () => {
      await operator.deploy(table);
      const open = await operator.session();
      await open.query('begin; insert into large values (501, 501)');
      const deploying = operator.deploy(files);
      await phaseIs('waiting for writers before build');
      const lines = (await operator.refusal({ action: 'cancel', index: 'i' }, files)).split('\n');
      expect(lines[0]).toMatch(
        /^i on public\.large is cancelled, but what it left could not be dropped within 10 s\. The table is held by pid \d+ \(\w+, "blocker", idle in transaction for \d+ s, RowExclusiveLock on large\)/,
      );
      expect(lines.slice(1)).toEqual([
        'Applied: the mark: no turn starts this build again.',
        'Next: end the transaction that holds the table, or wait for it; then cancel again, which drops the INVALID index, or retry, which builds it.',
      ]);
      expect(await operator.indexes()).toEqual(['i INVALID', 'large_pkey']);
      await open.query('rollback');
      await deploying;
      expect(await operator.act({ action: 'cancel', index: 'i' }, files)).toEqual({
        cancelled: 'i on public.large',
      });
      expect(await operator.indexes()).toEqual(['large_pkey']);
      expect(await buildStates()).toEqual(['i cancelled']);
    },
  );

  it('of a build that has not started keeps it from starting', async () => {
    await operator.deploy(table);
    await operator.run(files);
    await operator.act({ action: 'cancel', index: 'i' }, files);
    await operator.loop(files);
    expect(await buildStates()).toEqual(['i cancelled']);
    expect(await operator.indexes()).toEqual(['large_pkey']);
  });

  exhaustive.it('leaves an index that became valid as it is, and takes its build for done', async () => {
    await operator.deploy(table);
    await operator.run(files);
    await operator.query('create index i on large (x)');
    await operator.act({ action: 'cancel', index: 'i' }, files);
    expect(await buildStates()).toEqual(['i done']);
    expect(await operator.steps()).toEqual(['1.0 applied', '2.0 applied']);
  });

  exhaustive.it('of an unknown build names those that could be cancelled', async () => {
    await operator.deploy(table);
    await operator.run(files);
    expect(await operator.refusal({ action: 'cancel', index: 'x' }, files)).toBe(
      `No build of 'x' is in a state for this action.
Applied: nothing.
Next: name one of: i on public.large (pending).`,
    );
    expect(await operator.recorded()).toEqual(['cancel by console: failed']);
  });
});

describe('retry', () => {
  const twins = {
    '1_large.sql': `${largeTable('large')}\nupdate large set x = 1;`,
    '2_index.sql':
      'create unique index concurrently u on large (x);\ncreate unique index concurrently v on large (x, (1));',
  };

  it('of one builds that one again, of all builds all that failed', async () => {
    await operator.deploy({ '1_large.sql': twins['1_large.sql'] });
    await operator.deploy(twins);
    expect(await buildStates()).toEqual(['u failed', 'v failed']);
    await operator.query('update large set x = id');
    expect(await operator.act({ action: 'retry', index: 'v' }, twins)).toEqual({
      retried: ['v on public.large'],
    });
    await operator.loop(twins);
    expect(await buildStates()).toEqual(['u failed', 'v done']);
    expect(await operator.act({ action: 'retry' }, twins)).toEqual({ retried: ['u on public.large'] });
    await operator.loop(twins);
    expect(await operator.indexes()).toEqual(['large_pkey', 'u', 'v']);
    expect(await operator.steps()).toEqual(['1.0 applied', '2.0 applied', '2.1 applied']);
  });

  exhaustive.it('with nothing to retry says so', async () => {
    await operator.deploy(table);
    expect(await operator.act({ action: 'retry' }, table)).toEqual({ retried: [] });
    expect(await operator.refusal({ action: 'retry', index: 'i' }, table)).toBe(
      `No build of 'i' is in a state for this action.
Applied: nothing.
Next: no build is unfinished, failed or cancelled.`,
    );
  });
});
