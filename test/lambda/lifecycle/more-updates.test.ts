import { beforeEach, describe, expect, it } from 'vitest';
import { type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const one = { '1_users.sql': 'create table users (id int primary key);' };
const two = { ...one, '2_names.sql': 'alter table users add column name text;' };

describe('an Update', () => {
  it('with nothing to do changes nothing but the list of runs', async () => {
    await life.deploy(one);
    const before = await life.everything();
    const { exchanges } = await life.deploy(one, { props: { waitFor: 'index-builds' } });
    expect(exchanges).toMatchObject([{ request: 'Update', status: 'SUCCESS' }]);
    expect(await life.everything()).toEqual(before);
    const runs = await life.database.query(
      'select cause, actor, outcome from migrations.run order by started_at',
    );
    expect(runs).toEqual([
      { cause: 'cloudformation', actor: 'Create of stack local', outcome: 'done' },
      { cause: 'cloudformation', actor: 'Update of stack local', outcome: 'done' },
    ]);
  });

  it('never asks for a replacement, whatever prop changes', async () => {
    const ids = new Set<string | undefined>();
    for (const props of [
      {},
      { smallTableRows: 5 },
      { indexStrategy: 'inline' as const },
      { waitFor: 'nothing' as const },
    ]) {
      const { exchanges } = await life.deploy(one, { props });
      expect(exchanges).toHaveLength(1);
      ids.add(exchanges[0]?.physicalResourceId);
    }
    expect(ids.size).toBe(1);
  });
});

describe('a construct of another name', () => {
  it('that fails is deleted again, and the old one stays as it was', async () => {
    const { exchanges: before } = await life.deploy(one);
    const failed = await life.deploy(
      { ...one, '2_broken.sql': 'alter table nobody add x int;' },
      { id: 'Renamed' },
    );
    expect(failed.status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(failed.exchanges.map(({ request, status }) => `${request} ${status}`)).toEqual([
      'Create FAILED',
      'Delete SUCCESS',
    ]);
    expect(await life.deploy(two)).toMatchObject({
      status: 'UPDATE_COMPLETE',
      exchanges: [{ request: 'Update', physicalResourceId: before[0]?.physicalResourceId }],
    });
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied']);
  });
});

describe('the Update back after a failed one', () => {
  it('succeeds although a file that it has was changed since, when its build had failed', async () => {
    const index = (columns: string) => `create unique index concurrently u on large (${columns});`;
    const old = {
      '1_large.sql': `${largeTable('large')}\nupdate large set x = 1;`,
      '2_index.sql': index('x'),
    };
    await life.deploy({ '1_large.sql': old['1_large.sql'] });
    await life.deploy(old);
    await life.aws.stepFunctions.settled();
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 failed']);

    const rewritten = {
      ...old,
      '2_index.sql': index('x, id'),
      '3_broken.sql': 'alter table nobody add x int;',
    };
    const { status, exchanges } = await life.deploy(rewritten);
    await life.aws.stepFunctions.settled();
    expect(exchanges.map(({ status, reason }) => [status, reason.split('\n')[0]])).toEqual([
      ['FAILED', expect.stringContaining('3_broken.sql:1:1')],
      ['SUCCESS', 'SUCCESS'],
    ]);
    expect(status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied']);
    expect(await life.indexes()).toEqual(['large_pkey', 'u']);
    // The loop, which runs with the old code by then, takes no offence either.
    const loop = life.cloudFormation.stack?.sandbox('MigrationsIndexBuild');
    expect(await loop?.invoke({ task: 'resume' })).toEqual({ outcome: 'settled' });
    expect(await loop?.invoke({ task: 'settle', execution: 'again' })).toEqual({
      outcome: 'valid',
      message: '',
    });
  });

  it('does not try builds again that had failed before', async () => {
    const old = {
      '1_large.sql': `${largeTable('large')}\nupdate large set x = 1;`,
      '2_index.sql': 'create unique index concurrently u on large (x);',
    };
    await life.deploy({ '1_large.sql': old['1_large.sql'] });
    await life.deploy(old);
    await life.aws.stepFunctions.settled();
    const { status } = await life.deploy({ ...old, '3_broken.sql': 'alter table nobody add x int;' });
    await life.aws.stepFunctions.settled();
    expect(status).toBe('UPDATE_ROLLBACK_COMPLETE');
    // One loop by the deploy that brought the index, one by the Update that failed.
    expect(life.aws.stepFunctions.executions.filter(({ name }) => name.startsWith('hand-off-'))).toHaveLength(
      2,
    );
    expect(await life.indexes()).toEqual(['large_pkey']);
  });
});

describe('a Delete', () => {
  it('succeeds where the secret is gone, and where the database is', async () => {
    await life.deploy(one);
    life.aws.secrets.remove('database');
    expect(await life.cloudFormation.delete()).toMatchObject({ status: 'DELETE_COMPLETE' });
    life.aws.secrets.put('database', life.database.url);
    await life.database.drop();
    expect(await life.cloudFormation.delete()).toMatchObject({ status: 'DELETE_COMPLETE' });
  });
});
