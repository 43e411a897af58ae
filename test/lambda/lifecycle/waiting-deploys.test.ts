import { beforeEach, describe, expect, it } from 'vitest';
import { blockerIn, buildIn, tables, withWaiting } from './blocked-build.ts';
import { eventually, type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
});

const blocker = () => blockerIn(life);
const buildIs = (state: string) => buildIn(life, state);

it('a build that was lost fails no deploy that waits for another one', async () => {
  const both = { '1_large.sql': `${largeTable('large')}\n${largeTable('other')}` };
  const lost = { ...both, '2_lost.sql': 'create index concurrently lost on other (x);' };
  await life.deploy(both);
  const holdsOther = await life.session();
  await holdsOther.query('begin; insert into other values (501, 501)');
  await life.deploy(lost);
  await buildIs('building');
  await life.invoke({ action: 'cancel', index: 'lost' });
  await holdsOther.end();
  await life.aws.stepFunctions.settled();

  const open = await blocker();
  const deploying = life.deploy({
    ...lost,
    '3_index.sql': 'create index concurrently i on large (x);',
    '4_waits.sql': 'alter table large add column y int;',
  });
  const line = await eventually(() => life.cloudFormation.log.find((text) => text.includes('"in-progress"')));
  expect(JSON.parse(line)).toMatchObject({ builds: [expect.stringMatching(/^i on public\.large: /)] });
  await open.end();
  expect(await deploying).toMatchObject({ status: 'UPDATE_COMPLETE' });
  expect(await life.steps()).toEqual(['1.0 applied', '2.0 failed', '3.0 applied', '4.0 applied']);
});

describe('a fault that passes, while a deploy waits', () => {
  const inSight = (text: string) => text.includes('"in-progress"');
  const outOfSight = (text: string) => text.includes('"out-of-sight"');
  const sees = (what: (text: string) => boolean) => eventually(() => life.cloudFormation.log.some(what));

  it.each([
    [
      'a throttled service',
      async () => {
        life.aws.fail({ operation: 'GetSecretValue', count: 9 });
        return async () => {};
      },
      "The secret [^ ]+ can't be read: Rate exceeded",
    ],
    [
      'a password that is about to be rotated',
      async () => {
        await life.database.adminQuery(`alter role ${life.database.owner} password 'rotated'`);
        return async () => {
          life.aws.secrets.put('database', life.database.url.replace(life.database.password, 'rotated'));
        };
      },
      'Postgres: password authentication failed',
    ],
  ])('rolls nothing back: %s', { timeout: 90_000 }, async (_, fault, reason) => {
    await life.deploy(tables);
    const open = await blocker();
    const deploying = life.deploy(withWaiting);
    await sees(inSight);
    const fix = await fault();
    await sees(outOfSight);
    const line = life.cloudFormation.log.find(outOfSight) ?? '';
    expect(JSON.parse(line)).toMatchObject({
      level: 'WARN',
      message: 'deploy',
      kind: 'out-of-sight',
      because: expect.stringMatching(reason),
    });
    await fix();
    await open.end();
    expect(await deploying).toMatchObject({ status: 'UPDATE_COMPLETE' });
    // The test's own way in may be a password of yesterday.
    expect(
      await life.database.adminQuery("select count(*)::int from migrations.step where state = 'applied'"),
    ).toEqual([{ count: 3 }]);
  });

  it('that does not pass until patience ends is told then, with what it was', async () => {
    await life.database.query(`${tables['1_large.sql']}`);
    const open = await blocker();
    const { '1_large.sql': _, ...waiting } = withWaiting;
    const deploying = life.deploy(waiting, { environment: { LONGEST_WAIT_SECONDS: '600' } });
    await sees(inSight);
    life.aws.fail({ operation: 'GetSecretValue', count: 1_000 });
    life.cloudFormation.stack?.sandbox('MigrationsIsComplete').passTime(601_000);
    const { exchanges } = await deploying;
    await open.end();
    expect(exchanges[0]?.reason.split('\n').slice(0, 1)).toEqual([
      expect.stringMatching(
        /^This deploy waited as long as CloudFormation allows, and its last look failed: The secret .* can't be read: Rate exceeded/,
      ),
    ]);
  });
});

describe('a deploy that outlasts its hour', () => {
  it('fails and says what still runs; the build continues by itself, and the next deploy finishes', async () => {
    await life.deploy(tables);
    const open = await blocker();
    const { status, exchanges } = await life.deploy(withWaiting, {
      environment: { LONGEST_WAIT_SECONDS: '0' },
    });
    expect(status).toBe('UPDATE_ROLLBACK_COMPLETE');
    expect(exchanges[0]?.reason.split('\n').slice(0, 3)).toEqual([
      expect.stringMatching(
        /^This deploy waited as long as CloudFormation allows; still running: i on public\.large: /,
      ),
      'Applied: every step before the ones that wait; the index builds continue in the database.',
      'Next: deploy again when they are valid (action status tells), or choose waitFor: "nothing"; nothing has to be started by hand.',
    ]);
    await open.end();
    await life.aws.stepFunctions.settled();
    expect(await life.indexes()).toEqual(['i', 'large_pkey']);
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied']);
    expect(await life.deploy(withWaiting)).toMatchObject({ status: 'UPDATE_COMPLETE' });
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
  });
});

describe("waitFor 'nothing'", () => {
  it('applies what waits for nobody, also where the first run ran out of time', async () => {
    const slow = Object.fromEntries(
      ['a', 'b', 'c'].map((name, at) => [
        `${at + 2}_${name}.sql`,
        `select pg_sleep(3.5);\ncreate table ${name} ();`,
      ]),
    );
    await life.deploy(tables);
    const { status, exchanges } = await life.deploy(
      { ...tables, ...slow },
      // Ten seconds of it are kept for the answer.
      { props: { waitFor: 'nothing' }, timeoutSeconds: 16 },
    );
    expect(exchanges.map(({ data }) => data.Outcome)).toEqual(['unfinished']);
    expect(status).toBe('UPDATE_COMPLETE');
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied', '4.0 applied']);
  });
});
