import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { parseAction } from '../../../lambda/actions/action.ts';
import { performAction } from '../../../lambda/actions/perform-action.ts';
import { planRun } from '../../../lambda/foresight/plan-run.ts';
import { preflight } from '../../../lambda/foresight/preflight.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { withSession } from '../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { keepForEarlierCode } from '../../../lambda/run/earlier-code.ts';
import { deployProgress } from '../../../lambda/status/deploy-progress.ts';
import { findByHand } from '../../../local/cli/by-hand.ts';
import { startNeonProxy } from '../../../local/wire/neon-proxy.ts';
import { createDatabase, type FreshDatabase } from '../../support/fresh-database.ts';
import { type HostileObjects, putHostileObjects } from '../../support/hostile-objects.ts';
import { queryOnce } from '../../support/query-once.ts';
import { compile, type Files, SMALL_TABLE_ROWS, scenarioOn } from './scenario.ts';

interface Hostile {
  readonly database: FreshDatabase;
  readonly objects: HostileObjects;
}

interface Variant {
  /** Where another role has put its objects, and by which search path they are found. */
  readonly found: string;
  readonly schemas: (owner: string) => readonly string[];
  /** Of our role; absent for the default. */
  readonly searchPath?: string;
  readonly sessions: 'loopback' | 'orphan' | 'attached';
}

/** A database of which another role has made a trap: it may create objects in `public`, and schemas. */
async function trap({ schemas, searchPath, sessions }: Variant): Promise<Hostile> {
  const database = await createDatabase();
  const role = database.owner.replace('owner', 'evil');
  onTestFinished(async () => {
    await database.drop();
    const server = new URL(database.adminUrl);
    server.pathname = '/postgres';
    await queryOnce(server.href, `drop role ${role}`);
  });
  const names = schemas(database.owner);
  await database.adminQuery(`create role ${role};
grant create on schema public to ${role}; grant create on database ${database.name} to ${role}`);
  if (sessions === 'loopback') await database.adminQuery('create extension dblink with schema public');
  for (const name of names.filter((each) => each !== 'public'))
    await database.adminQuery(`set role ${role}; create schema ${name}`);
  const objects = await putHostileObjects(database, {
    role,
    schemas: names,
    typesAndRelations: searchPath !== undefined,
  });
  if (searchPath !== undefined)
    await database.adminQuery(`alter role ${database.owner} set search_path = ${searchPath}`);
  return { database, objects };
}

/** A trap has some 50,000 objects. */
const PATIENCE_MILLISECONDS = 400_000;

const VARIANTS: readonly Variant[] = [
  {
    found: 'in public and in a schema of our role’s name',
    schemas: (owner) => ['public', owner],
    sessions: 'loopback',
  },
  ...(['loopback', 'orphan', 'attached'] as const).map(
    (sessions): Variant => ({
      found: 'before pg_catalog in the search path',
      schemas: () => ['hostile'],
      searchPath: 'hostile, pg_catalog',
      sessions,
    }),
  ),
];

/** Every name with its schema, and no function and no operator: what is found in the trap is found by us. */
const tables: Files = {
  '1_tables.sql': `create table public.big (id int primary key, x int, owner int);
insert into public.big select i, i, i from pg_catalog.generate_series(1, 300) i;
create index big_old on public.big (x);
create table public.small (id int primary key, x int, y int);
insert into public.small values (1, 1, 1), (2, 1, null);
create table public.parted (id int, x int) partition by range (id);
create table public.parted_a partition of public.parted for values from (0) to (1000);
create table public.parted_b partition of public.parted for values from (1000) to (2000);
insert into public.parted select i, i from pg_catalog.generate_series(1, 1500) i;
create table public.other (a int, b int, primary key (a, b));
create type public.mood as enum ('glad');
create domain public.whole as int;
alter domain public.whole add constraint there check (value is not null) not valid;
create function public.slow(x int) returns int immutable language plpgsql
  as 'begin perform pg_catalog.pg_sleep(0.01); return x; end';`,
  '1_tables.down.sql':
    'drop table public.parted; drop table public.other; drop table public.small; drop table public.big; drop domain public.whole; drop type public.mood; drop function public.slow;',
};
const steps: Files = {
  ...tables,
  '2_settings.sql': `set search_path = hostile, public, pg_catalog;
set statement_timeout = '10min';
create table public.later (id int);
create index concurrently later_id on public.later (id);
create index concurrently big_settings on public.big (owner);`,
  '2_settings.down.sql': `set search_path = hostile, public, pg_catalog;
drop index concurrently public.big_settings;
create index concurrently big_undone on public.big (owner);
vacuum public.big;
drop index public.big_undone;
drop table public.later;`,
  '3_alone.sql': `vacuum public.small;
alter type public.mood add value 'calm';
do $$ begin commit; end $$;`,
  '3_alone.down.sql': 'vacuum public.small;',
};
const builds: Files = {
  ...steps,
  '4_indexes.sql': `create index concurrently small_x on public.small (x);
create index concurrently big_x on public.big (public.slow(x));
create unique index concurrently big_u on public.big (id);
create index concurrently parted_x on public.parted (x);
drop index concurrently public.big_old;
reindex index concurrently public.big_pkey;
reindex table concurrently public.big;`,
  '4_indexes.down.sql':
    'drop index public.parted_x; drop index concurrently public.big_u; drop index concurrently public.big_x;',
  '5_waits.sql': `alter table public.big add column z int;
-- migrate: backfill
update public.big set z = 0 where z is null;
alter table public.big add constraint big_z check (z is not null) not valid;
alter table public.big validate constraint big_z;
alter table public.big add constraint big_parent foreign key (x) references public.big not valid;
alter table public.big validate constraint big_parent;
create materialized view public.copy as select id, x from public.big;
alter domain public.whole validate constraint there;
alter table public.parted detach partition public.parted_b concurrently;`,
  '6_refresh.sql': 'refresh materialized view public.copy;',
  '6_refresh.down.sql': 'drop materialized view public.copy; drop table public.parted_b;',
  '5_waits.down.sql':
    'alter table public.big drop constraint big_parent; alter table public.big drop column z;',
};
/** Each is refused for its data. */
const refused: readonly string[] = [
  'alter table public.small alter column y set not null;',
  'alter table public.small add constraint small_y check (y is not null);',
  'create unique index on public.small (x);',
  'alter table public.small add constraint small_fk foreign key (x, id) references public.other (b, a);',
];

async function wholeStory({ database }: Hostile, sessions: Variant['sessions']): Promise<void> {
  const { url } = await way(database, sessions);
  const scenario = scenarioOn(database, {
    url,
    lockBudgetSeconds: 1,
    lockTimeoutSeconds: 0.3,
    // It lets go of a build soon, where it may.
    ...(sessions === 'attached' ? {} : { attachSeconds: 1 }),
  });
  const target = parseConnectionUrl(url, 'The URL');
  const request = async (files: Files) => ({
    migrations: await compile(files),
    target,
    options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS },
    cause: { kind: 'console', actor: 'anna' } as const,
    deadline: undefined,
    report: () => undefined,
  });
  /** All that writes nothing. */
  const look = async (files: Files) => {
    const asked = await request(files);
    await planRun(target, asked);
    await preflight(asked);
    await scenario.status(files);
    await deployProgress(target, asked).catch(() => undefined);
    await withSession(target, (session) => findByHand(session, asked));
  };
  const act = async (event: object, files: Files) => {
    const action = parseAction({ by: 'anna', ...event });
    return performAction(action as Parameters<typeof performAction>[0], await request(files));
  };
  const sessionsOfBuilds = () =>
    database.adminQuery(`select distinct session from migrations.work where session is not null`);

  for (const files of [tables, steps, builds]) {
    await look(files);
    await scenario.run(files);
    await look(files);
    // A process that has no end holds a build to its end.
    const until = sessions === 'orphan' ? { deadline: Date.now() + 100_000 } : {};
    expect(await scenario.loop(files, until)).toEqual({ outcome: 'valid', message: '' });
  }
  expect(await sessionsOfBuilds()).toContainEqual({ session: sessions });
  expect(await keepForEarlierCode(await request(steps))).toBeDefined();

  // What is refused, waits, or is called off.
  for (const sql of refused) {
    await look({ ...builds, '7_refused.sql': sql });
    expect((await scenario.failure({ ...builds, '7_refused.sql': sql })).message).toContain(
      '7_refused.sql:1',
    );
  }
  const other = new pg.Client({ connectionString: database.adminUrl, application_name: 'test' });
  other.on('error', () => undefined);
  await other.connect();
  onTestFinished(() => other.end());
  const locked = { ...builds, '7_locked.sql': 'alter table public.small add column z int;' };
  await other.query('begin; lock table public.small in access exclusive mode');
  expect((await scenario.failure(locked)).message).toContain('AccessExclusiveLock on small');
  await other.query('rollback');
  await other.query("select pg_advisory_lock(1836279411, hashtext('migrations'))");
  const late = await scenario.failure(locked, { deadline: Date.now() + 1_000 });
  expect(late.message).toMatch(/Another run holds the run lock \(pid \d+\)/);
  await other.query('select pg_advisory_unlock_all()');
  const signal = AbortSignal.timeout(1_000);
  const slow = { ...builds, '7_slow.sql': 'select pg_catalog.pg_sleep(30);' };
  await expect(scenario.run(slow, { signal })).rejects.toThrow();

  // A unique index that fails: found before it is built, and by the build itself.
  await database.adminQuery('update public.big set owner = 1 where id < 10');
  const duplicate = {
    ...builds,
    '7_duplicate.sql': 'create unique index concurrently big_owner on public.big (owner);',
  };
  await scenario.run(duplicate);
  expect((await scenario.loop(duplicate)).message).toContain('23505');
  expect(await act({ action: 'retry', index: 'big_owner' }, duplicate)).toMatchObject({});
  expect((await scenario.loop(duplicate, { dataCheckSeconds: 0 })).message).toContain('23505');
  await act({ action: 'retry' }, duplicate);
  await act({ action: 'cancel', index: 'big_owner' }, duplicate);
  await look(duplicate);
  await act({ action: 'repair', version: '7', forget: true, confirm: true }, builds);

  const baselined = { ...builds, '8_known.sql': 'select 1;', '8_known.down.sql': 'select 2;' };
  await act({ action: 'baseline', version: '8', confirm: true }, baselined);
  const edited = { ...baselined, '8_known.sql': 'select 3;' };
  await act({ action: 'repair', version: '8', accept: 'checksum', confirm: true }, edited);
  await database.adminQuery("update migrations.step set state = 'started' where version = '3' and step = 2");
  await act({ action: 'repair', version: '3', step: 3, as: 'applied', confirm: true }, edited);
  await act({ action: 'undo', to: '2', confirm: true }, edited);
  // As an undo that died left it: its index stands, and nobody wrote that down.
  await database.adminQuery(`insert into migrations.undo_progress values ('2', 2, true);
create index big_undone on public.big (owner)`);
  await act({ action: 'undo', to: '0', confirm: true }, edited);
  expect(await database.adminQuery('select version from migrations.step')).toEqual([]);
}

/** By which way our sessions come, so that a build has the wanted kind of session. */
async function way(database: FreshDatabase, sessions: Variant['sessions']): Promise<{ url: string }> {
  if (sessions !== 'attached') return database;
  const proxy = await startNeonProxy({ target: database.url });
  onTestFinished(() => proxy.stop());
  return { url: proxy.tcpUrl };
}

const USED: readonly (readonly string[])[] = [
  [
    'select 1.5::float8 * 1.3',
    // Postgres first takes a literal for the type of the other side.
    `select '{"1": 2}'::jsonb ->> '1'`,
    "select from pg_catalog.pg_class where oid = pg_catalog.to_regclass('pg_catalog.pg_class')",
    "select pg_catalog.array_agg(x) from unnest(array['a']::text[]) as x",
  ],
  [
    'select 1 = 1',
    "select from pg_catalog.pg_class where relname in ('pg_class', 'b')",
    'select nullif(1, 2), 1 is distinct from 2, case 1 when 2 then 3 end',
    'select count(*)',
    "select 'a'::text",
    'select from pg_class',
  ],
];

it.each(VARIANTS.slice(0, 2).map((variant, at) => ({ variant, questions: USED[at] ?? [] })))(
  'what is used of the trap $variant.found is seen',
  async ({ variant, questions }) => {
    const { database, objects } = await trap(variant);
    for (const question of questions) {
      const before = (await objects.used()).length;
      await withSession(parseConnectionUrl(database.url, 'The URL'), (session) => session.execute(question), {
        applicationName: `asks ${question}`,
      });
      expect([question, (await objects.used()).length > before]).toEqual([question, true]);
    }
  },
  PATIENCE_MILLISECONDS,
);

it.each(VARIANTS)(
  'nothing that another role has put $found is used in a whole deploy, builds in $sessions sessions',
  async (variant) => {
    const hostile = await trap(variant);
    await wholeStory(hostile, variant.sessions);
    expect(await hostile.objects.used()).toEqual([]);
  },
  PATIENCE_MILLISECONDS,
);

it("nor where another tool's history is adopted, and written on", async () => {
  const { database, objects } = await trap({
    found: 'before pg_catalog in the search path',
    schemas: () => ['hostile'],
    searchPath: 'hostile, pg_catalog, public',
    sessions: 'loopback',
  });
  await database.adminQuery(`set role ${database.owner}; set search_path = public;
create table _prisma_migrations (id varchar(36) primary key, checksum varchar(64) not null, finished_at timestamptz,
  migration_name varchar(255) not null, logs text, rolled_back_at timestamptz,
  started_at timestamptz not null default now(), applied_steps_count int not null default 0);
insert into _prisma_migrations values ('0', 'x', null, '20240102_b', 'an error', null, now(), 0)`);
  const files = {
    'migration_lock.toml': 'provider = "postgresql"\n',
    '20240101_a/migration.sql': 'create table public.a (id int);\n',
    '20240103_c/migration.sql': 'create table public.c (id int);\n',
    '20240103_c/down.sql': 'drop table public.c;\n',
  };
  const scenario = scenarioOn(database);
  await scenario.run(files);
  await performAction(parseAction({ action: 'undo', to: '20240101_a', confirm: true, by: 'anna' }) as never, {
    migrations: await compile(files),
    target: parseConnectionUrl(database.url, 'The URL'),
    options: defaultOptions,
    cause: { kind: 'console', actor: 'anna' },
    deadline: undefined,
    report: () => undefined,
  });
  expect(
    await database.adminQuery(
      'select migration_name as name, rolled_back_at is not null as back from public._prisma_migrations order by 1',
    ),
  ).toEqual([
    { name: '20240101_a', back: false },
    { name: '20240102_b', back: false },
    { name: '20240103_c', back: true },
  ]);
  expect(await objects.used()).toEqual([]);
}, 120_000);
