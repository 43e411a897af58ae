import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { type Files, freshScenario, largeTable, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

/** What a session has that a file could have changed; each row is written by a later file. */
const LOOK = `insert into seen select current_user, current_schema(), current_setting('work_mem'),
  current_setting('app.tenant', true), current_setting('lock_timeout'), current_setting('statement_timeout')`;
const SEEN = `create table seen (role text, schema text, work_mem text, tenant text, lock_timeout text, statement_timeout text);
create schema elsewhere; create role ROLE; grant ROLE to current_user; grant all on seen to ROLE;`;

/** The role is the whole server's, so each test has its own. */
const withRole = (files: Files): Files => {
  const role = `app_${scenario.database.name}`;
  return Object.fromEntries(
    Object.entries(files).map(([name, sql]) => [
      name,
      sql.replaceAll('ROLE', role).replaceAll('OWNER', scenario.database.owner),
    ]),
  );
};

const untouched = () => ({
  role: scenario.database.owner,
  schema: 'public',
  work_mem: '4MB',
  // A first attempt's wait: the step's own, not the session's.
  lock_timeout: '5s',
  statement_timeout: '0',
});

describe('what a file sets', () => {
  it.each(
    firstOf(2, [
      ['SET', `set search_path = elsewhere; set work_mem = '77MB'; set lock_timeout = '1h';`],
      ['SET ROLE', 'set role ROLE;'],
      ['SET SESSION AUTHORIZATION', 'set session authorization OWNER; set role ROLE;'],
      [
        'set_config',
        `select set_config('app.tenant', 'acme', false), set_config('search_path', 'elsewhere', false);`,
      ],
      ['a DO block', `do $$ begin perform set_config('work_mem', '77MB', false); set role ROLE; end $$;`],
      ['a function', `select leave();`],
      ['SET in its own transaction', `begin; set search_path = elsewhere; commit; set work_mem = '77MB';`],
      ['SET beside VACUUM', `set search_path = elsewhere; set work_mem = '77MB'; vacuum public.seen;`],
      ['VACUUM after SET statement_timeout', `set statement_timeout = '1h'; vacuum seen;`],
    ]),
  )('with %s never reaches the next file', async (_, sets) => {
    const files = withRole({
      '1_seen.sql': `${SEEN} create function leave() returns void language sql as
        $$ select set_config('work_mem', '77MB', false) $$;`,
      '2_sets.sql': sets,
      '3_look.sql': LOOK,
      '4_look.sql': `vacuum seen; ${LOOK}; `,
    });
    await scenario.run(files);
    const seen = await scenario.query('select * from seen');
    // A setting of one's own that was set once is empty and not absent from then on.
    expect(seen.map(({ tenant, ...rest }) => ({ ...rest, tenant: tenant || null }))).toEqual([
      { ...untouched(), tenant: null },
      { ...untouched(), tenant: null },
    ]);
    await scenario.database.adminQuery(
      `drop owned by app_${scenario.database.name}; drop role app_${scenario.database.name}`,
    );
  });

  it('holds for the rest of the file, in whatever steps', async () => {
    await scenario.run({
      '1_steps.sql': `create schema tenant; set search_path = tenant; create table notes (x int);
vacuum notes;
insert into notes values (1);
create index concurrently notes_x on notes (x);
alter table notes add column y int;`,
    });
    expect(await scenario.query('select * from tenant.notes')).toEqual([{ x: 1, y: null }]);
    expect(await scenario.query(`select to_regclass('tenant.notes_x')::text as index`)).toEqual([
      { index: 'tenant.notes_x' },
    ]);
  });

  exhaustive.it(
    'does not come back in a later step where SET LOCAL set it, or RESET took it back',
    async () => {
      await scenario.run({
        '1_steps.sql': `create schema tenant;
set local search_path = tenant; create table notes (x int);
vacuum tenant.notes;
create table here (x int);
set search_path = tenant; reset search_path;
vacuum here;
create table also_here (x int);`,
      });
      expect(
        await scenario.query(`select relname, relnamespace::regnamespace::text as schema from pg_class
        where relname in ('notes', 'here', 'also_here') order by 1`),
      ).toEqual([
        { relname: 'also_here', schema: 'public' },
        { relname: 'here', schema: 'public' },
        { relname: 'notes', schema: 'tenant' },
      ]);
    },
  );

  it('is gone after the file has failed, so that the ledger is written and a rerun begins clean', async () => {
    const files = {
      '1_sets.sql': `create schema tenant; set search_path = tenant; set role pg_read_all_data; select 1 / 0;`,
    };
    await scenario.failure(files).catch(() => undefined);
    expect(await scenario.query('select outcome from migrations.run')).toEqual([{ outcome: 'failed' }]);
    await scenario.run({ '1_sets.sql': 'create table here (x int);' });
    expect(await scenario.query(`select to_regclass('public.here')::text as here`)).toEqual([
      { here: 'here' },
    ]);
  });

  exhaustive.it(
    'temporary tables, prepared statements, cursors and sequences’ state do not reach the next file either',
    async () => {
      await scenario.run({
        '1_leaves.sql': `create sequence ids; create temporary table draft (x int); prepare answer as select 42;
listen news; declare held cursor with hold for select 1; select nextval('ids');`,
        '2_look.sql': `create table seen as select
  (select count(*)::int from pg_class where relname = 'draft') as drafts,
  (select count(*)::int from pg_prepared_statements) as prepared,
  (select count(*)::int from pg_cursors where is_holdable) as cursors,
  (select count(*)::int from pg_listening_channels()) as channels;`,
      });
      expect(await scenario.query('select * from seen')).toEqual([
        { drafts: 0, prepared: 0, cursors: 0, channels: 0 },
      ]);
    },
  );
});

exhaustive.it(
  'a file’s lock_timeout and statement_timeout, meant for its DDL, do not end its index build',
  async () => {
    const tables = { '1_tables.sql': largeTable('large') };
    await scenario.run(tables);
    const blocker = scenario.query(
      `begin; update large set x = x where id = 1; select pg_sleep(0.5); commit`,
    );
    const settled = await scenario.deploy({
      ...tables,
      '2_index.sql': `set lock_timeout = '1ms'; set statement_timeout = '100ms'; create index concurrently large_x on large (x);`,
    });
    await blocker;
    expect(settled).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.query('select attempts from migrations.index_build')).toEqual([{ attempts: 1 }]);
  },
);
