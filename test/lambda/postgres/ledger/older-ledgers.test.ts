import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { performAction } from '../../../../lambda/actions/perform-action.ts';
import { planRun } from '../../../../lambda/foresight/plan-run.ts';
import { preflight } from '../../../../lambda/foresight/preflight.ts';
import { statesThatAre } from '../../../../lambda/migration/build.ts';
import { defaultOptions } from '../../../../lambda/migration/options.ts';
import {
  bringLedgerUp,
  createLedger,
  FIRST_FORMAT,
  LEDGER_FORMAT,
} from '../../../../lambda/postgres/ledger/ledger-format.ts';
import { withSession } from '../../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { keepForEarlierCode } from '../../../../lambda/run/earlier-code.ts';
import { settle } from '../../../../lambda/work/turn/settle.ts';
import { takeTurn } from '../../../../lambda/work/turn/turn.ts';
import { withTcpProxy } from '../../../../local/wire/tcp-proxy.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { compile, freshScenario, largeTable, type Scenario, SMALL_TABLE_ROWS } from '../../run/scenario.ts';

/** Those of the migrations in formats/1.sql. */
const files = {
  '1_messages.sql': largeTable('messages'),
  '2_authors.sql': `${largeTable('authors')}update authors set x = 1 where id < 3;`,
  '3_messages_x.sql': 'create index concurrently messages_x on messages (x);',
  '4_authors_x.sql': 'create unique index concurrently authors_x on authors (x);',
  '5_messages_id.sql': 'create index concurrently messages_id on messages (id desc);',
  '6_messages_pair.sql': 'create index concurrently messages_pair on messages (x, id);',
};

const older = Array.from({ length: LEDGER_FORMAT - FIRST_FORMAT }, (_, index) => FIRST_FORMAT + index);

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

/** A ledger of that format, with what the code of format 1 has written in it. */
async function ledgerOf(format: number): Promise<void> {
  await scenario.query(await readFile(join(import.meta.dirname, 'formats/1.sql'), 'utf8'));
  await scenario.query(bringLedgerUp('migrations', FIRST_FORMAT, format));
}

/** The number of the newest upgrade that the ledger has had. */
async function formatNow(): Promise<number> {
  const [row] = await scenario.query<{ format: number }>(
    `select coalesce((to_jsonb(ledger) ->> 'upgraded_to')::int, 1) as format from migrations.ledger`,
  );
  return row?.format ?? 0;
}

/** Columns, constraints, indexes and views of a schema, as Postgres writes them down. */
async function tablesOf(schema: string): Promise<string[]> {
  const rows = await scenario.query<{ line: string }>(
    `select replace(line, $1::text || '.', '') as line from (
       select format('%s.%s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                case when a.attnotnull then 'not null' else '' end, a.attidentity,
                pg_get_expr(d.adbin, d.adrelid)) as line
         from pg_class c join pg_attribute a on a.attrelid = c.oid
         left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        where c.relnamespace = $1::text::regnamespace and c.relkind in ('r', 'v') and a.attnum > 0 and not a.attisdropped
       union all
       select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
         from pg_constraint where connamespace = $1::text::regnamespace
       union all
       select indexdef from pg_indexes where schemaname = $1::text
       union all
       select format('%s %s', c.relname, pg_get_viewdef(c.oid))
         from pg_class c where c.relnamespace = $1::text::regnamespace and c.relkind = 'v'
       union all
       select format('%s %s', tgrelid::regclass, pg_get_triggerdef(t.oid)) from pg_trigger t
         join pg_class c on c.oid = t.tgrelid where c.relnamespace = $1::text::regnamespace and not tgisinternal
       union all
       select format('%s %s', c.relname, c.relacl) from pg_class c
        where c.relnamespace = $1::text::regnamespace and c.relkind in ('r', 'v')
     ) as lines order by 1`,
    [schema],
  );
  return rows.map(({ line }) => line);
}

const request = async (of: typeof files | Record<string, string> = files) => ({
  target: parseConnectionUrl(scenario.database.url, 'The URL'),
  options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS },
  migrations: await compile(of),
  deadline: undefined,
  report: () => {},
});

describe.each(older)('a ledger of format %i', (format) => {
  beforeEach(() => ledgerOf(format));

  it('becomes the same as a new one, and keeps what it says', async () => {
    await scenario.run(files);
    expect(await formatNow()).toBe(LEDGER_FORMAT);
    await scenario.query(createLedger('other', { schemaExists: false }));
    expect(await tablesOf('migrations')).toEqual(await tablesOf('other'));
    expect(await scenario.query('select format, upgraded_to from migrations.ledger')).toEqual(
      await scenario.query('select format, upgraded_to from other.ledger'),
    );
    expect((await scenario.steps()).map((line) => line.replace('failed', 'pending'))).toEqual([
      '1.0 applied',
      '2.0 applied',
      '3.0 applied',
      '4.0 pending',
      '5.0 pending',
      '6.0 pending',
    ]);
  });

  it('continues where it stopped: builds under way, those that failed, and what is new', async () => {
    const settled = await scenario.deploy({ ...files, '7_users.sql': 'create table users (id int);' });
    expect(settled.message).toMatch(
      /^authors_x on public\.authors \(4_authors_x\.sql:1\) failed before it started: could not create unique index/,
    );
    expect(await scenario.steps()).toEqual([
      '1.0 applied',
      '2.0 applied',
      '3.0 applied',
      '4.0 failed',
      '5.0 applied',
      '6.0 applied',
      '7.0 applied',
    ]);
    expect(await scenario.indexes()).toEqual([
      'authors_pkey',
      'messages_id',
      'messages_pair',
      'messages_pkey',
      'messages_x',
    ]);
  });

  it('is read by whoever only looks, and stays as it is', async () => {
    const before = await tablesOf('migrations');
    const { builds, migrations, runs } = await scenario.status(files);
    expect(builds.map(({ index, state }) => `${index} ${state}`)).toEqual([
      'messages_x done',
      'authors_x failed',
      'messages_id building',
      'messages_pair pending',
    ]);
    expect(migrations.map(({ state }) => state)).toEqual([
      'applied',
      'applied',
      'applied',
      'failed',
      'building',
      'building',
    ]);
    expect(runs).toHaveLength(7);
    const asked = await request({ ...files, '7_users.sql': 'create table users (id int);' });
    expect((await planRun(asked.target, asked)).files.map(({ file }) => file)).toEqual(['7_users.sql']);
    expect(await preflight(asked)).toEqual({ findings: [], warnings: [], unseen: [] });
    expect(
      await withSession(asked.target, (session) => settle(session, 'migrations', { rows: 'shown' })),
    ).toMatchObject({
      outcome: 'failed',
    });
    expect(await tablesOf('migrations')).toEqual(before);
    expect(await formatNow()).toBe(format);
  });

  it('is brought up by a turn, where the function is newer than the last run', async () => {
    const asked = await request();
    const table = { schema: 'public', table: 'messages' };
    expect(await takeTurn({ ...asked, table, turn: 1, pauseSeconds: () => 0 })).toMatchObject({
      outcome: 'done',
    });
    expect(await formatNow()).toBe(LEDGER_FORMAT);
    expect(await scenario.indexes()).toContain('messages_pair');
  });

  it('is brought up by an action', async () => {
    const asked = { ...(await request()), cause: { kind: 'console', actor: 'test' } as const };
    expect(await performAction({ action: 'retry' }, asked)).toEqual({
      retried: ['authors_x on public.authors'],
    });
    expect(await formatNow()).toBe(LEDGER_FORMAT);
  });

  it('is brought up by a run that fails before it applies anything, which it records', async () => {
    const error = await scenario.failure({ ...files, '1_messages.sql': 'create table changed ();' });
    expect(error.code).toBe('drift');
    expect(await formatNow()).toBe(LEDGER_FORMAT);
    expect((await scenario.status(files)).lastRun).toMatchObject({ outcome: 'failed' });
  });

  it('is brought up by an Update back to earlier code, which is recorded', async () => {
    const { '6_messages_pair.sql': _, '5_messages_id.sql': __, ...earlier } = files;
    const checksum = (await compile(earlier)).checksum;
    await scenario.query(
      `update migrations.run set summary = summary || jsonb_build_object('checksum', $1::text)
        where started_at = (select max(started_at) from migrations.run where summary -> 'applied' ? '4_authors_x')`,
      [checksum],
    );
    const asked = { ...(await request(earlier)), cause: { kind: 'cloudformation', actor: 'test' } as const };
    expect(await keepForEarlierCode(asked)).toMatch(/^[0-9a-f-]{36}$/);
    expect(await formatNow()).toBe(LEDGER_FORMAT);
  });

  it('is brought up once by runs that come at the same time', async () => {
    const outcomes = await Promise.all([scenario.run(files), scenario.run(files), scenario.run(files)]);
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['done', 'done', 'done']);
    expect(await formatNow()).toBe(LEDGER_FORMAT);
  });
});

/** Formats that have the builds in a table of their own, which their supervisors keep writing by that name. */
const withIndexBuilds = older.filter((format) => format < 7);

describe.each(withIndexBuilds)('a ledger of format %i is brought up in the middle of a build', (format) => {
  /** Sessions as an older turn left them: a supervisor, which holds the build session; the turn itself is gone. */
  async function buildUnderWay(): Promise<void> {
    await scenario.query(
      `update migrations.index_build set supervisor_pid = null, builder_pid = null, started_at = clock_timestamp()
        where index_name = 'messages_id'`,
    );
    await scenario.query(await readFile(join(import.meta.dirname, 'formats/1.supervisor.sql'), 'utf8'));
    const { hostname, port, username, password, pathname } = new URL(scenario.database.url);
    const connection = `host=${hostname} port=${port} user=${username} password=${password} dbname=${pathname.slice(1)} application_name='migrations build 3'`;
    const supervisor = new pg.Client({
      connectionString: scenario.database.url,
      application_name: 'migrations supervisor 3',
    });
    await supervisor.connect();
    onTestFinished(() => supervisor.end());
    await supervisor.query("select set_config('migrations.loopback', $1, false)", [connection]);
    const supervised = supervisor.query(
      "call migrations.supervise_build(3, 1, array['set lock_timeout = 0', 'set statement_timeout = 0'])",
    );
    onTestFinished(() => supervised.then(() => undefined));
  }

  const seenIndex = async () => {
    const [row] = await scenario.query<{ oid: number; valid: boolean }>(
      `select indexrelid::int as oid, indisvalid as valid from pg_index where indexrelid = to_regclass('messages_id')`,
    );
    return row;
  };

  it('which continues in its session and ends valid, and its row is right', async () => {
    await ledgerOf(format);
    const writer = new pg.Client({ connectionString: scenario.database.url });
    await writer.connect();
    onTestFinished(() => writer.end());
    // The build waits for its end.
    await writer.query('begin; update messages set x = x where id = 1');
    await buildUnderWay();
    await expectEventually(async () => (await seenIndex())?.valid === false, {
      what: 'the build to be under way',
    });
    const before = await seenIndex();

    const more = { ...files, '7_users.sql': 'create table users (id int);' };
    await scenario.run(more);
    expect(await formatNow()).toBe(LEDGER_FORMAT);
    expect((await scenario.status(more)).builds).toContainEqual(
      expect.objectContaining({ index: 'messages_id', state: 'building', attempts: 1 }),
    );
    const asked = await request(more);
    const table = { schema: 'public', table: 'messages' };
    const options = { ...asked.options, attachSeconds: 0 };
    expect(await takeTurn({ ...asked, options, table, turn: 1 })).toMatchObject({ outcome: 'wait' });

    await writer.query('commit');
    await scenario.loop(more);
    expect(await seenIndex()).toEqual({ oid: before?.oid, valid: true });
    expect(
      await scenario.query(
        `select state, attempts, attempt_outcome ->> 'kind' as outcome, fault, finished_at is not null as finished
           from migrations.work where index_name = 'messages_id'`,
      ),
    ).toEqual([{ state: 'done', attempts: 1, outcome: 'succeeded', fault: null, finished: true }]);
    expect(await scenario.steps()).toContain('5.0 applied');
  });
});

describe('while an older ledger', () => {
  /** A session that continues reading a table, as a dump does. */
  async function reader(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: scenario.database.url,
      application_name: 'nightly dump',
    });
    await client.connect();
    onTestFinished(() => client.end());
    await client.query('begin; lock table migrations.ledger, migrations.step in access share mode');
    return client;
  }

  it('is in use, a run names who uses it, and continues once the reader is through', async () => {
    await ledgerOf(FIRST_FORMAT);
    const dump = await reader();
    const error = await scenario.failure(files, { deadline: Date.now() + 1_500 });
    expect(error.message).toMatch(
      new RegExp(
        [
          `^The ledger in schema 'migrations' could not be upgraded to format ${LEDGER_FORMAT}, since its tables are in use: pid \\d+ \\(.*"nightly dump".*\\)\\.`,
          'Postgres: canceling statement due to lock timeout \\(SQLSTATE 55P03\\)',
          'Applied: nothing by this run; the ledger is as it was\\.',
          'Next: let what uses them end \\(a dump, a report\\), then run again\\.$',
        ].join('\\n'),
      ),
    );
    expect(await formatNow()).toBe(FIRST_FORMAT);
    const run = scenario.run(files);
    setTimeout(() => void dump.query('commit'), 1_500);
    expect((await run).outcome).toBe('done');
  });

  it('is in use, a turn comes again', async () => {
    await ledgerOf(FIRST_FORMAT);
    await reader();
    const asked = await request();
    const table = { schema: 'public', table: 'messages' };
    expect(await takeTurn({ ...asked, table, turn: 1 })).toEqual({
      outcome: 'wait',
      waitSeconds: expect.any(Number),
      turn: 1,
    });
  });
});

it('a ledger in a schema that has to be quoted is brought up like any other', async () => {
  await scenario.query(`create schema "Ops ""Ledger"""; ${bringLedgerUp('Ops "Ledger"', 0, FIRST_FORMAT)}`);
  const options = { ledgerSchema: 'Ops "Ledger"' };
  expect((await scenario.run({ '1_a.sql': 'create table a ();' }, options)).outcome).toBe('done');
  expect(await scenario.query('select upgraded_to from "Ops ""Ledger""".ledger')).toEqual([
    { upgraded_to: LEDGER_FORMAT },
  ]);
});

it('a ledger of a role that ours is no member of is neither brought up nor written, and the error says why', async () => {
  await ledgerOf(FIRST_FORMAT);
  const role = `other_${scenario.database.name}`;
  await scenario.database.adminQuery(
    `create role ${role} login password 'pw'; grant usage on schema migrations to ${role};
     grant all on all tables in schema migrations to ${role}`,
  );
  onTestFinished(async () => {
    await scenario.database.adminQuery(`drop owned by ${role}; drop role ${role}`);
  });
  const url = new URL(scenario.database.url);
  url.username = role;
  url.password = 'pw';
  const error = await scenario.failure(files, { url: url.href });
  expect(error.message).toBe(
    [
      `The ledger's schema 'migrations', or the ledger in it, belongs to ${scenario.database.owner}, and ${role} is not a member of that role. Whoever owns it could have ${role} execute anything.`,
      'Applied: nothing by this run.',
      `Next: if ${scenario.database.owner} may, make ${role} a member (grant "${scenario.database.owner}" to "${role}"); or give the schema and its tables to ${role} (alter schema "migrations" owner to "${role}"; alter table … owner to …); or give another ledger schema; then run again.`,
    ].join('\n'),
  );
});

describe('a ledger that newer code has brought up', () => {
  it('is used by this code, as after a rollback', async () => {
    await scenario.run({ '1_a.sql': 'create table a ();' });
    await scenario.query(
      `update migrations.ledger set upgraded_to = 99;
       alter table migrations.step add column added text not null default 'newer';
       alter table migrations.ledger add column added int`,
    );
    const both = { '1_a.sql': 'create table a ();', '2_b.sql': 'create table b ();' };
    expect((await scenario.status(both)).migrations.map(({ state }) => state)).toEqual([
      'applied',
      'pending',
    ]);
    expect((await scenario.run(both)).outcome).toBe('done');
    expect(await formatNow()).toBe(99);
  });

  it('is used by the code of format 1: its questions have answers, and its loop continues', async () => {
    await ledgerOf(LEDGER_FORMAT);
    const queries = await readFile(join(import.meta.dirname, 'formats/1.queries.sql'), 'utf8');
    await scenario.query(queries);
    const [row] = await scenario.query<{ format: number }>('select format from migrations.ledger');
    expect(row?.format).toBe(FIRST_FORMAT);
    expect(await scenario.steps()).toContain('5.0 applied');
  });
});

it('an upgrade costs a run no round trip once it is made', async () => {
  await ledgerOf(FIRST_FORMAT);
  await scenario.deploy(files);
  const idle = { ...files };
  await scenario.query(
    "update migrations.index_build set state = 'done'; update migrations.step set state = 'applied'",
  );
  await withTcpProxy({ target: scenario.database.url }, async (proxy) => {
    expect((await scenario.run(idle, { url: proxy.url })).outcome).toBe('done');
    expect(proxy.traffic.roundTrips).toBeLessThanOrEqual(5);
  });
});

it('the index of unfinished work answers who is open, in whatever state that is', async () => {
  await ledgerOf(LEDGER_FORMAT);
  const client = new pg.Client({ connectionString: scenario.database.url });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query('set enable_seqscan = off');
  for (const states of [statesThatAre('open'), ['a state of newer code']]) {
    const list = states.map((state) => `'${state}'`).join(', ');
    const { rows } = await client.query(`explain select id from migrations.work where state in (${list})`);
    expect(JSON.stringify(rows)).toContain('work_unfinished');
  }
});
