import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { serverMajor } from '../../support/server-major.ts';
import { hostileLimits, limitsAsDocumented } from './documented-limits.ts';
import { freshScenario, largeTable, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

describe('limits of a role and a database', () => {
  it('neither cut a step short, nor a statement outside of a transaction, nor a build', async () => {
    await hostileLimits(scenario.database, serverMajor);
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
  it.each(firstOf(3, settings))('%s', async (_, sets) => {
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

  exhaustive.it('and what it sets shorter than ours stays', async () => {
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

it('every session of ours has the limits that docs/limits.md says, whatever its role and database bring', async () => {
  await limitsAsDocumented(scenario, serverMajor);
});
