import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { HERE } from '../../support/here.ts';
import { freshScenario, type Scenario } from './scenario.ts';

const SECONDS = { lockTimeoutSeconds: 0.1, lockBudgetSeconds: 1 };

let scenario: Scenario;
let blocker: pg.Client;
let pid: number;

/** A session that has read the table in a transaction which it left open. */
beforeEach(async () => {
  scenario = await freshScenario(SECONDS);
  await scenario.query('create table busy (id int primary key, x int); insert into busy values (1, 1)');
  blocker = new pg.Client({ connectionString: scenario.database.url, application_name: 'web' });
  blocker.on('error', () => {});
  await blocker.connect();
  onTestFinished(() => blocker.end().catch(() => {}));
  await blocker.query('begin; select * from busy');
  pid = (await blocker.query('select pg_backend_pid() as pid')).rows[0].pid;
});

const files = {
  '1_before.sql': 'create table before ();',
  '2_alters.sql': 'create table with_it ();\nalter table busy add column y int;',
  '3_after.sql': 'create table after ();',
};
const locked = () => scenario.events.filter((event) => event.kind === 'locked');

describe('a step whose lock is taken', () => {
  it('is tried again, whole, and goes through when the blocker ends', async () => {
    const run = scenario.run(files, { lockBudgetSeconds: 30 });
    await expectEventually(() => locked().length >= 1);
    // Nothing is held, and nobody queues: the application continues writing and reading.
    await scenario.query('set lock_timeout = 1000; update busy set x = x + 1');
    await blocker.query('commit');
    expect((await run).outcome).toBe('done');
    expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
    expect(
      await scenario.query(`select count(*)::int as tables from pg_class where relname = 'with_it'`),
    ).toEqual([{ tables: 1 }]);
  });

  exhaustive.it('reports who holds the lock, and that it waits without queueing', async () => {
    const run = scenario.run(files, { lockBudgetSeconds: 30 });
    await expectEventually(() => locked().length >= 1);
    await blocker.query('commit');
    await run;
    expect(locked()[0]).toMatchObject({
      kind: 'locked',
      file: '2_alters.sql',
      attempt: 1,
      next: 'hold-back',
      blockers: [
        {
          pid,
          user: scenario.database.owner,
          application: 'web',
          state: 'idle in transaction',
          lock: 'AccessShareLock',
          relation: 'busy',
        },
      ],
    });
  });

  it('fails when its budget is spent, and names the blocker: pid, role, application, state, age, lock', async () => {
    const error = await scenario.failure(files);
    expect(error.message.replace(/for \d+ s/, 'for N s')).toBe(
      [
        `2_alters.sql:2:1: The step did not get its locks within 1 s. Blocked by pid ${pid} (${scenario.database.owner}, "web", idle in transaction for N s, AccessShareLock on busy).`,
        'Postgres: canceling statement due to lock timeout (SQLSTATE 55P03)',
        'Statement: alter table busy add column y int',
        'Applied: 1_before by this run; nothing of 2_alters.sql.',
        'Next: end the blocking transaction (select pg_terminate_backend(pid)) or wait for it, then run again; the run continues with this step.',
      ].join('\n'),
    );
    expect(await scenario.steps()).toEqual(['1.0 applied']);
    await blocker.query('commit');
    expect((await scenario.run(files)).outcome).toBe('done');
  });

  exhaustive.it('does not repeat what the blocker is doing: its query may hold data', async () => {
    await blocker.query(`select 'private' as data from busy`);
    expect((await scenario.failure(files)).message).not.toContain('private');
  });

  exhaustive.it('does not end those that wait for somebody else', async () => {
    const reader = scenario.query('select pg_sleep(0.3), count(*) from busy');
    await scenario.failure(files);
    await expect(reader).resolves.toHaveLength(1);
  });

  exhaustive.it(
    'is not queued for behind somebody whose state and age Postgres hides from our role',
    async () => {
      await blocker.query('commit');
      const other = new pg.Client({ connectionString: scenario.database.adminUrl, application_name: 'web' });
      await other.connect();
      onTestFinished(() => other.end());
      await other.query('begin; select * from busy');
      const run = scenario.run(files, { lockTimeoutSeconds: 5, lockBudgetSeconds: 30 });
      const held = await expectEventually(() => locked().find(({ next }) => next === 'hold-back'));
      expect(held).toMatchObject({ blockers: [{ state: 'unknown', lock: 'AccessShareLock' }] });
      expect(held.attempt).toBeLessThanOrEqual(2);
      await other.query('commit');
      expect((await run).outcome).toBe('done');
    },
  );

  exhaustive.it('is looked for where the file’s search_path has its table', async () => {
    await scenario.query('create schema elsewhere; create table elsewhere.busy (x int)');
    await blocker.query('commit; begin; select * from elsewhere.busy');
    const run = scenario.run(
      { '1_alters.sql': 'set search_path = elsewhere; alter table busy add column y int;' },
      { lockBudgetSeconds: 30 },
    );
    await expectEventually(() => locked().length >= 1);
    expect(locked()[0]).toMatchObject({ next: 'hold-back', blockers: [{ pid, relation: 'elsewhere.busy' }] });
    await blocker.query('commit');
    expect((await run).outcome).toBe('done');
  });

  exhaustive.it.each([
    ['in no transaction', '-- migrate: no-transaction\nalter table busy add column y int;'],
    ['that no transaction takes', 'vacuum full busy;'],
  ])('%s is tried again just so, and leaves no trace in the ledger meanwhile', async (_, sql) => {
    const run = scenario.run({ '1_alone.sql': sql }, { lockTimeoutSeconds: 5, lockBudgetSeconds: 30 });
    await expectEventually(() => locked().length >= 1);
    expect(locked()[0]).toMatchObject({ next: 'hold-back', blockers: [{ pid }] });
    expect(await scenario.steps()).toEqual([]);
    await blocker.query('commit');
    expect((await run).outcome).toBe('done');
    expect(await scenario.steps()).toEqual(['1.0 applied']);
  });

  exhaustive.it.each([
    ['as its own file says', '3s'],
    ['no longer than lockTimeout, whatever its file says', '1h'],
  ])('waits %s, where that sets lock_timeout', async (_, wait) => {
    await blocker.query('commit; begin; select * from busy');
    const run = scenario.run(
      { '1_alters.sql': `set lock_timeout = '${wait}'; alter table busy add column y int;` },
      { lockTimeoutSeconds: 4 },
    );
    await expectEventually(
      async () =>
        (await scenario.query(`select from pg_locks where not granted and relation = 'busy'::regclass`))
          .length === 1,
    );
    // For longer than an attempt of ours would.
    await sleep(500);
    await blocker.query('commit');
    expect((await run).outcome).toBe('done');
    expect(locked()).toEqual([]);
  });

  exhaustive.it('ends at once when its run is told to end', async () => {
    const controller = new AbortController();
    const run = scenario.run(files, { lockBudgetSeconds: 30, signal: controller.signal });
    await expectEventually(() => locked().length >= 1);
    const before = locked().length;
    controller.abort(new Error('enough'));
    await expect(run).rejects.toThrow('enough');
    expect(locked()).toHaveLength(before);
  });

  exhaustive.it('of a small table’s index is tried again like any other', async () => {
    await blocker.query('commit; begin; update busy set x = 2');
    const run = scenario.run(
      { '1_index.sql': 'create index concurrently busy_x on busy (x);' },
      { lockBudgetSeconds: 30 },
    );
    await expectEventually(() => locked().length >= 1);
    await blocker.query('commit');
    expect((await run).applied.map(({ how }) => how)).toEqual(['inline']);
    expect(await scenario.indexes()).toEqual(['busy_pkey', 'busy_x']);
  });
});

exhaustive.it(
  'a table on which transactions overlap without end is had in the end: by one wait that outlasts them',
  async () => {
    await blocker.query('commit');
    let over = false;
    const overlapping = [0, 100, 200, 300].map(async (delay) => {
      const client = new pg.Client({ connectionString: scenario.database.url });
      await client.connect();
      // Nobody waits behind the run for as long as it would.
      await client.query('set lock_timeout = 1500');
      await sleep(delay);
      while (!over) {
        await client.query('begin; select * from busy');
        await sleep(400);
        await client.query('commit');
      }
      await client.end();
    });
    await sleep(500);
    const { outcome } = await scenario.run(files, { lockTimeoutSeconds: 5, lockBudgetSeconds: 30 });
    over = true;
    await Promise.all(overlapping);
    expect(outcome).toBe('done');
    const attempts = locked().map(({ attempt }) => attempt);
    expect(Math.max(0, ...attempts)).toBeLessThanOrEqual(5);
  },
);

describe('a step that locks only rows', () => {
  it('works for longer than its budget, and is not thrown away for a row that somebody has for half a second', async () => {
    await blocker.query('commit');
    await scenario.query('insert into busy select i, i from generate_series(2, 20) i');
    // Each row takes 0.1 s, and each is locked by an application for a moment when its turn comes.
    let over = false;
    const application = (async () => {
      while (!over) {
        await blocker.query('begin; update busy set x = x where id in (5, 10, 15, 20)');
        await sleep(500);
        await blocker.query('commit');
        await sleep(50);
      }
    })();
    const sql = `update busy set x = -id where (select true from pg_sleep(0.1 + busy.id * 0));`;
    const { outcome } = await scenario.run(
      { '1_long.sql': sql },
      { lockTimeoutSeconds: 2, lockBudgetSeconds: 2 },
    );
    over = true;
    await application;
    expect(outcome).toBe('done');
    expect(locked()).toEqual([]);
    expect(await scenario.query('select count(*)::int as n from busy where x < 0')).toEqual([{ n: 20 }]);
  });

  exhaustive.it('has a budget that counts its waiting, and not the work of its attempts', async () => {
    await blocker.query('commit; begin; update busy set x = 9');
    const begun = Date.now();
    const running = scenario.run(
      { '1_long.sql': 'select pg_sleep(1.5); update busy set x = 2;' },
      { lockTimeoutSeconds: 0.2, lockBudgetSeconds: 2 },
    );
    await expectEventually(() => locked().some(({ attempt }) => attempt >= 3), {
      withinMilliseconds: 30_000,
    });
    expect(Date.now() - begun).toBeGreaterThan(4_500);
    await blocker.query('commit');
    expect((await running).outcome).toBe('done');
    expect(await scenario.query('select x from busy')).toEqual([{ x: 2 }]);
  });
});

it('a deadlock is no failure: the step that lost is tried again', async () => {
  await scenario.query('create table other (x int); insert into other values (1)');
  await blocker.query('commit; begin; update other set x = 2');
  const run = scenario.run(
    { '1_both.sql': 'update busy set x = 3; update other set x = 3;' },
    { lockTimeoutSeconds: 20, lockBudgetSeconds: 30 },
  );
  await expectEventually(
    async () =>
      (
        await scenario.query(`select from pg_locks join pg_stat_activity using (pid)
          where datid = ${HERE} and not granted and locktype = 'transactionid'`)
      ).length === 1,
  );
  // Whoever of the two is ended, the run gets through.
  await blocker.query('update busy set x = 4').catch(() => blocker.query('rollback'));
  await blocker.query('commit').catch(() => {});
  expect((await run).outcome).toBe('done');
  expect(await scenario.query('select x from other')).toEqual([{ x: 3 }]);
});

describe('a run whose time is nearly up', () => {
  it('leaves what it has not begun to the next run', async () => {
    const result = await scenario.run(
      { '1_sleeps.sql': 'select pg_sleep(0.4);', '2_sleeps.sql': 'select pg_sleep(60);' },
      { deadline: Date.now() + 1_500 },
    );
    expect(result.outcome).toBe('unfinished');
    expect(await scenario.steps()).toEqual(['1.0 applied']);
  });

  exhaustive.it.each([
    ['several statements', 1.5, 'select pg_sleep(1); select pg_sleep(1); select pg_sleep(1);'],
    ['a statement_timeout of its own', 1.5, "set statement_timeout = '1h'; select pg_sleep(30);"],
    ['one from an earlier step', 6, 'set statement_timeout = 0; vacuum before; select pg_sleep(30);'],
  ])('ends in time, though the step has %s', async (_, seconds, sql) => {
    await scenario.query('create table before ()');
    const deadline = Date.now() + seconds * 1000;
    const error = await scenario.failure({ '1_sleeps.sql': sql }, { deadline });
    // By the run: the statements themselves would continue, or have no such limit.
    expect(error.message).toContain('canceling statement due to statement timeout');
  });

  exhaustive.it('leaves a step whose locks are taken to the next run', async () => {
    const result = await scenario.run(files, { deadline: Date.now() + 1_500, lockBudgetSeconds: 30 });
    expect(result.outcome).toBe('unfinished');
    expect(await scenario.steps()).toEqual(['1.0 applied']);
  });

  exhaustive.it(
    'says of a step that had all of it that it needs longer than one invocation has',
    async () => {
      const error = await scenario.failure(
        { '1_sleeps.sql': 'select pg_sleep(60);' },
        { deadline: Date.now() + 700 },
      );
      expect(error.message).toBe(
        [
          '1_sleeps.sql:1:1: This statement failed.',
          'Postgres: canceling statement due to statement timeout (SQLSTATE 57014)',
          'Statement: select pg_sleep(60)',
          'Applied: nothing by this run before it; nothing of 1_sleeps.sql.',
          'Next: the step needs longer than one invocation has: write "-- migrate: hand-off" before the statement that takes so long, and the loop runs it to its end (docs/long-work.md); or split it into smaller steps (a file each); or apply it from the command line, which has no time limit: npx cdk-postgres-migrations up.',
        ].join('\n'),
      );
      expect(await scenario.steps()).toEqual([]);
    },
  );

  exhaustive.it.each([
    [
      'that commits by itself',
      'do $$ begin commit; perform pg_sleep(60); end $$;',
      'Next: the step needs longer than one invocation has: take its COMMITs out and write "-- migrate: hand-off" before the statement that takes so long, and the loop runs it to its end (docs/long-work.md); or write what it does as one statement under "-- migrate: backfill", which is done in batches (docs/backfills.md); or split it',
    ],
    [
      'of a file without transactions',
      '-- migrate: no-transaction\nselect pg_sleep(60);',
      'Next: the step needs longer than one invocation has: write "-- migrate: hand-off" before the statement that takes so long, and the loop runs it to its end (docs/long-work.md); or split it',
    ],
  ])('says the same of a statement %s, and how it is handed off', async (_, sql, next) => {
    const error = await scenario.failure({ '1_sleeps.sql': sql }, { deadline: Date.now() + 6_500 });
    expect(error.message).toContain('canceling statement due to statement timeout (SQLSTATE 57014)');
    expect(error.message).toContain(next);
  });
});
