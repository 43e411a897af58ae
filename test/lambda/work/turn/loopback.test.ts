import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { TurnEvent } from '../../../../lambda/work/turn/turn-request.ts';
import { startNeonProxy } from '../../../../local/wire/neon-proxy.ts';
import { exhaustive } from '../../../support/exhaustive.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../../support/fresh-database.ts';
import { serverMajor } from '../../../support/server-major.ts';
import { startServer } from '../../../support/start-server.ts';
import { scenarioOn } from '../../run/scenario.ts';
import { sessionsOf, slowTable, theBuild, turnOf } from './building.ts';

let database: FreshDatabase;
beforeEach(async () => {
  database = await freshDatabase();
  await database.adminQuery('create extension dblink');
});

const slow = { '1_big.sql': slowTable({ seconds: 3 }) };
const files = { ...slow, '2_index.sql': 'create index concurrently big_slow on big (slow(x));' };
const duplicate = {
  ...slow,
  '2_index.sql': 'create unique index concurrently big_twice on big (slow(twice));',
};

/** The table, then a deploy that hands its index off. */
async function handOff(wanted: Record<string, string> = files): Promise<void> {
  const scenario = scenarioOn(database);
  await scenario.run(slow);
  await scenario.run(wanted);
  await remember(database);
}

/** The probe takes its two seconds: it is left out where it is not what is tested. */
function remember({ query }: FreshDatabase) {
  return query(`insert into migrations.session_probe values ('loopback', true, 'remembered')`);
}

const ended = () => expectEventually(async () => (await theBuild(database)).outcome !== null);

describe.each([
  ['directly', false],
  ["behind a proxy that cancels as Neon's does", true],
])('a loopback session, reached %s', (_, proxied) => {
  let url: string;
  let cancels: () => number;
  beforeEach(async () => {
    url = database.url;
    cancels = () => 0;
    if (!proxied) return;
    const proxy = await startNeonProxy({ target: database.url });
    onTestFinished(() => proxy.stop());
    url = proxy.tcpUrl;
    cancels = proxy.cancels;
  });

  it('continues building after the turn has let go and its client is gone, and ends by itself', async () => {
    await handOff();
    const { outcome } = await turnOf(database, { url, attachSeconds: 0 });
    expect(outcome).toBe('wait');
    expect(await theBuild(database)).toMatchObject({ state: 'building', session: 'loopback', outcome: null });
    // The server takes a moment to end the session of a client that is gone.
    await expectEventually(async () => !(await sessionsOf(database)).includes('cdk-postgres-migrations'));
    expect(await sessionsOf(database)).toEqual(['migrations build 1', 'migrations supervisor 1']);
    if (proxied) expect(cancels()).toBeGreaterThan(0);
    await ended();
    await expectEventually(async () => (await sessionsOf(database)).length === 0);
    expect(await turnOf(database, { url, attachSeconds: 0 })).toMatchObject({ outcome: 'done' });
    expect(await theBuild(database)).toEqual({
      state: 'done',
      session: 'loopback',
      attempts: 1,
      outcome: 'succeeded',
      fault: null,
    });
  });

  exhaustive.it(
    'reports a unique violation that struck after the turn was gone in the words of Postgres',
    async () => {
      await handOff(duplicate);
      // Duplicates that come while it builds: not those that are looked for before.
      await turnOf(database, { url, attachSeconds: 0, dataCheckSeconds: 0 });
      expect(await theBuild(database)).toMatchObject({ state: 'building', outcome: null });
      await ended();
      expect(await turnOf(database, { url, attachSeconds: 0 })).toMatchObject({ outcome: 'done' });
      const { state, attempts, fault } = await theBuild(database);
      expect({ state, attempts }).toEqual({ state: 'failed', attempts: 1 });
      expect(fault).toMatchObject({
        sqlstate: '23505',
        message: 'could not create unique index "big_twice"',
        detail: expect.stringMatching(/^Key \((?:public\.)?slow\(twice\)\)=\(\d+\) is duplicated\.$/),
      });
      expect(await scenarioOn(database).indexes()).toEqual(['big_pkey']);
    },
  );
});

exhaustive.it(
  'counts the time of a build to its own end, however much later a turn or a person looks',
  async () => {
    await handOff();
    await turnOf(database, { attachSeconds: 0 });
    await ended();
    await database.query('select pg_sleep(2)');
    const secondsOf = async () => (await scenarioOn(database).status(files)).builds[0]?.seconds ?? Infinity;
    const own = await database.query<{ seconds: number }>(
      `select extract(epoch from (attempt_outcome ->> 'endedAt')::timestamptz - first_started_at)::float8 as seconds,
            extract(epoch from clock_timestamp() - first_started_at)::float8 as until_now from migrations.index_build`,
    );
    expect(own[0]).toEqual({ seconds: expect.any(Number), until_now: expect.any(Number) });
    const { seconds = 0, until_now = 0 } = own[0] as { seconds: number; until_now?: number };
    expect(until_now - seconds).toBeGreaterThan(2);
    expect(await secondsOf()).toBe(seconds);
    const events: TurnEvent[] = [];
    await turnOf(database, { events });
    expect(
      events.flatMap((event) => (event.kind === 'ended' ? [event.build.secondsSinceFirstStart] : [])),
    ).toEqual([seconds]);
    expect(await secondsOf()).toBe(seconds);
  },
);

exhaustive.it('records a build that was cancelled, and the next turn builds it again', async () => {
  await handOff();
  await turnOf(database, { attachSeconds: 0 });
  // Between two statements there is nothing to cancel.
  await expectEventually(async () => {
    const cancelled = await database.query(
      `select pg_cancel_backend(pid) from pg_stat_activity
        where application_name = 'migrations build 1' and datname = current_database()
          and state = 'active' and query ilike 'create index%'`,
    );
    return cancelled.length === 1;
  });
  await ended();
  const [row] = await database.query(
    `select attempt_outcome #>> '{fault,sqlstate}' as sqlstate from migrations.index_build`,
  );
  expect(row).toEqual({ sqlstate: '57014' });
  expect(await scenarioOn(database).indexes()).toEqual(['big_pkey', 'big_slow INVALID']);
  expect(await turnOf(database)).toMatchObject({ outcome: 'done' });
  expect(await theBuild(database)).toMatchObject({ state: 'done', attempts: 2 });
  expect(await scenarioOn(database).indexes()).toEqual(['big_pkey', 'big_slow']);
});

exhaustive.it.each(['pg_cancel_backend', 'pg_terminate_backend'])(
  'leaves the build alone when its supervisor falls to %s, and the catalog tells the outcome',
  async (end) => {
    await handOff();
    await turnOf(database, { attachSeconds: 0 });
    // Before it has sent the build's statement, that falls with it.
    await expectEventually(async () => {
      const ended = await database.query(
        `select ${end}(supervisor.pid) from pg_stat_activity supervisor, pg_stat_activity builder
          where supervisor.application_name = 'migrations supervisor 1' and supervisor.datname = current_database()
            and builder.application_name = 'migrations build 1' and builder.datname = current_database()
            and builder.state = 'active' and builder.query ilike 'create index%'`,
      );
      return ended.length === 1;
    });
    await expectEventually(async () => !(await sessionsOf(database)).includes('migrations supervisor 1'));
    expect(await turnOf(database)).toMatchObject({ outcome: 'done' });
    expect(await theBuild(database)).toMatchObject({ state: 'done', attempts: 1, outcome: null });
  },
);

it('looks once whether it survives here, and remembers that in the ledger', async () => {
  await handOff();
  await database.query('delete from migrations.session_probe');
  await turnOf(database, { attachSeconds: 0 });
  const probes = () =>
    database.query('select kind, survives, because, probed_at from migrations.session_probe');
  const [first] = await probes();
  expect(first).toMatchObject({ kind: 'loopback', survives: true, because: 'a probe outlived its client' });
  await turnOf(database, { attachSeconds: 0 });
  expect(await probes()).toEqual([first]);
});

exhaustive.it('works for a superuser as well', async () => {
  await handOff();
  expect(await turnOf(database, { url: database.adminUrl })).toMatchObject({ outcome: 'done' });
  expect(await theBuild(database)).toMatchObject({ state: 'done', session: 'loopback' });
});

it('is not disturbed by limits that the role or the file sets', async () => {
  const server = await startServer();
  const limited = await freshDatabase(server);
  await limited.adminQuery(`create extension dblink;
    alter role ${limited.owner} set statement_timeout = '800ms';
    ${serverMajor >= 17 ? `alter role ${limited.owner} set transaction_timeout = '900ms';` : ''}
    alter role ${limited.owner} set idle_session_timeout = '700ms';
    alter role ${limited.owner} set client_connection_check_interval = '100ms'`);
  const scenario = scenarioOn(limited);
  await limited.adminQuery(slowTable({ seconds: 2 }));
  await limited.adminQuery(`alter table big owner to ${limited.owner}`);
  await scenario.run({
    '2_index.sql':
      "set lock_timeout = '10ms'; set statement_timeout = '500ms'; create index concurrently big_slow on big (slow(x));",
  });
  await remember(limited);
  expect(await turnOf(limited, { attachSeconds: 0 })).toMatchObject({ outcome: 'wait' });
  await expectEventually(async () => (await theBuild(limited)).outcome !== null);
  expect(await theBuild(limited)).toMatchObject({ outcome: 'succeeded' });
});
