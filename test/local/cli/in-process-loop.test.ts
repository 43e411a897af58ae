import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { type Files, freshScenario, largeTable, type Scenario } from '../../lambda/run/scenario.ts';
import { firstOf } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

const tables: Files = {
  '1_tables.sql': `${largeTable('held')}
${largeTable('free')}
create table parted (id int, x int) partition by range (id);
create table p1 partition of parted for values from (0) to (250);
create table p2 partition of parted for values from (250) to (1000);
insert into parted select i, i from generate_series(1, 500) i;`,
};
const held: Files = { ...tables, '2_held.sql': 'create index concurrently held_x on held (x);' };

/** The tables, and a transaction that keeps every concurrent build on the first of them from its end. */
async function withBlocker(): Promise<pg.Client> {
  await scenario.run(tables);
  const blocker = new pg.Client({ connectionString: scenario.database.url });
  await blocker.connect();
  onTestFinished(() => blocker.end());
  await blocker.query('begin; insert into held values (501, 501)');
  return blocker;
}

const stateOf = async (index: string) => {
  const builds = await scenario.query<{ state: string }>(
    'select state from migrations.index_build where index_name = $1',
    [index],
  );
  return builds[0]?.state;
};

describe('while another build runs', () => {
  it.each(firstOf(1, [[1], [4]]))(
    'the partitions of an index are built and attached, with %s free places',
    async (free) => {
      const blocker = await withBlocker();
      const deploying = scenario.deploy(
        { ...held, '3_parted.sql': 'create index concurrently parted_x on parted (x);' },
        { maxConcurrentTables: 1 + free },
      );
      await expectEventually(async () => (await stateOf('parted_x')) === 'done');
      expect(await stateOf('held_x')).toBe('building');
      await blocker.query('rollback');
      expect(await deploying).toEqual({ outcome: 'valid', message: '' });
      expect(await scenario.indexes()).toEqual(
        expect.arrayContaining(['held_x', 'p1_parted_x', 'p2_parted_x', 'parted_x']),
      );
    },
  );

  it('a step is applied that waited for a build which is valid, and what it hands off is built', async () => {
    const blocker = await withBlocker();
    const deploying = scenario.deploy({
      ...held,
      '3_free.sql': 'create index concurrently free_x on free (x);',
      '4_waits.sql': 'alter table free add column y int;',
      '5_more.sql': 'create index concurrently free_y on free (y);',
    });
    await expectEventually(async () => (await stateOf('free_y')) === 'done');
    expect(await stateOf('held_x')).toBe('building');
    expect(await scenario.steps()).toContain('4.0 applied');
    await blocker.query('rollback');
    expect(await deploying).toEqual({ outcome: 'valid', message: '' });
  });
});

it('no more tables build side by side than were asked for, and a signal ends all of them', async () => {
  await withBlocker();
  const files = { ...held, '3_free.sql': 'create index concurrently free_x on free (x);' };
  await scenario.run(files);
  const stop = new AbortController();
  const looping = scenario.loop(files, { maxConcurrentTables: 1, signal: stop.signal });
  const ended = expect(looping).rejects.toThrow('stopped');
  const started = () => scenario.events.filter(({ kind }) => kind === 'started').length;
  await expectEventually(() => started() > 0);
  expect(await stateOf('free_x')).toBe('pending');
  stop.abort(new Error('stopped'));
  await ended;
  expect(started()).toBe(1);
});
