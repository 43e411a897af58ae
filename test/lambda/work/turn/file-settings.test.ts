import { describe, expect, it, onTestFinished } from 'vitest';
import { planRun } from '../../../../lambda/foresight/plan-run.ts';
import { defaultOptions } from '../../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { howOf } from '../../../../local/cli/plan-view.ts';
import { compile, freshScenario, largeTable, type Scenario, SMALL_TABLE_ROWS } from '../../run/scenario.ts';

/** Writes down what the session that builds has: an event trigger sees each kind of it. */
async function watch({ database }: Scenario): Promise<void> {
  await database.adminQuery(`create schema watched; grant usage on schema watched to public;
create table watched.seen (application text, role text, path text, memory text, workers text, tenant text);
create function watched.look() returns event_trigger language plpgsql security definer set search_path from current as $$
begin insert into watched.seen values (current_setting('application_name'), current_setting('role'),
  current_setting('watched.path', true), current_setting('maintenance_work_mem'),
  current_setting('max_parallel_maintenance_workers'), current_setting('app.tenant', true)); end $$;
create event trigger looks on ddl_command_start when tag in ('CREATE INDEX') execute function watched.look()`);
}

const builders = async ({ database }: Scenario) =>
  database.adminQuery<Record<string, string>>(
    `select distinct role, memory, workers, coalesce(tenant, '') as tenant from watched.seen
      where application like '% build %'`,
  );

const OURS = { role: 'none', memory: '64MB', workers: '2', tenant: '' };

describe.each([
  ['loopback', true],
  ['attached', false],
])('the session of a build, %s, has what its file has set', (_, dblink) => {
  it.each<[string, string, Partial<typeof OURS>]>([
    [
      'SET',
      "set maintenance_work_mem = '300MB'; set max_parallel_maintenance_workers = 0;",
      { memory: '300MB', workers: '0' },
    ],
    ['set_config', "select pg_catalog.set_config('app.tenant', 'acme', false);", { tenant: 'acme' }],
    [
      'several calls of set_config in one SELECT',
      "select set_config('app.tenant', 'it''s \\', false), set_config('maintenance_work_mem', '70MB', false) as memory;",
      { tenant: "it's \\", memory: '70MB' },
    ],
    ['a cast of it', "select set_config('app.tenant', 'acme', 'f')::text;", { tenant: 'acme' }],
    [
      'set_config over rows',
      "select set_config(n, v, false) from (values ('app.tenant', 'acme'), ('maintenance_work_mem', '70MB')) as s (n, v);",
      { tenant: 'acme', memory: '70MB' },
    ],
    ['SET ROLE', 'set role ROLE;', { role: 'ROLE' }],
    ['SET SESSION AUTHORIZATION', 'set session authorization OWNER; set role ROLE;', { role: 'ROLE' }],
    ['RESET ROLE', 'set role ROLE; reset role;', {}],
    ['RESET ALL, which leaves our own', "set maintenance_work_mem = '300MB'; reset all;", {}],
    [
      'RESET ALL, which leaves its role',
      "set role ROLE; set app.tenant = 'acme'; reset all;",
      { role: 'ROLE' },
    ],
    ['DISCARD ALL, which leaves nothing of it', "set role ROLE; set app.tenant = 'acme'; discard all;", {}],
    ['SET LOCAL, which has ended', "set local app.tenant = 'acme';", {}],
    [
      'the head of a dump',
      "set statement_timeout = 0; set lock_timeout = 0; set client_encoding = 'LATIN1'; select pg_catalog.set_config('search_path', '', false); set row_security = off;",
      {},
    ],
  ])('by %s', async (_, sets, expected) => {
    const scenario = await freshScenario({ dblink });
    const { owner, name, adminQuery } = scenario.database;
    const role = `app_${name}`;
    await adminQuery(
      `create role ${role}; grant ${role} to ${owner}; grant create on schema public to ${role}`,
    );
    onTestFinished(async () => void (await adminQuery(`drop owned by ${role} cascade; drop role ${role}`)));
    const table = { '1_large.sql': `${largeTable('large')} alter table large owner to ${role};` };
    await scenario.run(table);
    await watch(scenario);
    // A file with other letters may set no other encoding.
    const index = sets.includes('client_encoding') ? 'large_a' : 'large_ä';
    const files = {
      ...table,
      '2_index.sql': `${sets.replaceAll('ROLE', role).replaceAll('OWNER', owner)}
create index concurrently "${index}" on public.large (x) where x <> 5;`,
    };
    expect(await scenario.deploy(files)).toEqual({ outcome: 'valid', message: '' });
    const said = { ...OURS, ...expected, role: expected.role === 'ROLE' ? role : 'none' };
    expect(await builders(scenario)).toEqual([said]);
    expect(await scenario.indexes()).toContain(index);
  });
});

it('plan shows the memory and the workers that a file gives its builds', async () => {
  const scenario = await freshScenario();
  const table = { '1_large.sql': largeTable('large') };
  await scenario.run(table);
  const migrations = await compile({
    ...table,
    '2_index.sql': "set maintenance_work_mem = '300MB'; create index concurrently large_x on large (x);",
  });
  const { files } = await planRun(parseConnectionUrl(scenario.database.url, 'The URL'), {
    options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS },
    migrations,
  });
  expect(files.at(-1)?.steps.map(howOf)).toEqual([
    'in one transaction',
    "handed off: built concurrently by the loop; with set maintenance_work_mem = '300MB' of the file",
  ]);
});

describe('a setting', () => {
  it('that Postgres refuses has file, line and statement', async () => {
    const scenario = await freshScenario();
    const table = { '1_large.sql': largeTable('large') };
    await scenario.run(table);
    const { message } = await scenario.failure({
      ...table,
      '2_index.sql':
        'set work_mem = 64;\nset no_such_limit = 0;\ncreate index concurrently large_x on large (x);',
    });
    expect(message).toMatch(
      /^2_index\.sql:2:1: .*\nPostgres: unrecognized configuration parameter "no_such_limit"/,
    );
  });

  it('of a role that an earlier pending file creates is not asked for before it is there', async () => {
    const scenario = await freshScenario({ dblink: true });
    const table = { '1_large.sql': largeTable('large') };
    await scenario.run(table);
    const role = `later_${scenario.database.name}`;
    onTestFinished(
      async () =>
        void (await scenario.database.adminQuery(`drop owned by ${role} cascade; drop role ${role}`)),
    );
    const settled = await scenario.deploy({
      ...table,
      '2_role.sql': `create role ${role}; grant ${role} to current_user; grant create on schema public to ${role};
alter table large owner to ${role};`,
      '3_index.sql': `set role ${role};\ncreate index concurrently large_x on large (x);`,
    });
    expect(settled).toEqual({ outcome: 'valid', message: '' });
  });
});

describe('a dblink that our role may not use', () => {
  it.each([
    ['in a schema without USAGE', 'create schema shut; create extension dblink schema shut;'],
    [
      'without EXECUTE',
      'create extension dblink; revoke execute on all functions in schema public from public;',
    ],
    [
      'of which one function is closed',
      'create extension dblink; revoke execute on function dblink_send_query(text, text) from public;',
    ],
  ])('%s means another kind of session', async (_, sql) => {
    const scenario = await freshScenario();
    await scenario.database.adminQuery(sql);
    const files = {
      '1_large.sql': largeTable('large'),
      '2_index.sql': 'create index concurrently large_x on large (x);',
    };
    await scenario.run({ '1_large.sql': files['1_large.sql'] });
    expect(await scenario.deploy(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.query('select session, attempts from migrations.index_build')).toEqual([
      { session: 'attached', attempts: 1 },
    ]);
  });
});
