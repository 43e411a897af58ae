import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import type { EmbeddedPostgresOptions } from '../../../../local/postgres/embedded-postgres.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../../support/fresh-database.ts';
import { queryOnce } from '../../../support/query-once.ts';
import { startServer } from '../../../support/start-server.ts';
import { startReplica } from '../../../support/streaming-replica.ts';
import { type Scenario, scenarioOn } from '../../run/scenario.ts';

// Several wait for what a server says of itself after seconds.
vi.setConfig({ testTimeout: 240_000 });

const ROWS = 5_000;
const files = { '1_fill.sql': '-- migrate: backfill batch 5ms\nupdate t set n = n + 1;' };

/** What the telemetry has printed. */
const printed: string[] = [];
beforeEach(() => {
  vi.stubEnv('POWERTOOLS_DEV', 'true');
  vi.stubEnv('POWERTOOLS_METRICS_DISABLED', 'false');
  printed.length = 0;
  for (const method of ['log', 'info', 'warn'] as const)
    vi.spyOn(console, method).mockImplementation((line) => void printed.push(String(line)));
  onTestFinished(() => {
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
  });
});

async function filled(database: FreshDatabase): Promise<Scenario> {
  const scenario = scenarioOn(database);
  await database.query(
    `create table t (id int primary key, n int, note text default repeat('x', 100)); insert into t select g, g from generate_series(1, ${ROWS}) g; analyze t`,
  );
  await database.adminQuery(`grant pg_monitor to ${database.owner}`);
  await scenario.run(files);
  return scenario;
}

async function onServerWith(settings: NonNullable<EmbeddedPostgresOptions['settings']>) {
  const server = await startServer({ settings });
  return { server, scenario: await filled(await freshDatabase(server)) };
}

/** Lets the backfill run into what is prepared, sees that it says why it rests, ends that, and sees it through. */
async function rests(scenario: Scenario, reason: string, relieve: () => Promise<unknown>): Promise<string> {
  const { report } = await import('../../../../lambda/aws/telemetry.ts');
  const filling = scenario.loop(files);
  const over = filling.then(() => 'over');
  const paused = expectEventually(
    async () => {
      const { progress } = (await scenario.status(files)).builds[0] ?? {};
      return progress?.fill?.pause?.startsWith(`${reason}:`) ? progress.fill.pause : undefined;
    },
    { withinMilliseconds: 120_000, what: `a pause because of ${reason}` },
  );
  const why = await Promise.race([paused, over]);
  await relieve();
  expect(await filling).toEqual({ outcome: 'valid', message: '' });
  expect(await scenario.query('select count(*)::int as wrong from t where n <> id + 1')).toEqual([
    { wrong: 0 },
  ]);
  // The log and the metrics, of what the turn has told.
  for (const event of scenario.events) report(event);
  const lines = printed.flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  const told = lines.filter(({ message, fill }) => message === 'progress' && fill?.pause?.startsWith(reason));
  expect(told.length).toBeGreaterThan(0);
  const measured = lines.filter((line) => line.BuildResting === 1 && line.reason === reason);
  expect(measured.length).toBeGreaterThan(0);
  return why;
}

it('a backfill rests while a replica lags behind', async () => {
  const server = await startServer();
  const replica = await startReplica(server);
  const scenario = await filled(await freshDatabase(server));
  await queryOnce(replica, 'select pg_wal_replay_pause()');
  await expectEventually(
    async () => {
      await scenario.query('create table if not exists traffic (x int); insert into traffic values (1)');
      const [lag] = await queryOnce(
        server.url,
        "select from pg_stat_replication where replay_lag > interval '11 s'",
      );
      return lag !== undefined;
    },
    { withinMilliseconds: 60_000, everyMilliseconds: 250, what: 'a lag of eleven seconds' },
  );
  const why = await rests(scenario, 'replica lag', () => queryOnce(replica, 'select pg_wal_replay_resume()'));
  expect(why).toMatch(/^replica lag: a replica is \d+ s behind$/);
});

it('… while a replica says nothing at all', async () => {
  const server = await startServer();
  const replica = await startReplica(server);
  const scenario = await filled(await freshDatabase(server));
  const [receiver] = await queryOnce<{ pid: number }>(replica, 'select pid from pg_stat_wal_receiver');
  const pid = receiver?.pid ?? 0;
  process.kill(pid, 'SIGSTOP');
  onTestFinished(() => void process.kill(pid, 'SIGCONT'));
  await scenario.query('create table traffic (x int)');
  await expectEventually(
    async () => {
      const [silent] = await queryOnce(
        server.url,
        "select from pg_stat_replication where reply_time < clock_timestamp() - interval '21 s'",
      );
      return silent !== undefined;
    },
    { withinMilliseconds: 60_000, everyMilliseconds: 250, what: 'a silence of twenty seconds' },
  );
  await rests(scenario, 'replica lag', async () => process.kill(pid, 'SIGCONT'));
});

it('… while WAL piles up behind a slot', async () => {
  const { server, scenario } = await onServerWith({ max_wal_size: '32MB', min_wal_size: '32MB' });
  await queryOnce(server.url, "select pg_create_physical_replication_slot('held', true)");
  await expectEventually(async () => {
    await queryOnce(
      server.url,
      'create table if not exists w (x int); insert into w values (1); select pg_switch_wal(); checkpoint',
    );
    const [slot] = await queryOnce(
      server.url,
      "select from pg_replication_slots where wal_status = 'extended'",
    );
    return slot !== undefined;
  });
  const why = await rests(scenario, 'WAL behind a slot', () =>
    queryOnce(server.url, "select pg_drop_replication_slot('held')"),
  );
  expect(why).toBe('WAL behind a slot: it piles up behind the replication slot held');
});

it('… while autovacuum works on the table to prevent wraparound', async () => {
  const { server, scenario } = await onServerWith({
    autovacuum_freeze_max_age: 100_000,
    autovacuum_naptime: '1s',
    synchronous_commit: 'off',
  });
  await scenario.query(
    'alter table t set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)',
  );
  await scenario.query(
    `create procedure burn() language plpgsql as 'begin for i in 1..110000 loop perform pg_current_xact_id(); commit; end loop; end'`,
  );
  await scenario.query('call burn()');
  await expectEventually(
    async () => {
      const [vacuum] = await queryOnce(
        scenario.database.adminUrl,
        "select from pg_stat_activity where query like '%public.t (to prevent wraparound)'",
      );
      return vacuum !== undefined;
    },
    { withinMilliseconds: 60_000, what: 'an autovacuum to prevent wraparound' },
  );
  const why = await rests(scenario, 'wraparound', async () => {
    // From its next page on it works at full speed.
    await scenario.query('alter table t set (autovacuum_vacuum_cost_delay = 0)');
    await queryOnce(
      server.url,
      "select pg_terminate_backend(pid) from pg_stat_activity where query like '%(to prevent wraparound)'",
    );
  });
  expect(why).toBe('wraparound: autovacuum works on the table to prevent it');
});

it('… after a batch for whose locks another session has waited', async () => {
  const database = await freshDatabase();
  const scenario = await filled(database);
  await scenario.query(
    "create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.0002); return new; end'; create trigger slow before update on t for each row execute function slow()",
  );
  const other = new pg.Client({ connectionString: database.url });
  await other.connect();
  let over = false;
  const locking = (async () => {
    while (!over) {
      await other.query('begin; lock table t in share mode; commit');
      await sleep(5);
    }
  })();
  await rests(scenario, 'waiting session', async () => {
    over = true;
    await locking;
    await other.end();
  });
});

it('… while another session has rows of the batch locked, however long that takes', async () => {
  const database = await freshDatabase();
  const scenario = await filled(database);
  const other = new pg.Client({ connectionString: database.url });
  await other.connect();
  await other.query('begin; select from t where id = 2345 for update');
  const why = await rests(scenario, 'locked rows', () => other.end());
  expect(why).toBe('locked rows: another session has rows of the batch locked');
});

it('… after a batch that took too long', async () => {
  const scenario = await filled(await freshDatabase());
  await scenario.query(
    "create table slowness (seconds float8); insert into slowness values (1); create function slow() returns trigger language plpgsql as 'begin perform pg_sleep((select seconds from slowness)); return new; end'; create trigger slow before update on t for each row execute function slow()",
  );
  const why = await rests(scenario, 'failed batch', () => scenario.query('update slowness set seconds = 0'));
  expect(why).toBe('failed batch: the server ended the statement (SQLSTATE 57014)');
});
