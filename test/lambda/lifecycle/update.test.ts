import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { type LifeCycle, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const one = { '1_users.sql': 'create table users (id int primary key);' };
const two = { ...one, '2_names.sql': 'alter table users add column name text;' };

describe('an Update', () => {
  it('with new files applies them and keeps the id; one without changes asks nothing', async () => {
    const created = await life.deploy(one);
    const updated = await life.deploy(two);
    expect(updated).toMatchObject({
      status: 'UPDATE_COMPLETE',
      exchanges: [{ request: 'Update', physicalResourceId: created.exchanges[0]?.physicalResourceId }],
    });
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied']);
    expect(await life.deploy(two)).toEqual({ status: 'UPDATE_COMPLETE', exchanges: [] });
  });
});

describe('a construct of another name', () => {
  exhaustive.it(
    'is created beside the old one, finds all applied, and the old one is deleted without a trace',
    async () => {
      const { exchanges: before } = await life.deploy(one);
      const renamed = await life.deploy(two, { id: 'Renamed' });
      expect(renamed.status).toBe('UPDATE_COMPLETE');
      expect(
        renamed.exchanges.map(({ request, status, physicalResourceId }) => [
          request,
          status,
          physicalResourceId,
        ]),
      ).toEqual([
        ['Create', 'SUCCESS', expect.stringMatching(/^migrations-local-RenamedRun/)],
        ['Delete', 'SUCCESS', before[0]?.physicalResourceId],
      ]);
      expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied']);
      // It is the one that continues.
      expect(await life.deploy({ ...two, '3_t.sql': 'create table t ();' }, { id: 'Renamed' })).toMatchObject(
        {
          status: 'UPDATE_COMPLETE',
          exchanges: [{ request: 'Update', status: 'SUCCESS' }],
        },
      );
      expect(await life.steps()).toHaveLength(3);
    },
  );
});

describe('the Update back after a failed one', () => {
  it('succeeds with the old code on a database that is ahead of it, and changes nothing', async () => {
    await life.deploy(one);
    const ahead = { ...two, '3_broken.sql': 'alter table nobody add x int;' };
    const { status, exchanges } = await life.deploy(ahead);
    expect(status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(exchanges.map(({ request, status }) => `${request} ${status}`)).toEqual([
      'Update FAILED',
      'Update SUCCESS',
    ]);
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied']);
    const before = await life.everything();
    // The next attempt fails the same way: what is there after it was there before.
    await life.deploy({ ...ahead, '3_broken.sql': 'alter table no_one add x int;' });
    expect(await life.everything()).toEqual(before);
  });
});

describe('a Delete', () => {
  exhaustive.it('touches nothing and succeeds', async () => {
    await life.deploy(two);
    const before = await life.everything();
    expect(await life.cloudFormation.delete()).toMatchObject({ status: 'DELETE_COMPLETE' });
    expect(await life.everything()).toEqual(before);
  });
});
