import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { FreshDatabase } from '../../support/fresh-database.ts';
import { serverMajor } from '../../support/server-major.ts';
import { freshScenario, largeTable, type Scenario } from './scenario.ts';

/** The limits of docs/limits.md. */
const LIMITS = [
  'statement_timeout',
  'lock_timeout',
  'transaction_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'client_connection_check_interval',
] as const;

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

/** Limits that a role brings, and a database other ones: each would end what takes its time, or never end a wait. */
async function hostileLimits({ name, owner, adminQuery }: FreshDatabase): Promise<void> {
  await adminQuery(`alter role ${owner} set statement_timeout = '400ms'; alter role ${owner} set lock_timeout = 0;
    alter database ${name} set idle_in_transaction_session_timeout = '300ms';
    alter role ${owner} set idle_session_timeout = '2s'`);
  if (serverMajor >= 17) await adminQuery(`alter database ${name} set transaction_timeout = '500ms'`);
}

describe('limits of a role and a database', () => {
  it('neither cut a step short, nor a statement outside of a transaction, nor a build', async () => {
    await hostileLimits(scenario.database);
    const settled = await scenario.deploy({
      '1_slow.sql': `create function slow(x int) returns int immutable language plpgsql
        as 'begin perform pg_catalog.pg_sleep(0.003); return x; end'; ${largeTable('large')}`,
      '2_step.sql': 'select pg_sleep(1); create table after_it (x int);',
      '3_alone.sql': '-- migrate: no-transaction\nselect pg_sleep(1);\nvacuum large;',
      '4_build.sql': 'create index concurrently large_slow on large (slow(x));',
      '5_reset.sql': 'reset all; select pg_sleep(1); vacuum large; select pg_sleep(1);',
    });
    expect(settled).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.steps()).toEqual([
      '1.0 applied',
      '2.0 applied',
      '3.0 applied',
      '3.1 applied',
      '4.0 applied',
      '5.0 applied',
      '5.1 applied',
      '5.2 applied',
    ]);
  });
});

/** What a statement of a file sees. */
const LOOK = `insert into seen select current_setting('lock_timeout'), current_setting('statement_timeout'),
  current_setting('transaction_timeout', true);`;
const SEEN = 'create table seen (lock_timeout text, statement_timeout text, transaction_timeout text);';

describe('a file keeps our limits, which it takes away by', () => {
  const settings: [string, string][] = [
    ['RESET ALL', 'reset all;'],
    ['RESET', 'reset lock_timeout; reset statement_timeout;'],
    ['SET … TO DEFAULT', 'set lock_timeout to default; set statement_timeout = default;'],
    ['SET', 'set lock_timeout = 0; set statement_timeout = 0;'],
    ['SET to more than ours', `set lock_timeout = '1h'; set statement_timeout = '1d';`],
    ['SET SESSION', 'set session lock_timeout = 0; set session statement_timeout = 0;'],
    ['SET LOCAL', 'set local lock_timeout = 0; set local statement_timeout = 0;'],
    ['set_config', `select set_config('lock_timeout', '0', false);`],
    [
      'several calls of set_config',
      `select pg_catalog.set_config('lock_timeout', '0', false), set_config('statement_timeout', '0', false)::text as x;`,
    ],
    ['set_config for the transaction', `select set_config('lock_timeout', '0', true);`],
    ['a DO block', `do $$ begin perform set_config('lock_timeout', '0', false); end $$;`],
    ['a function', 'select no_limits();'],
    ['SET ROLE', 'set role ROLE;'],
    ['SET SESSION AUTHORIZATION', 'set session authorization OWNER; reset all;'],
    ['RESET ROLE', 'set role ROLE; reset role; reset all;'],
    ['the head of a dump', 'set statement_timeout = 0; set lock_timeout = 0; set row_security = off;'],
  ];
  const places: [string, (sets: string) => string][] = [
    ['the same step', (sets) => `${sets} ${LOOK}`],
    ['a later step', (sets) => `${sets} vacuum seen; ${LOOK}`],
    ['a statement outside of a transaction', (sets) => `-- migrate: no-transaction\n${sets}\n${LOOK}`],
    ['the step after DISCARD ALL', (sets) => `${sets} discard all; ${LOOK}`],
  ];
  it.each(settings)('%s', async (_, sets) => {
    const { owner, name, adminQuery } = scenario.database;
    const role = `app_${name}`;
    await adminQuery(`create role ${role}; grant ${role} to ${owner}`);
    onTestFinished(async () => void (await adminQuery(`drop owned by ${role}; drop role ${role}`)));
    const files = Object.fromEntries(
      places.map(([, sql], index) => [
        `${index + 2}_look.sql`,
        sql(sets.replaceAll('ROLE', role).replaceAll('OWNER', owner)),
      ]),
    );
    await scenario.run(
      {
        '1_seen.sql': `${SEEN} grant all on seen to ${role};
create function no_limits() returns void language sql as $$ select set_config('lock_timeout', '0', false) $$;`,
        ...files,
      },
      { lockTimeoutSeconds: 4, deadline: Date.now() + 120_000 },
    );
    const seen = await scenario.query<Record<string, string>>('select * from seen');
    for (const limits of seen) {
      expect(inMilliseconds(limits.lock_timeout)).toBeGreaterThan(0);
      expect(inMilliseconds(limits.lock_timeout)).toBeLessThanOrEqual(4_000);
      expect(inMilliseconds(limits.statement_timeout)).toBeGreaterThan(0);
      expect(inMilliseconds(limits.statement_timeout)).toBeLessThanOrEqual(120_000);
    }
    expect(seen).toHaveLength(places.length);
  });

  it('and what it sets shorter than ours stays', async () => {
    await scenario.run(
      {
        '1_seen.sql': SEEN,
        '2_look.sql': `set lock_timeout = '70ms'; set statement_timeout = '7s'; ${LOOK} vacuum seen; ${LOOK}`,
      },
      { deadline: Date.now() + 120_000 },
    );
    const seen = await scenario.query<Record<string, string>>('select * from seen');
    expect(seen.map(({ lock_timeout, statement_timeout }) => [lock_timeout, statement_timeout])).toEqual([
      ['70ms', '7s'],
      ['70ms', '7s'],
    ]);
  });
});

function inMilliseconds(text: string | undefined): number {
  const [, number, unit] = /^(\d+)(ms|s|min|h|d)?$/.exec(text ?? '') ?? [];
  const factors = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };
  return Number(number) * factors[(unit as keyof typeof factors) ?? 'ms'];
}

it.runIf(serverMajor >= 17)(
  'a transaction_timeout that a file sets ends its run once, and the error says so',
  async () => {
    const error = await scenario.failure({
      '1_table.sql': 'create table stays (x int);',
      '2_slow.sql': `set transaction_timeout = '300ms'; create table goes (x int); select pg_sleep(3);`,
    });
    expect(error.message).toBe(
      `Postgres ended the session by transaction_timeout, which 2_slow.sql sets.
Applied: ${error.details.applied}
Next: give 2_slow.sql a longer transaction_timeout, or none (the migrations have limits of their own), then run again; the run continues with this step.`,
    );
    expect(await scenario.steps()).toEqual(['1.0 applied']);
    expect(await scenario.query('select outcome from migrations.run')).toEqual([{ outcome: 'failed' }]);
  },
);

/** Writes down the limits of whatever session runs DDL, or writes to the ledger's builds. */
const WITNESS = `create schema witness;
create table witness.limits (application text, doing text, settings jsonb);
grant usage on schema witness to public;
create function witness.look(doing text) returns void language sql security definer set search_path = pg_catalog as $$
  insert into witness.limits select current_setting('application_name'), doing,
    (select jsonb_object_agg(name, setting) from pg_settings where name in (${LIMITS.map((name) => `'${name}'`).join(', ')})) $$;
create function witness.ddl() returns event_trigger language plpgsql as $$ begin perform witness.look(tg_tag); end $$;
create function witness.row() returns trigger language plpgsql as $$
  begin perform witness.look(tg_table_name); return new; end $$;
create event trigger SAW on ddl_command_start when tag in ('CREATE INDEX', 'DROP INDEX', 'ALTER INDEX', 'CREATE TABLE')
  execute function witness.ddl();`;

/** Lines of a table in a Markdown page: cells by column, by the first cell. */
function documented(): Record<string, Record<string, string>> {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/limits.md'), 'utf8');
  const [head = [], , ...lines] = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  return Object.fromEntries(
    lines.map(([name = '', ...cells]) => [
      (/`(\w+)`/.exec(name) ?? [])[1] ?? name,
      Object.fromEntries(cells.map((cell, index) => [head[index + 1] ?? '', cell])),
    ]),
  );
}

it('every session of ours has the limits that docs/limits.md says, whatever its role and database bring', async () => {
  const { database } = scenario;
  await scenario.run({ '1_large.sql': largeTable('large') });
  await hostileLimits(database);
  await database.adminQuery(WITNESS.replace('SAW', 'saw'));
  await database.adminQuery(`create trigger saw after update on migrations.work
    for each row execute function witness.row()`);
  const files = {
    '1_large.sql': largeTable('large'),
    '2_build.sql': `create table other (x int); create index concurrently large_x on large (x desc);`,
    '3_unique.sql': 'create unique index concurrently large_unique on large ((x / 2));',
  };
  await scenario.run(files, { lockTimeoutSeconds: 7, deadline: Date.now() + 100_000 });
  await scenario.loop(files, { dataCheckSeconds: 0 });
  const rows = await database.adminQuery<{
    application: string;
    doing: string;
    settings: Record<string, string>;
  }>('select distinct * from witness.limits');
  const seen = (application: RegExp, doing: string) => {
    const found = rows.find((row) => application.test(row.application) && row.doing === doing);
    if (found === undefined)
      throw new Error(`Nobody saw ${application} do ${doing}: ${JSON.stringify(rows)}`);
    return found.settings;
  };
  const sessions = {
    'a run, an action': seen(/^cdk-postgres/, 'CREATE TABLE'),
    'a turn': seen(/^cdk-postgres/, 'work'),
    'a build session': seen(/ build \d+$/, 'CREATE INDEX'),
    'its supervisor': seen(/ supervisor \d+$/, 'work'),
  };
  const page = documented();
  const server = await database.adminQuery<{ interval: string }>(
    `select setting as interval from pg_settings where name = 'client_connection_check_interval'`,
  );
  for (const [session, settings] of Object.entries(sessions)) {
    for (const name of LIMITS) {
      if (name === 'transaction_timeout' && serverMajor < 17) continue;
      const said = page[name]?.[session] ?? '';
      const is = Number(settings[name]);
      const what = `${name} of ${session}: ${said}`;
      if (/^0(?:;|$)/.test(said)) expect(is, what).toBe(0);
      else if (/^[\d.]+ s/.test(said)) expect(is, what).toBe(Number.parseFloat(said) * 1000);
      else if (said === "the server's") expect(is, what).toBe(Number(server[0]?.interval));
      else if (name === 'lock_timeout') expect(is, what).toBeLessThanOrEqual(7_000);
      else expect(said, what).toMatch(/what is left of the function's time/);
      if (name === 'statement_timeout' && session === 'a run, an action') {
        expect(is, what).toBeGreaterThan(50_000);
        expect(is, what).toBeLessThanOrEqual(100_000);
      }
      if (name === 'lock_timeout' && session === 'a run, an action') expect(is, what).toBeGreaterThan(0);
    }
  }
});
