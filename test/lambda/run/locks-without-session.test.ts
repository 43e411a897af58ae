import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../local/postgres/embedded-postgres.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { scenarioOn } from './scenario.ts';

/** Locks that no session of the application's holds, on a server that can have them. */
let server: EmbeddedPostgres;
beforeAll(async () => {
  server = await startEmbeddedPostgres({
    durability: 'none',
    settings: { max_prepared_transactions: 5, autovacuum_naptime: '1s' },
  });
});
afterAll(() => server.stop());

/** Writes on and on. A write fails that waits for longer than that behind the run; the returned function ends it. */
async function writer({ url }: FreshDatabase, patience: number): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end().catch(() => {}));
  await client.query(`set lock_timeout = ${patience}`);
  let over = false;
  const done = (async () => {
    while (!over) {
      await client.query(`insert into busy values (1, 'new')`);
      await sleep(5);
    }
  })();
  done.catch(() => {});
  return async () => {
    over = true;
    await done;
  };
}

it('a prepared transaction that was forgotten is named, and not queued behind', async () => {
  const database = await freshDatabase(server);
  const scenario = scenarioOn(database);
  await scenario.query('create table busy (id int, note text)');
  await scenario.query(`begin; insert into busy values (0, ''); prepare transaction 'it''s mine'`);
  onTestFinished(async () => void (await scenario.query(`rollback prepared 'it''s mine'`)));
  const end = await writer(database, 1_500);
  const error = await scenario.failure(
    { '1_alters.sql': 'alter table busy add column y int;' },
    { lockTimeoutSeconds: 2, lockBudgetSeconds: 2.5 },
  );
  await end();
  expect(scenario.events.find(({ kind }) => kind === 'locked')).toMatchObject({
    attempt: 1,
    next: 'hold-back',
    blockers: [{ state: 'prepared', application: "it's mine" }],
  });
  expect(error.message.replace(/for \d+ s,/, 'for N s,')).toContain(
    `Blocked by the prepared transaction 'it''s mine' (${database.owner}, for N s, RowExclusiveLock on busy; ROLLBACK PREPARED or COMMIT PREPARED ends it).`,
  );
});

it('an autovacuum is waited for until Postgres ends it: one stop of deadlock_timeout, and not hours', async () => {
  const database = await freshDatabase(server);
  const scenario = scenarioOn(database);
  await scenario.query(`create table busy (id int, note text) with (autovacuum_vacuum_cost_delay = 100,
      autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 1, autovacuum_vacuum_insert_threshold = -1);
    insert into busy select i, repeat('x', 500) from generate_series(1, 30000) i;
    delete from busy where id % 2 = 0`);
  await expectEventually(
    async () =>
      (await database.adminQuery(`select from pg_stat_progress_vacuum where relid = 'busy'::regclass`))
        .length > 0,
    { withinMilliseconds: 20_000, what: 'autovacuum' },
  );
  const end = await writer(database, 1_000 + 800);
  const { outcome } = await scenario.run({ '1_alters.sql': 'alter table busy add column y int;' });
  expect(outcome).toBe('done');
  expect(scenario.events.filter(({ kind }) => kind === 'locked')).toMatchObject([
    { attempt: 1, next: 'try', blockers: [{ user: 'autovacuum', lock: 'ShareUpdateExclusiveLock' }] },
  ]);
  await end();
});
