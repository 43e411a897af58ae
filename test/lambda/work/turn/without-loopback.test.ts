import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { duration } from '../../../../lambda/migration/amounts.ts';
import { SessionLost } from '../../../../lambda/postgres/session/fault.ts';
import type { BuildStatus } from '../../../../lambda/status/status.ts';
import type { TurnEvent } from '../../../../lambda/work/turn/turn-request.ts';
import { buildsTable } from '../../../../local/cli/builds-table.ts';
import { Terminal } from '../../../../local/cli/terminal.ts';
import { startNeonProxy } from '../../../../local/wire/neon-proxy.ts';
import { exhaustive } from '../../../support/exhaustive.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../../support/fresh-database.ts';
import { serverMajor } from '../../../support/server-major.ts';
import { startServer } from '../../../support/start-server.ts';
import { scenarioOn } from '../../run/scenario.ts';
import { fromAnotherAddress, sessionsOf, slowTable, theBuild, turnOf } from './building.ts';

const table = { '1_big.sql': slowTable({ seconds: 5 }) };
const files = { ...table, '2_index.sql': 'create index concurrently big_slow on big (slow(x));' };
const duplicate = {
  ...table,
  '2_index.sql': 'create unique index concurrently big_twice on big (slow(twice));',
};

async function handedOff(
  database: FreshDatabase,
  wanted: Record<string, string> = files,
  url = database.url,
) {
  const scenario = scenarioOn(database, { url });
  await scenario.run(table);
  await scenario.run(wanted);
  return scenario;
}

/** A database without dblink, whose owner may not create it. */
const withoutDblink = () => freshDatabase();

const probes = (database: FreshDatabase) =>
  database.query<{ probe: string }>(
    `select kind || ' ' || case when survives then 'survives' else 'dies' end as probe from migrations.session_probe order by 1`,
  );

describe('where dblink is missing and cannot be created', () => {
  it('a stock server continues building in an orphan session after the turn is gone', async () => {
    const database = await withoutDblink();
    await handedOff(database);
    const deadline = Date.now() + 100_000;
    expect(await turnOf(database, { attachSeconds: 0, deadline })).toMatchObject({ outcome: 'wait' });
    expect(await probes(database)).toEqual([{ probe: 'orphan survives' }]);
    expect(await theBuild(database)).toMatchObject({ state: 'building', session: 'orphan', outcome: null });
    expect(await sessionsOf(database)).toEqual(['migrations build 1']);
    await expectEventually(async () => (await sessionsOf(database)).length === 0);
    expect(await turnOf(database, { deadline })).toMatchObject({ outcome: 'done' });
    expect(await theBuild(database)).toMatchObject({ state: 'done', session: 'orphan', attempts: 1 });
  });

  describe('nobody sees an orphan end, and status says', () => {
    /** Lets go of the build, and looks again once it has ended and a second has passed. */
    async function lookedAtLate(database: FreshDatabase): Promise<BuildStatus> {
      const scenario = await handedOff(database);
      const deadline = Date.now() + 100_000;
      await turnOf(database, { attachSeconds: 0, deadline });
      await expectEventually(async () => (await sessionsOf(database)).length === 0);
      await database.query('select pg_sleep(1)');
      await turnOf(database, { deadline });
      const [build] = (await scenario.status(files)).builds;
      if (build === undefined) throw new Error('there is no build');
      expect(build).toMatchObject({ state: 'done', session: 'orphan' });
      return build;
    }

    it('the two looks between which it did', async () => {
      const build = await lookedAtLate(await withoutDblink());
      const { seconds = 0, leastSeconds = 0 } = build;
      expect(leastSeconds).toBeGreaterThan(0);
      expect(seconds - leastSeconds).toBeGreaterThan(1);
      expect(stripVTControlCharacters(buildsTable([build], new Terminal({ json: false }).colors))).toContain(
        `${duration(leastSeconds)} to ${duration(seconds)}`,
      );
    });

    it('exactly when, where the server keeps the times of its transactions', async () => {
      const server = await startServer({ settings: { track_commit_timestamp: 'on' } });
      const database = await freshDatabase(server);
      const { seconds, leastSeconds } = await lookedAtLate(database);
      expect(leastSeconds).toBe(undefined);
      const [committed] = await database.query<{ seconds: number }>(
        `select extract(epoch from pg_xact_commit_timestamp(i.xmin) - first_started_at)::float8 as seconds
           from pg_index i, migrations.work where indexrelid = 'big_slow'::regclass`,
      );
      expect(seconds).toBe(committed?.seconds);
    });
  });

  it('an orphan that fails unseen is built again in sight of a turn, which then reports the fault exactly', async () => {
    const database = await withoutDblink();
    const scenario = await handedOff(database, duplicate);
    const deadline = Date.now() + 100_000;
    await turnOf(database, { attachSeconds: 0, deadline });
    await expectEventually(async () => (await sessionsOf(database)).length === 0);
    expect(await scenario.indexes()).toEqual(['big_pkey', 'big_twice INVALID']);
    await expectEventually(
      async () => (await turnOf(database, { attachSeconds: 30, deadline })).outcome === 'done',
      { withinMilliseconds: 20_000 },
    );
    const { state, attempts, fault } = await theBuild(database);
    expect({ state, attempts, sqlstate: fault?.sqlstate }).toEqual({
      state: 'failed',
      attempts: 2,
      sqlstate: '23505',
    });
    expect(await scenario.indexes()).toEqual(['big_pkey']);
  });

  it('what a build’s function says by RAISE is reported with the file, while a turn holds the build', async () => {
    const database = await withoutDblink();
    const scenario = scenarioOn(database);
    const large = {
      '1_big.sql': `create table big (x int); insert into big select generate_series(1, 200);
create function noisy(x int) returns int immutable language plpgsql as $$
begin if x in (7, 8) then raise warning 'odd: %', x using hint = 'Look.'; end if; return x; end $$;`,
    };
    const noisy = { ...large, '2_index.sql': '\ncreate index concurrently big_noisy on big (noisy(x));' };
    await scenario.run(large);
    await scenario.run(noisy);
    const events: TurnEvent[] = [];
    await turnOf(database, { events });
    expect(events.filter(({ kind }) => kind === 'notice')).toEqual(
      expect.arrayContaining(
        [7, 8].map((x) => ({
          kind: 'notice',
          file: '2_index.sql',
          line: 2,
          severity: 'WARNING',
          sqlstate: '01000',
          message: `odd: ${x}`,
          hint: 'Look.',
          context: expect.stringMatching(/^PL\/pgSQL function (?:public\.)?noisy\(integer\) line 2 at RAISE/),
        })),
      ),
    );
  });

  describe("behind a proxy that cancels as Neon's does", () => {
    const proxied = async () => {
      const database = await withoutDblink();
      const proxy = await startNeonProxy({ target: database.url });
      onTestFinished(() => proxy.stop());
      return { database, url: proxy.tcpUrl, scenario: await handedOff(database) };
    };

    it('the turn holds the build to its end, although attachSeconds is up', async () => {
      const { database, url } = await proxied();
      const deadline = Date.now() + 100_000;
      expect(await turnOf(database, { url, attachSeconds: 0, deadline })).toMatchObject({ outcome: 'done' });
      expect(await probes(database)).toEqual([{ probe: 'orphan dies' }]);
      expect(await theBuild(database)).toMatchObject({ state: 'done', session: 'attached', attempts: 1 });
    });

    it('a build that the deadline reaches is cancelled, its index dropped, and the error says how to continue', async () => {
      const { database, url, scenario } = await proxied();
      // A turn stops 30 s before its deadline.
      const deadline = Date.now() + 31_000;
      expect(await turnOf(database, { url, attachSeconds: 0, deadline })).toMatchObject({ outcome: 'done' });
      expect(await scenario.indexes()).toEqual(['big_pkey']);
      expect(await sessionsOf(database)).toEqual([]);
      const { state, attempts, fault } = await theBuild(database);
      expect({ state, attempts, fault }).toEqual({
        state: 'failed',
        attempts: 1,
        fault: {
          sqlstate: '0A000',
          message:
            'the build needs longer than one invocation, and nothing here keeps it alive without us: the extension dblink is missing and cannot be created; a probe was cancelled when its client went away',
          hint: 'Create the extension dblink (create extension dblink) and retry, or build it from the command line, which may hold its session as long as it takes: npx cdk-postgres-migrations up.',
        },
      });
    });

    it('a turn whose own session is lost lets the build’s session go: nobody would be left to end it', async () => {
      const { database, url, scenario } = await proxied();
      const lost = expect(turnOf(database, { url })).rejects.toBeInstanceOf(SessionLost);
      await expectEventually(async () => (await theBuild(database)).session === 'attached');
      await expectEventually(async () => {
        const ended = await database.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
            where application_name = 'cdk-postgres-migrations' and datname = current_database() and state = 'idle'`,
        );
        return ended.length === 1;
      });
      await lost;
      await expectEventually(async () => (await sessionsOf(database)).length === 0);
      expect(await scenario.indexes()).toEqual(['big_pkey', 'big_slow INVALID']);
      expect(await turnOf(database, { url })).toMatchObject({ outcome: 'done' });
      expect(await theBuild(database)).toMatchObject({ state: 'done', attempts: 2 });
    });

    it('a process without a deadline, as the command line, holds it as long as it takes', async () => {
      const { database, url } = await proxied();
      expect(await turnOf(database, { url, attachSeconds: 0 })).toMatchObject({ outcome: 'done' });
      expect(await probes(database)).toEqual([]);
      expect(await theBuild(database)).toMatchObject({ state: 'done', session: 'attached', attempts: 1 });
    });
  });
});

/** The reason why a build became attached is in the error that its cancellation leaves. */
async function reasonAgainstLoopback(database: FreshDatabase, url: string): Promise<string> {
  const proxy = await startNeonProxy({ target: url });
  onTestFinished(() => proxy.stop());
  await handedOff(database, files, url);
  const events: TurnEvent[] = [];
  await turnOf(database, { url: proxy.tcpUrl, attachSeconds: 0, deadline: Date.now() + 30_500, events });
  expect(events).toContainEqual(expect.objectContaining({ kind: 'started', session: 'attached' }));
  const [build] = await scenarioOn(database).query<{ message: string }>(
    `select concat(fault ->> 'message', ' ', fault ->> 'hint') as message from migrations.index_build`,
  );
  return build?.message ?? '';
}

/** Where the extension is there. */
const ADVICE = 'Let the server connect to itself by dblink';

it('a server that trusts its own address is refused by dblink, the error says so, and the build is not lost', async () => {
  const server = await startServer({ trusted: ['127.0.0.1'] });
  const database = await freshDatabase(server);
  await database.adminQuery('create extension dblink');
  const refusal =
    serverMajor >= 16 ? 'password or GSSAPI delegated credentials required' : 'password is required';
  const reason = await reasonAgainstLoopback(database, database.url);
  expect(reason).toContain(`the server cannot connect to itself: ${refusal}`);
  expect(reason).toContain(ADVICE);
});

it('a server whose pg_hba.conf refuses its own address: the error says so', async () => {
  const server = await startServer();
  const database = await freshDatabase(server);
  await database.adminQuery('create extension dblink');
  const lines = [
    `host all ${database.owner} 127.0.0.1/32 reject`,
    'host all all samehost scram-sha-256',
    'host all all 127.0.0.2/32 scram-sha-256',
    '',
  ];
  await writeFile(join(dirname(server.logFile), 'data', 'pg_hba.conf'), lines.join('\n'));
  await database.adminQuery('select pg_reload_conf()');
  const url = await fromAnotherAddress(database.url, '127.0.0.2');
  const shut = { ...database, url, query: database.adminQuery };
  const reason = await reasonAgainstLoopback(shut, url);
  expect(reason).toMatch(
    /the server cannot connect to itself: could not establish connection \(.*pg_hba.conf rejects connection/,
  );
  expect(reason).toContain(ADVICE);
});

describe('a pg_hba.conf that is reloaded, and refuses the server’s own address from then on', () => {
  /** A server that we reach from another address than its own, and what its owner hands off there. */
  const refusing = async () => {
    const server = await startServer();
    const database = await freshDatabase(server);
    await database.adminQuery('create extension dblink');
    const url = await fromAnotherAddress(database.url, '127.0.0.2');
    const rules = (own: string) =>
      writeFile(
        join(dirname(server.logFile), 'data', 'pg_hba.conf'),
        `host all ${database.owner} 127.0.0.1/32 ${own}
host all all samehost scram-sha-256
host all all 127.0.0.2/32 scram-sha-256
`,
      ).then(() => database.adminQuery('select pg_reload_conf()'));
    await rules('scram-sha-256');
    const ours = { ...database, url, query: database.adminQuery };
    await handedOff(ours, files, url);
    return { ours, refuse: () => rules('reject'), allow: () => rules('scram-sha-256') };
  };

  exhaustive.it('does not end a build that is under way, and no turn minds', async () => {
    const { ours, refuse } = await refusing();
    const deadline = Date.now() + 100_000;
    expect(await turnOf(ours, { attachSeconds: 0, deadline })).toMatchObject({ outcome: 'wait' });
    expect(await theBuild(ours)).toMatchObject({ state: 'building', session: 'loopback' });
    await refuse();
    expect(await turnOf(ours, { attachSeconds: 0, deadline })).toMatchObject({ outcome: 'wait' });
    expect(await turnOf(ours, { attachSeconds: 30, deadline })).toMatchObject({ outcome: 'done' });
    expect(await theBuild(ours)).toMatchObject({ state: 'done', session: 'loopback', attempts: 1 });
  });

  exhaustive.it(
    'has the next attempt, after one that was cancelled, run in another kind of session',
    async () => {
      const { ours, refuse } = await refusing();
      const deadline = Date.now() + 100_000;
      await turnOf(ours, { attachSeconds: 0, deadline });
      await refuse();
      await ours.adminQuery(
        `select pg_cancel_backend(pid) from pg_stat_activity where application_name = 'migrations build 1'`,
      );
      await expectEventually(async () => (await theBuild(ours)).outcome !== null);
      const events: TurnEvent[] = [];
      expect(await turnOf(ours, { deadline, events })).toMatchObject({ outcome: 'done' });
      expect(events).toContainEqual(
        expect.objectContaining({
          kind: 'started',
          session: 'attached',
          because: expect.stringContaining('pg_hba.conf rejects connection'),
        }),
      );
      expect(await theBuild(ours)).toMatchObject({ state: 'done', session: 'attached', attempts: 2 });
    },
  );

  exhaustive.it('between the supervisor’s session and the build’s costs one attempt', async () => {
    const { ours, refuse } = await refusing();
    const deadline = Date.now() + 100_000;
    await ours.adminQuery(`create function linger() returns trigger language plpgsql as
        $$ begin perform pg_catalog.pg_sleep(1.5); return new; end $$;
      create trigger linger before update on migrations.work for each row
        when (old.supervisor_pid is null and new.supervisor_pid is not null) execute function linger()`);
    const turn = turnOf(ours, { attachSeconds: 30, deadline });
    await expectEventually(async () => (await sessionsOf(ours)).includes('migrations supervisor 1'));
    await refuse();
    expect(await turn).toMatchObject({ outcome: 'done' });
    expect(await theBuild(ours)).toMatchObject({ state: 'done', session: 'attached', attempts: 2 });
    expect(await scenarioOn(ours).indexes()).toContain('big_slow');
  });
});

it('a role that may use neither dblink nor temporary tables: the error says so', async () => {
  const database = await freshDatabase();
  await database.adminQuery(`create extension dblink; revoke temporary on database ${database.name} from public;
    alter database ${database.name} owner to current_user; grant create on database ${database.name} to ${database.owner};
    grant create on schema public to ${database.owner}`);
  expect(await reasonAgainstLoopback(database, database.url)).toContain(
    'our role may not use dblink or temporary tables: permission denied to create temporary tables',
  );
});

describe('where a token for each connection stands for the password', () => {
  it('a build is in a session of ours though dblink is there, says why, and continues after the turn is gone', async () => {
    const database = await freshDatabase();
    await database.adminQuery('create extension dblink');
    await handedOff(database);
    const deadline = Date.now() + 100_000;
    const events: TurnEvent[] = [];
    let tokens = 0;
    const token = async () => {
      tokens += 1;
      return decodeURIComponent(new URL(database.url).password);
    };
    expect(await turnOf(database, { token, events, attachSeconds: 0, deadline })).toMatchObject({
      outcome: 'wait',
    });
    expect(events.find(({ kind }) => kind === 'started')).toMatchObject({
      session: 'attached',
      because: 'with IAM authentication there is no password by which the server could connect to itself',
    });
    expect(await probes(database)).toEqual([{ probe: 'orphan survives' }]);
    expect(tokens, 'the turn, the build and the probe').toBe(3);
    expect(await theBuild(database)).toMatchObject({ state: 'building', session: 'orphan' });
    await expectEventually(async () => (await sessionsOf(database)).length === 0);
    expect(await turnOf(database, { token, deadline })).toMatchObject({ outcome: 'done' });
  });
});
