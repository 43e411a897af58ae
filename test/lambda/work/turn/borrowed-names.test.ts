import pg from 'pg';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import type { TurnEvent } from '../../../../lambda/work/turn/turn-request.ts';
import { operatorOf } from '../../actions/operator.ts';
import { freshScenario, largeTable, type Scenario } from '../../run/scenario.ts';
import { after, turnOf } from './building.ts';

/** Any role may call its sessions what it likes: `as` opens one, of a role that has no rights, and keeps it busy. */
let scenario: Scenario;
let as: (...names: string[]) => Promise<pg.Client[]>;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
  const { database } = scenario;
  const role = `app_${database.name}`;
  await database.adminQuery(`create role ${role} login password 'x'`);
  const clients: pg.Client[] = [];
  onTestFinished(async () => {
    await Promise.all(clients.map((client) => client.end()));
    await database.adminQuery(`drop owned by ${role}; drop role ${role}`);
  });
  as = (...names) =>
    Promise.all(
      names.map(async (application_name) => {
        const connectionString = Object.assign(new URL(database.url), { username: role, password: 'x' }).href;
        const client = new pg.Client({ connectionString, application_name });
        client.on('error', () => {});
        await client.connect();
        clients.push(client);
        await client.query('begin');
        return client;
      }),
    );
});

const table = { '1_big.sql': largeTable('big') };
const index = { ...table, '2_index.sql': 'create index concurrently big_x on big (x);' };
const work = { ...table, '2_work.sql': '-- migrate: hand-off\nanalyze big;' };

it.each([
  ['a build', index],
  ['other work', work],
])('a stranger that bears the names of %s does not pass for it', async (_, files) => {
  await scenario.run(table);
  await scenario.run(files);
  await as('migrations build 1', 'migrations supervisor 1');
  expect(await turnOf(scenario.database, {})).toMatchObject({ outcome: 'done' });
  expect(await scenario.query('select state, attempts from migrations.work')).toEqual([
    { state: 'done', attempts: 1 },
  ]);
});

it('strangers that bear the names of other ledgers’ builders take no places', async () => {
  await scenario.run(table);
  await scenario.run(index);
  await as(...[1, 2, 3, 4, 5, 6, 7, 8].map((number) => `other build ${number}`));
  expect(await turnOf(scenario.database, { maxConcurrentTables: 1 })).toMatchObject({ outcome: 'done' });
});

it('a stranger that bears the name of a supervisor is named where a build waits for it', async () => {
  await scenario.run(table);
  await scenario.database.adminQuery(`grant select on big to app_${scenario.database.name}`);
  const [reader] = await as('migrations supervisor 1');
  await reader?.query('set transaction isolation level repeatable read; select count(*) from public.big');
  await scenario.run(index);
  const events: TurnEvent[] = [];
  await turnOf(scenario.database, {
    attachSeconds: 2,
    deadline: Date.now() + 60_000,
    events,
    yields: after(1),
  });
  const blockers = events.flatMap((event) => (event.kind === 'progress' ? [event.progress.blocker] : []));
  expect(blockers.at(-1)?.application).toBe('migrations supervisor 1');
});

it('a stranger that bears a build’s name keeps nobody from cancelling it', async () => {
  await scenario.run(table);
  await scenario.run(index);
  // Who sees what others do would cancel that, and is refused.
  const { owner, adminQuery } = scenario.database;
  await adminQuery(`grant pg_read_all_stats to ${owner}`);
  const [stranger] = await as('migrations build 1');
  const sleeping = stranger?.query('select pg_sleep(3600)').catch(() => undefined);
  const operator = operatorOf(scenario);
  expect(await operator.act({ action: 'cancel', index: 'big_x' }, index)).toEqual({
    cancelled: 'big_x on public.big',
  });
  await scenario.database.adminQuery(
    `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'migrations build 1' and datname = current_database()`,
  );
  await sleeping;
});
