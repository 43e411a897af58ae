import { setTimeout as sleep } from 'node:timers/promises';
import { Client as NeonClient } from '@neondatabase/serverless';
import pg from 'pg';
import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocket } from 'ws';
import { environment } from '../../../lambda/environment.ts';
import { type NeonProxy, startNeonProxy } from '../../../local/wire/neon-proxy.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type Files, freshScenario, type Scenario } from './scenario.ts';

/** Everything of ours comes by Neon's own driver over WebSocket, to a proxy that cancels when a client has gone. */
let scenario: Scenario;
let proxy: NeonProxy;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true, attachSeconds: 0 });
  proxy = await startNeonProxy({ target: scenario.database.url });
  onTestFinished(() => proxy.stop());
  vi.stubEnv(environment.neonProxy, proxy.wsProxy);
  onTestFinished(() => void vi.unstubAllEnvs());
});

/** An index over slow(x) takes a second, during which a client can go away. */
const tables: Files = {
  '1_tables.sql': `create function slow(x int) returns int immutable language plpgsql
  as 'begin perform pg_catalog.pg_sleep(0.005); return x; end';
create table busy (id int primary key, x int, seen int not null default 0);
insert into busy select i, i from generate_series(1, 200) i;`,
};
const files: Files = {
  ...tables,
  '2_index.sql': 'create index concurrently busy_slow on busy (slow(x));',
  '3_needs.sql': 'alter table busy add column y int;',
};

const BUILDING = `select 1 from pg_stat_progress_create_index
                   where datname = current_database() and phase like 'building index%'`;
const building = async () => (await scenario.query(BUILDING)).length === 1;

it('a build survives our connections, where the same statement of a client’s own is cancelled with it', async () => {
  await scenario.run(tables);
  const client = new NeonClient(scenario.database.url);
  client.neonConfig.webSocketConstructor = WebSocket;
  client.neonConfig.wsProxy = () => proxy.wsProxy;
  client.neonConfig.useSecureWebSocket = false;
  client.on('error', () => {});
  await client.connect();
  client.query('create index concurrently by_hand on busy (slow(x))').catch(() => {});
  await expectEventually(building);
  await proxy.cutAll();
  await expectEventually(async () => !(await building()));
  expect(await scenario.indexes()).toContain('by_hand INVALID');
  await scenario.query('drop index by_hand');

  await scenario.run(files);
  const loop = scenario.loop(files);
  await expectEventually(building);
  await proxy.cutAll();
  expect(await building()).toBe(true);
  expect(await loop).toEqual({ outcome: 'valid', message: '' });
  // The probe, whose turn was cut before it ended it, sleeps for 20 s: the build does not wait for its snapshot.
  const waits = scenario.events.filter((event) => event.kind === 'progress' && event.progress.blocker);
  expect(waits).toEqual([]);
  expect(await scenario.indexes()).toEqual(['busy_pkey', 'busy_slow']);
  expect(await scenario.query('select session, attempts from migrations.index_build')).toEqual([
    { session: 'loopback', attempts: 1 },
  ]);
  expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
});

it('an application continues writing while an index is built and a column added: no write fails', async () => {
  await scenario.run(tables);
  await scenario.query(`insert into migrations.session_probe values ('loopback', true, 'remembered')`);
  const writer = new pg.Client({ connectionString: scenario.database.url });
  await writer.connect();
  onTestFinished(() => writer.end());
  let writing = true;
  let whileBuilding = 0;
  let writes = 0;
  const application = (async () => {
    for (let id = 1_000; writing; id += 1) {
      await writer.query('insert into busy (id, x) values ($1, $1)', [id]);
      await writer.query('update busy set seen = seen + 1 where id = $1', [1 + (id % 200)]);
      writes += 2;
      // Each row makes the index slower to build: as many as an application writes, not as many as it could.
      await sleep(20);
      if ((await writer.query(BUILDING)).rows.length === 1) whileBuilding += 2;
    }
  })();
  const settled = await scenario.deploy(files);
  writing = false;
  await application;
  expect(settled).toEqual({ outcome: 'valid', message: '' });
  expect(whileBuilding).toBeGreaterThan(5);
  // Each write is in the table, and in the index that was built beside it.
  const count = 'select count(*)::int as rows from busy where slow(x) >= 1000';
  expect(await scenario.query(`set enable_seqscan = off; ${count}`)).toEqual([{ rows: writes / 2 }]);
  expect(await scenario.query('select sum(seen)::int as updates from busy')).toEqual([
    { updates: writes / 2 },
  ]);
});
