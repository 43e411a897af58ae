import { beforeEach, describe, expect, it } from 'vitest';
import { AwsError } from '../../../local/aws/aws-error.ts';
import { exhaustive } from '../../support/exhaustive.ts';
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

  exhaustive.it('hands builds off again by {} where a deploy could not start the loop', async () => {
    const table = { '1_large.sql': largeTable('large') };
    await life.deploy(table);
    const fault = new AwsError(
      'AccessDeniedException',
      'not authorized to perform states:StartExecution',
      403,
    );
    // Ours, and the second look after it; the next one is the Provider's, which starts its own machine.
    life.aws.fail({ operation: 'StartExecution', count: 2, fault });
    const failed = await life.deploy({
      ...table,
      '2_index.sql': 'create index concurrently i on large (x);',
    });
    expect(failed.status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(failed.exchanges[0]?.reason.split('\n').slice(0, 3)).toEqual([
      expect.stringMatching(/^(Error: )?The index-build loop could not be started: not authorized/),
      'Applied: every step up to the index builds, which are recorded as pending.',
      'Next: see why the function may not start the state machine (its role); then run again: {} or another deploy hands the builds off.',
    ]);
    expect(life.aws.events.events.at(-2)?.detail).toMatchObject({
      outcome: 'failed',
      code: 'hand-off-failed',
    });
    expect(await life.indexes()).toEqual(['large_pkey']);
    await life.invoke({});
    await life.aws.stepFunctions.settled();
    expect(await life.indexes()).toEqual(['i', 'large_pkey']);
  });

  it('who sends no action is told what was expected, with examples and without a trace', async () => {
    await life.deploy({});
    expect(await life.invoke({ action: 'reset' })).toEqual({
      errorType: 'MigrationError',
      errorMessage: expect.stringMatching(
        /^This event is not an action: action: expected one of run, status, .*\.\nApplied: nothing\.\nNext: send one of these:\n\{\}/,
      ),
      trace: [''],
    });
  });
});
