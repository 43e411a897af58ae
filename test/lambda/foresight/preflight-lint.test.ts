import { beforeEach, expect, it } from 'vitest';
import { preflight } from '../../../lambda/foresight/preflight.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import {
  compile,
  type Files,
  freshScenario,
  type Scenario,
  type ScenarioOptions,
  SMALL_TABLE_ROWS,
} from '../run/scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

const table = {
  '1_table.sql':
    'create table t (x int, y int); insert into t select i, i / 2 from generate_series(1, 300) i;',
};

const findings = async (files: Files, options: ScenarioOptions = {}) => {
  const result = await preflight({
    target: parseConnectionUrl(scenario.database.url, 'The URL'),
    options: { ...defaultOptions, smallTableRows: SMALL_TABLE_ROWS, longestBlockSeconds: 0, ...options },
    migrations: await compile(files),
  });
  expect(result.unseen).toEqual([]);
  return result.findings;
};

it('finds before a deploy all that its run would refuse, and the build that would fail', async () => {
  await scenario.run(table);
  const found = await findings({
    ...table,
    '2_unique.sql': 'create unique index concurrently t_y on t (y);',
    '4_type.sql': 'alter table t alter column x type bigint;',
    '3_check.sql':
      'alter table t add constraint small check (x < 300) not valid; commit; alter table t validate constraint small;',
  });
  expect(found.map((text) => text.split('\n')[0])).toEqual([
    expect.stringMatching(
      /^4_type\.sql:1:1: Turning x from integer into bigint rewrites .* that would block reads and writes for about/,
    ),
    '3_check.sql:1:71: 1 row of t violates the check small.',
    '2_unique.sql:1:1: 149 values of (y) occur in more than one row of t.',
  ]);
});

it('finds nothing of what is only shown, allowed, or in order', async () => {
  await scenario.run(table);
  const found = await findings({
    ...table,
    '2_type.sql':
      '-- migrate: allow change-column-type it is night\nalter table t alter column x type bigint;',
    '3_more.sql': 'alter table t add column z int;',
  });
  expect(found).toEqual([]);
});

it('finds late and missing files where these are refused', async () => {
  await scenario.run({ ...table, '3_gone.sql': 'create table gone ();' });
  const files = { ...table, '2_late.sql': 'create table late ();' };
  expect(await findings(files)).toEqual([]);
  const refused = await findings(files, { lateMigrations: 'refuse', missingMigrations: 'refuse' });
  expect(refused.map((text) => text.split(':')[0])).toEqual(['2_late.sql', '3_gone']);
});

it('writes nothing, whatever a check’s function would', async () => {
  await scenario.run({
    '1_table.sql': `${table['1_table.sql']} create table noted (x int);
create function writes(y int) returns boolean language plpgsql as 'begin insert into noted values (y); return true; end';`,
  });
  const check =
    'alter table t add constraint c check (writes(x)) not valid; commit; alter table t validate constraint c;';
  expect(
    await findings({
      '1_table.sql': `${table['1_table.sql']} create table noted (x int);
create function writes(y int) returns boolean language plpgsql as 'begin insert into noted values (y); return true; end';`,
      '2_check.sql': check,
    }),
  ).toEqual([]);
  expect(await scenario.query('select count(*)::int as count from noted')).toEqual([{ count: 0 }]);
});

it('finds that nobody can write here: a read-only database, or a role that may not make the ledger', async () => {
  const { name, owner, adminQuery } = scenario.database;
  const files = { '1_t.sql': 'create table t2 (x int);' };
  await adminQuery(`alter role ${owner} set default_transaction_read_only = on`);
  expect((await findings(files)).map((text) => text.split('\n')[0])).toEqual([
    `Sessions of ${owner} are read-only here (default_transaction_read_only is on).`,
  ]);
  await adminQuery(`alter role ${owner} reset default_transaction_read_only;
    alter database ${name} owner to current_user; revoke create on database ${name} from ${owner}`);
  expect((await findings(files)).map((text) => text.split('\n')[0])).toEqual([
    `There is no ledger yet, and ${owner} may not create the schema 'migrations' for it.`,
  ]);
});
