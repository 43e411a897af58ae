import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { queryOnce } from '../../support/query-once.ts';
import { serverMajor } from '../../support/server-major.ts';
import { scenarioOn } from './scenario.ts';

/** The SQL of docs/security.md, block by block. */
const blocks = [
  ...readFileSync(join(import.meta.dirname, '../../../docs/security.md'), 'utf8').matchAll(
    /```sql\n(?<sql>[\s\S]*?)```/g,
  ),
].map(({ groups }) => groups?.sql ?? '');
const [script = '', managed = ''] = blocks.map(asServerHasIt);
const moved = blocks.find((sql) => sql.includes('set schema migrations')) ?? '';

/** Before PostgreSQL 16 a role inherits all that it is a member of, or nothing: no grant says so for itself. */
function asServerHasIt(sql: string): string {
  return serverMajor < 16 ? sql.replaceAll(' with inherit true', '') : sql;
}

const tables = (begin: string) => ({
  '1_tables.sql': `${begin}create table public.large (id int primary key, x int);
insert into public.large select i, i from generate_series(1, 500) i;`,
});
const files = (begin: string) => ({
  ...tables(begin),
  '2_index.sql': `${begin}create index concurrently large_x on public.large (x);`,
  '3_there.sql': `${begin}create index concurrently large_some on public.large (id) where x in (1, 2);`,
  '4_more.sql': `${begin}alter table public.large add constraint positive check (x > 0) not valid;
alter table public.large validate constraint positive;`,
});

interface World {
  readonly database: FreshDatabase;
  readonly owner: string;
  readonly migrator: string;
  /** SQL of the documentation with the roles and the database of this test. */
  named(sql: string): string;
}

async function world(): Promise<World> {
  const database = await freshDatabase();
  const id = database.name.replace('test_', '');
  const [owner, migrator] = [`shop_owner_${id}`, `migrator_${id}`];
  const named = (sql: string) =>
    sql
      .replaceAll(/\bshop_owner\b/g, owner)
      .replaceAll(/\bmigrator\b/g, migrator)
      .replaceAll('database shop', `database ${database.name}`)
      .replaceAll('…', 'pw');
  onTestFinished(async () => {
    await database.adminQuery(`drop owned by ${owner}, ${migrator} cascade; drop role ${owner}, ${migrator}`);
  });
  await database.adminQuery(`alter database ${database.name} owner to current_user`);
  return { database, owner, migrator, named };
}

/** What comes of a deploy with these rights: `done in loopback, adopted, sees ages`, or how it falls short. */
async function deployed({ database, migrator, named }: World, begin: string): Promise<string> {
  const url = new URL(database.url);
  url.username = migrator;
  url.password = 'pw';
  const scenario = scenarioOn(database, { url: url.href });
  const coming = files(named(begin));
  let outcome: string;
  const blocker = new pg.Client({ connectionString: database.adminUrl });
  await blocker.connect();
  try {
    await scenario.run(tables(named(begin)));
    await database.adminQuery('create index large_some on public.large (id) where x = any (array[1, 2])');
    await blocker.query('begin; insert into public.large values (501, 501)');
    await scenario.run(coming);
    const loop = scenario.loop(coming);
    const waiting = await expectEventually(async () => {
      const status = await scenario.status(coming);
      return status.builds.some(({ progress }) => progress?.blocker !== undefined) && status;
    });
    await blocker.query('rollback');
    const { message } = await loop;
    const builds = await database.adminQuery<{ session: string; adopted: boolean }>(
      `select coalesce(session, 'no session') as session, adopted from migrations.work where state = 'done' order by id`,
    );
    outcome = [
      message === ''
        ? `done in ${[...new Set(builds.flatMap((build) => (build.adopted ? [] : build.session)))]}`
        : `failed ${message.match(/SQLSTATE (\w+)\);/)?.[1]}`,
      ...(builds.some(({ adopted }) => adopted) ? ['adopted'] : []),
      ...(waiting.blindRole === undefined ? ['sees ages'] : []),
    ].join(', ');
  } catch (error) {
    if (!(error instanceof MigrationError)) throw error;
    outcome = `${error.code} ${error.details.fault?.sqlstate ?? ''}`.trim();
  } finally {
    await blocker.end();
  }
  return outcome;
}

const FULL = 'done in loopback, adopted, sees ages';
/** On PostgreSQL 15 alone, pg_read_all_stats is of no use to a role that is only a member of it. */
const asMember = (outcome: string) => (serverMajor === 15 ? outcome.replace(', sees ages', '') : outcome);

describe('the rights that the documentation gives', () => {
  it.each([
    ['files that say SET ROLE', 'set role shop_owner;\n', '', asMember(FULL)],
    [
      'a role that begins each session as the owner',
      '',
      `alter role migrator set role = shop_owner; alter schema migrations owner to shop_owner;
grant usage on schema migrations_dblink to shop_owner`,
      asMember(FULL),
    ],
    [
      'a role that inherits',
      '',
      asServerHasIt('alter role migrator inherit; grant shop_owner to migrator with inherit true'),
      FULL,
    ],
  ])('are enough, with %s', async (_, begin, further, outcome) => {
    const given = await world();
    await given.database.adminQuery(given.named(`${script}${further}`));
    expect(await deployed(given, begin)).toBe(outcome);
  });

  it('can be given by an administrator who is no superuser, as managed services have one', async () => {
    const given = await world();
    const { database, named } = given;
    const { owner: admin, name, url, adminQuery } = database;
    await adminQuery(
      `alter database ${name} owner to ${admin}; grant pg_monitor to ${admin} with admin option`,
    );
    const [extension = ''] = script.match(/^create extension.*$/m) ?? [];
    const [roles = '', more = ''] = script
      .replace(extension, '')
      .replace(/^grant pg_read_all_stats.*$/m, '')
      .split(/^create schema migrations authorization.*$/m);
    await queryOnce(url, named(`${roles}${managed}${more}`));
    // The services let their administrator create it; Postgres itself does not.
    await adminQuery(extension);
    expect(await deployed(given, 'set role shop_owner;\n')).toBe(asMember(FULL));
  });

  /** Each single right of the script, and what a deploy comes to without it. */
  const WITHOUT: Readonly<Record<string, string>> = {
    'shop_owner to migrator': 'statement-failed 42501',
    'connect on database shop to migrator': 'database-unreachable 42501',
    'temporary on database shop to migrator': 'done in attached, adopted, sees ages',
    'temporary on database shop to shop_owner': 'failed 42P07, sees ages',
    'usage on schema public to shop_owner': 'statement-failed 42501',
    'create on schema public to shop_owner': 'statement-failed 42501',
    'schema migrations': 'ledger-refused',
    'usage on schema migrations_dblink to migrator': 'done in attached, adopted, sees ages',
    'pg_read_all_stats to migrator': 'done in loopback, adopted',
  };

  it('are those that are taken away one by one', () => {
    expect(rightsOf(script)).toEqual(Object.keys(WITHOUT));
  });

  it.each(Object.entries(WITHOUT))('are all needed: %s', async (right, outcome) => {
    const given = await world();
    const taken = right.startsWith('schema ')
      ? script.replace(/^create schema migrations authorization.*$/m, '')
      : `${script}revoke ${right.replace(' to ', ' from ')}`;
    await given.database.adminQuery(given.named(taken));
    expect(await deployed(given, 'set role shop_owner;\n')).toBe(asMember(outcome));
  });
});

/** `usage on schema public to shop_owner` for each privilege and each role. */
function rightsOf(sql: string): string[] {
  return sql.split('\n').flatMap((line) => {
    const schema = line.match(/^create (schema \w+) authorization/)?.[1];
    if (schema !== undefined) return [schema];
    const [, what, on = '', role] = line.match(/^grant ([^;]*?)( on [^;]*)? to (\w+)/) ?? [];
    return what?.split(', ').map((one) => `${one}${on} to ${role}`) ?? [];
  });
}

it('an old ledger moves out of public as the documentation says', async () => {
  const database = await freshDatabase();
  const scenario = scenarioOn(database);
  const table = { '1_a.sql': 'create table a (id int);' };
  await scenario.run(table);
  const back = moved
    .replace(/^create schema.*$/m, '')
    .replaceAll('public.', 'migrations.')
    .replaceAll('set schema migrations', 'set schema public');
  await database.adminQuery(`${back}; drop schema migrations`);
  await queryOnce(database.adminUrl, moved.replaceAll('migrator', database.owner));
  const { applied } = await scenario.run({ ...table, '2_b.sql': 'create table b (id int);' });
  expect(applied.map(({ migration }) => migration.name)).toEqual(['2_b']);
  expect(scenario.events.filter(({ kind }) => kind === 'ledger-exposed')).toEqual([]);
});
