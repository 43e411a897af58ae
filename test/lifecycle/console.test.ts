import { beforeEach, describe, expect, it } from 'vitest';
import { type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const files = {
  '1_large.sql': `${largeTable('large')}\nupdate large set x = 1;`,
  '1_large.down.sql': 'drop table large;',
  '2_index.sql': 'create unique index concurrently u on large (x);',
  '2_index.down.sql': 'drop index concurrently u;',
};

describe('an operator in the console', () => {
  it('goes from a failed build to a valid index, and back to nothing', async () => {
    await life.deploy({ '1_large.sql': files['1_large.sql'] });
    await life.deploy(files);
    await life.aws.stepFunctions.settled();
    expect(await life.invoke({ action: 'status' })).toMatchObject({
      migrations: [
        { name: '1_large', state: 'applied' },
        { name: '2_index', state: 'failed' },
      ],
      builds: [{ index: 'u', state: 'failed', fault: { sqlstate: '23505' } }],
    });

    await life.database.query('update large set x = id');
    expect(await life.invoke({ action: 'retry', by: 'anna' })).toEqual({ retried: ['u on public.large'] });
    await life.aws.stepFunctions.settled();
    expect(await life.indexes()).toEqual(['large_pkey', 'u']);

    expect(await life.invoke({})).toMatchObject({ outcome: 'done', applied: [], builds: [] });
    expect(await life.invoke({ action: 'plan' })).toMatchObject({ files: [], builds: [] });
    expect(await life.invoke({ action: 'undo', to: 0, confirm: true, by: 'anna' })).toEqual({
      undone: ['2_index', '1_large'],
    });
    const rows = await life.database.query<{ line: string }>(
      `select action || ' by ' || actor || ' (' || cause || '): ' || outcome as line
         from migrations.run where cause = 'console' order by started_at`,
    );
    expect(rows.map(({ line }) => line)).toEqual([
      'retry by anna (console): done',
      'run by console (console): done',
      'undo by anna (console): done',
    ]);
  });

  it('who sends no action is told what was expected, with examples and without a trace', async () => {
    await life.deploy({});
    expect(await life.invoke({ action: 'reset' })).toEqual({
      errorType: 'MigrationError',
      errorMessage: expect.stringMatching(
        /^This event is no action: action: expected one of run, status, .*\.\nApplied: nothing\.\nNext: send one of these:\n\{\}/,
      ),
      trace: [''],
    });
  });
});
