import { beforeEach, describe, expect, it } from 'vitest';
import { eventually, type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const tables = {
  '1_tables.sql': `${largeTable('held')}
${largeTable('free')}
create table parted (id int, x int) partition by range (id);
create table p1 partition of parted for values from (0) to (250);
create table p2 partition of parted for values from (250) to (1000);
insert into parted select i, i from generate_series(1, 500) i;`,
};

/** A transaction that keeps every concurrent build on the table from its end. */
async function holds(table: string): Promise<{ end(): Promise<void> }> {
  const session = await life.session();
  await session.query(`begin; insert into ${table} values (501, 501)`);
  return session;
}

const stateOf = async (index: string) => {
  const [build] = await life.database.query<{ state: string }>(
    `select state from migrations.index_build where index_name = '${index}'`,
  );
  return build?.state;
};

describe('while another build runs', () => {
  it('the partitions of an index are built and attached', { timeout: 120_000 }, async () => {
    await life.deploy(tables);
    const open = await holds('held');
    await life.deploy({
      ...tables,
      '2_held.sql': 'create index concurrently held_x on held (x);',
      '3_parted.sql': 'create index concurrently parted_x on parted (x);',
    });
    await eventually(async () => (await stateOf('parted_x')) === 'done');
    expect(await stateOf('held_x')).toBe('building');
    expect((await life.indexes()).filter((name) => !name.includes('held'))).toEqual([
      'free_pkey',
      'p1_parted_x',
      'p2_parted_x',
      'parted_x',
    ]);
    expect(life.aws.stepFunctions.executions.filter(({ ended }) => ended === undefined)).toHaveLength(1);
    await open.end();
    await life.aws.stepFunctions.settled();
    expect(await stateOf('held_x')).toBe('done');
  });

  it('a step is applied that waited for a build which is valid, and what it hands off is built', {
    timeout: 120_000,
  }, async () => {
    await life.deploy(tables);
    const open = await holds('held');
    await life.deploy(
      {
        ...tables,
        '2_held.sql': 'create index concurrently held_x on held (x);',
        '3_free.sql': 'create index concurrently free_x on free (x);',
        '4_waits.sql': 'alter table free add column y int;',
        '5_more.sql': 'create index concurrently free_y on free (y);',
      },
      { props: { waitFor: 'nothing' } },
    );
    await eventually(async () => (await stateOf('free_y')) === 'done');
    expect(await stateOf('held_x')).toBe('building');
    expect(await life.steps()).toContain('4.0 applied');
    await open.end();
    await life.aws.stepFunctions.settled();
    const loops = life.aws.stepFunctions.executions.filter(({ name }) => name.startsWith('hand-off-'));
    expect(loops.map(({ ended }) => ended?.outcome.status)).toEqual(['SUCCEEDED']);
  });
});
