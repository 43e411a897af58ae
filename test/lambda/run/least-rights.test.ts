import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { freshDatabase } from '../../support/fresh-database.ts';
import { queryOnce } from '../../support/query-once.ts';
import { scenarioOn } from './scenario.ts';

/** The SQL of docs/security.md, block by block. */
const blocks = [
  ...readFileSync(join(import.meta.dirname, '../../../docs/security.md'), 'utf8').matchAll(
    /```sql\n(?<sql>[\s\S]*?)```/g,
  ),
].map(({ groups }) => groups?.sql ?? '');
const [roles = '', dblink = ''] = blocks;
const moved = blocks.find((sql) => sql.includes('set schema migrations')) ?? '';

const tables = (begin: string) => ({
  '1_tables.sql': `${begin}create table public.large (id int primary key, x int);
insert into public.large select i, i from generate_series(1, 500) i;`,
});
const files = (begin: string) => ({
  ...tables(begin),
  '2_index.sql': `${begin}create index concurrently large_x on public.large (x);`,
  '3_more.sql': `${begin}alter table public.large add constraint positive check (x > 0) not valid;
alter table public.large validate constraint positive;`,
});

it.each([
  ['files that say SET ROLE', 'set role OWNER;\n', ''],
  [
    'a role that begins each session as the owner',
    '',
    'alter role MIGRATOR set role = OWNER; alter schema migrations owner to OWNER',
  ],
  ['a role that inherits', '', 'alter role MIGRATOR inherit; grant OWNER to MIGRATOR with inherit true'],
])('the rights that the documentation gives are enough, with %s', async (_, begin, further) => {
  const database = await freshDatabase();
  const id = database.name.replace('test_', '');
  const [owner, migrator] = [`shop_owner_${id}`, `migrator_${id}`];
  const named = (sql: string) =>
    sql
      .replaceAll(/\bshop_owner\b|\bOWNER\b/g, owner)
      .replaceAll(/\bmigrator\b|\bMIGRATOR\b/g, migrator)
      .replaceAll('database shop', `database ${database.name}`)
      .replaceAll('…', 'pw');
  await database.adminQuery(named(roles));
  await database.adminQuery(named(dblink));
  onTestFinished(async () => {
    await database.adminQuery(`drop owned by ${owner}, ${migrator} cascade; drop role ${owner}, ${migrator}`);
  });
  if (further !== '') await database.adminQuery(named(further));
  const url = new URL(database.url);
  url.username = migrator;
  url.password = 'pw';
  const scenario = scenarioOn(database, { url: url.href });
  await scenario.run(tables(named(begin)));
  expect(await scenario.deploy(files(named(begin)))).toEqual({ outcome: 'valid', message: '' });
  const builds = await database.adminQuery(
    `select operation, state, session, (select relowner::regrole::text from pg_class where relname = 'large') as owner
       from migrations.work order by id`,
  );
  expect(builds).toEqual([
    {
      operation: 'create',
      state: 'done',
      session: 'loopback',
      owner: further.includes('inherit') ? migrator : owner,
    },
    {
      operation: 'validate',
      state: 'done',
      session: 'loopback',
      owner: further.includes('inherit') ? migrator : owner,
    },
  ]);
});

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
