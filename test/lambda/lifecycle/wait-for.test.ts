import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { blockerIn, buildIn, tables, withIndex, withWaiting } from './blocked-build.ts';
import { askIsComplete, eventually, type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const blocker = () => blockerIn(life);
const buildIs = (state: string) => buildIn(life, state);

describe("waitFor 'migrations'", () => {
  exhaustive.it('lets the deploy continue while a build runs that no step waits for', async () => {
    await life.deploy(tables);
    const open = await blocker();
    expect(await life.deploy(withIndex)).toMatchObject({ status: 'UPDATE_COMPLETE' });
    await buildIs('building');
    await open.end();
    await buildIs('done');
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied']);
  });

  it('holds the deploy until the build is valid that a step waits for, and logs what it waits for', async () => {
    await life.deploy(tables);
    const open = await blocker();
    const deploying = life.deploy(withWaiting);
    const line = await eventually(() =>
      life.cloudFormation.log.find(
        (text) => text.includes('"in-progress"') && text.includes('waiting for writers'),
      ),
    );
    expect(JSON.parse(line)).toMatchObject({
      message: 'deploy',
      kind: 'in-progress',
      builds: [
        expect.stringMatching(/^i on public\.large: waiting for writers before build, .* waits for pid \d+/),
      ],
      waiting: '3_waits.sql',
    });
    await open.end();
    expect(await deploying).toMatchObject({ status: 'UPDATE_COMPLETE' });
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
  });

  it('fails the deploy when the build fails that a step waits for, and says why', async () => {
    await life.deploy({ '1_large.sql': `${largeTable('large')}\nupdate large set x = 1;` });
    const { status, exchanges } = await life.deploy({
      '1_large.sql': `${largeTable('large')}\nupdate large set x = 1;`,
      '2_index.sql': 'create unique index concurrently u on large (x);',
      '3_waits.sql': 'alter table large add column y int;',
    });
    expect(status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(exchanges[0]?.reason.split('\n').slice(0, 1)).toEqual([
      'u on public.large (2_index.sql:1) failed before it started: could not create unique index "u": 1 value of (x) in more than one row (SQLSTATE 23505); Leave one row of each, then retry. Nothing was built. The action status has all of it. Next: fix the cause, then run again (or the action retry).',
    ]);
  });
});

describe("waitFor 'index-builds'", () => {
  exhaustive.it('holds the deploy until all builds are valid', async () => {
    await life.deploy(tables);
    const open = await blocker();
    const deploying = life.deploy(withIndex, { props: { waitFor: 'index-builds' } });
    await buildIs('building');
    await eventually(() => life.cloudFormation.log.some((text) => text.includes('"in-progress"')));
    await open.end();
    expect(await deploying).toMatchObject({ status: 'UPDATE_COMPLETE' });
    expect(await life.indexes()).toEqual(['i', 'large_pkey']);
  });
});

describe("waitFor 'nothing'", () => {
  it('lets the deploy continue although steps wait; the loop applies them', async () => {
    await life.deploy(tables);
    const open = await blocker();
    expect(await life.deploy(withWaiting, { props: { waitFor: 'nothing' } })).toMatchObject({
      status: 'UPDATE_COMPLETE',
    });
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 pending']);
    await open.end();
    await life.aws.stepFunctions.settled();
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
  });
});

exhaustive.it('a fault that passes, while a deploy waits, rolls nothing back', async () => {
  await life.deploy(tables);
  const open = await blocker();
  const deploying = life.deploy(withWaiting);
  await eventually(() => life.cloudFormation.log.some((text) => text.includes('"in-progress"')));
  await life.database.adminQuery(`alter role ${life.database.owner} connection limit 0`);
  const line = await eventually(() =>
    life.cloudFormation.log.find((text) => text.includes('"out-of-sight"')),
  );
  expect(JSON.parse(line)).toMatchObject({
    because: expect.stringMatching('Postgres: too many connections for role'),
  });
  await life.database.adminQuery(`alter role ${life.database.owner} connection limit -1`);
  await open.end();
  expect(await deploying).toMatchObject({ status: 'UPDATE_COMPLETE' });
});

describe('a run that starts while a deploy waits', () => {
  const slow = Object.fromEntries(
    Array.from({ length: 40 }, (_, file) => [
      `${file + 1}_slow.sql`,
      `select pg_sleep(seconds) from pace; create table t${file} (x int);`,
    ]),
  );

  exhaustive.it('ends within what is left of the hour, though its function has more time', async () => {
    await life.database.query('create table pace (seconds float8)');
    await life.deploy(slow, { environment: { LONGEST_WAIT_SECONDS: '12' } });
    // All is pending again, as where the first run ran out of time, and goes slowly.
    const tables = Object.keys(slow).map((_, file) => `t${file}`);
    await life.database.query(`drop schema migrations cascade; drop table ${tables.join(', ')};
      insert into pace values (1)`);
    const StartedAt = new Date(Date.now() - 10_000).toISOString();
    expect(await askIsComplete(life, { StartedAt, Outcome: 'unfinished' })).toEqual({ IsComplete: false });
    // Patience for 12 s of an hour that has 24.
    const ran = await life.database.query(
      `select outcome, finished_at < $1::timestamptz + interval '24 s' as in_time,
              (select count(*)::int from migrations.step where state = 'applied') < 30 as cut_off
         from migrations.run`,
      [StartedAt],
    );
    expect(ran).toEqual([{ outcome: 'unfinished', in_time: true, cut_off: true }]);
    const late = { StartedAt: new Date(Date.now() - 12_001).toISOString(), Outcome: 'unfinished' };
    await expect(askIsComplete(life, late)).rejects.toThrow(
      /^This deploy waited as long as CloudFormation allows/,
    );
  });
});
