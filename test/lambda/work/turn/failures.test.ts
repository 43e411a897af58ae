import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { describeBlocker } from '../../../../lambda/postgres/catalog/blockers.ts';
import type { TurnEvent } from '../../../../lambda/work/turn/turn-request.ts';
import { exhaustive, firstOf } from '../../../support/exhaustive.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { freshDatabase } from '../../../support/fresh-database.ts';
import { serverMajor } from '../../../support/server-major.ts';
import { startServer } from '../../../support/start-server.ts';
import { freshScenario, type Scenario, scenarioOn } from '../../run/scenario.ts';
import { slowTable, theBuild, turnOf } from './building.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

const valid = { outcome: 'valid', message: '' };
const index = { '2_index.sql': 'create index concurrently big_failing on big (failing(x));' };

/** A table whose expression index fails with the SQLSTATE so many times, as a server in that trouble would. */
const failing = (sqlstate: string, times: number) => ({
  '1_big.sql': `create table big (x int primary key); insert into big select generate_series(1, 200);
create sequence calls;
create function failing(x int) returns int immutable language plpgsql as $$
begin
  if x = 200 and nextval('public.calls') <= ${times} then
    raise exception using errcode = '${sqlstate}', message = 'made to fail', detail = 'in the test';
  end if;
  return x;
end $$;`,
});

const invalid = async () => (await scenario.indexes()).filter((line) => line.includes('INVALID'));

describe('what passes is tried again', () => {
  it.each(
    firstOf(2, [
      ['disk full', '53100'],
      ['out of memory', '53200'],
      ['the limit of temporary files', '53400'],
      ['a deadlock', '40P01'],
      ['an I/O error', '58030'],
      ['a lock that is not to be had', '55P03'],
    ]),
  )('%s, once: the second attempt succeeds', async (_, sqlstate) => {
    await scenario.run(failing(sqlstate, 1));
    expect(await scenario.deploy({ ...failing(sqlstate, 1), ...index })).toEqual(valid);
    expect(await theBuild(scenario.database)).toMatchObject({ state: 'done', attempts: 2, fault: null });
    expect(await scenario.indexes()).toEqual(['big_failing', 'big_pkey']);
  });

  it('three times: the build fails with what Postgres said, and a deploy gives it new attempts', async () => {
    const files = { ...failing('53100', 3), ...index };
    await scenario.run(failing('53100', 3));
    expect(await scenario.deploy(files)).toEqual({
      outcome: 'failed',
      message:
        'big_failing on public.big (2_index.sql:1) failed after 3 attempts: made to fail (SQLSTATE 53100); in the test In: PL/pgSQL function public.failing(integer) line 4 at RAISE. Next: fix the cause, then run again (or the action retry).',
    });
    expect(await scenario.indexes()).toEqual(['big_pkey']);
    expect(await scenario.deploy(files)).toEqual(valid);
  });

  exhaustive.it('the server really runs out of what it gives to temporary files', async () => {
    await scenario.run({
      '1_big.sql':
        'create table big (x text); insert into big select md5(i::text) || i from generate_series(1, 60000) i',
    });
    await scenario.database.adminQuery(`alter role ${scenario.database.owner} set temp_file_limit = '64kB'`);
    const files = { '1_big.sql': '', '2_index.sql': 'create index concurrently big_x on big (x);' };
    const options = { maintenanceWorkMemMegabytes: 1, parallelWorkers: 0 };
    await scenario.run({ '2_index.sql': files['2_index.sql'] }, options);
    const { message } = await scenario.loop({ '2_index.sql': files['2_index.sql'] }, options);
    const limit = serverMajor >= 18 ? '"temp_file_limit"' : 'temp_file_limit';
    expect(message).toContain(
      `failed after 3 attempts: temporary file size exceeds ${limit} (64kB) (SQLSTATE 53400)`,
    );
    expect(await invalid()).toEqual([]);
  });
});

describe('what cannot succeed fails at once', () => {
  const table = { '1_big.sql': slowTable({ seconds: 0.2 }) };
  it.each(
    firstOf(2, [
      ['a unique violation', 'create unique index concurrently i on big (twice);', '', '23505'],
      [
        'an expression that cannot be computed',
        'create index concurrently i on big ((1 / (x - 7)));',
        '',
        '22012',
      ],
      [
        'a column that was dropped meanwhile',
        'create index concurrently i on big (twice);',
        'alter table big drop column twice',
        '42703',
      ],
      [
        'a column whose type has no such index',
        'create index concurrently i on big (twice);',
        'alter table big alter column twice type json using to_json(twice)',
        '42704',
      ],
      [
        'a table that was dropped meanwhile',
        'create index concurrently i on big (twice);',
        'drop table big',
        '42P01',
      ],
      [
        'a function that was dropped meanwhile',
        'create index concurrently i on big (slow(x));',
        'drop function slow',
        '42883',
      ],
    ]),
  )('%s', async (_, sql, meanwhile, sqlstate) => {
    await scenario.run(table);
    const files = { ...table, '2_index.sql': sql };
    await scenario.run(files);
    if (meanwhile !== '') await scenario.query(meanwhile);
    const { outcome, message } = await scenario.loop(files);
    expect(outcome).toBe('failed');
    expect(message).toContain(`SQLSTATE ${sqlstate}`);
    expect((await theBuild(scenario.database)).attempts).toBeLessThanOrEqual(1);
    expect(await invalid()).toEqual([]);
  });

  exhaustive.it('a role that does not own the table any more', async () => {
    await scenario.run(table);
    await scenario.run({ ...table, '2_index.sql': 'create index concurrently i on big (twice);' });
    await scenario.database.adminQuery('alter table big owner to current_user');
    const { message } = await scenario.loop(table);
    expect(message).toContain('must be owner of table big (SQLSTATE 42501)');
  });
});

it('a failed build does not stop its neighbours, and the end names each that failed, why, and what to do', async () => {
  const tables = {
    '1_tables.sql': ['a', 'b', 'c']
      .map(
        (name) =>
          `create table ${name} (x int, y int); insert into ${name} select i, i / 2 from generate_series(1, 300) i;`,
      )
      .join('\n'),
  };
  await scenario.run(tables);
  const files = {
    ...tables,
    '2_a.sql': 'create unique index concurrently a_y on a (y);\ncreate index concurrently a_x on a (x);',
    '3_b.sql': 'create index concurrently b_x on b (x);',
    '4_c.sql': '\ncreate unique index concurrently c_y on c (y);',
  };
  const { outcome, message } = await scenario.deploy(files, { dataCheckSeconds: 0 });
  expect(outcome).toBe('failed');
  const said = (name: string, file: string) =>
    `${name}_y on public.${name} (${file}) failed after 1 attempt: could not create unique index "${name}_y" (SQLSTATE 23505); Key (y)=(1) is duplicated. Next: fix the cause, then run again (or the action retry).`;
  expect(
    message
      .split('\n')
      .filter((line) => line.includes('failed after'))
      .sort()
      .map((line) => line.replace(/\(y\)=\(\d+\)/, '(y)=(1)')),
  ).toEqual([said('a', '2_a.sql:1'), said('c', '4_c.sql:2')]);
  expect(await scenario.indexes()).toEqual(['a_x', 'b_x']);
});

describe('a server that is lost', () => {
  it.each(firstOf(1, ['immediate', 'fast'] as const))(
    'and restarted (%s) in the middle of a build: the build is made again',
    async (mode) => {
      const server = await startServer();
      const database = await freshDatabase(server);
      await database.adminQuery('create extension dblink');
      const table = { '1_big.sql': slowTable({ seconds: 1.5 }) };
      const files = { ...table, '2_index.sql': 'create index concurrently big_slow on big (slow(x));' };
      const at = scenarioOn(database);
      await at.run(table);
      await at.run(files);
      const looping = at.loop(files);
      await expectEventually(
        async () =>
          (await database.query(`select from pg_stat_progress_create_index where phase like '%scanning%'`))
            .length > 0,
      );
      await server.restart(mode);
      expect(await looping).toEqual(valid);
      expect(await theBuild(database)).toMatchObject({ state: 'done', attempts: 2 });
      expect(await at.indexes()).toEqual(['big_pkey', 'big_slow']);
    },
  );
});

describe('a build that stands still', () => {
  const table = { '1_big.sql': slowTable({ seconds: 0.2 }) };
  const files = { ...table, '2_index.sql': 'create index concurrently big_x on big (twice);' };

  async function idle(...statements: string[]) {
    const client = new pg.Client({
      connectionString: scenario.database.url,
      application_name: 'forgotten console',
    });
    client.on('error', () => {});
    await client.connect();
    onTestFinished(() => client.end());
    for (const statement of ['begin', ...statements]) await client.query(statement);
    return client;
  }

  it('behind an idle transaction says who that is and since when, in the log and in the status', async () => {
    await scenario.run(table);
    await scenario.run(files);
    const client = await idle('update big set twice = twice where x = 1');
    const events: TurnEvent[] = [];
    expect(await turnOf(scenario.database, { attachSeconds: 1, events })).toMatchObject({ outcome: 'wait' });
    const told = events.flatMap((event) => (event.kind === 'progress' ? [event.progress] : [])).at(-1);
    expect(told).toMatchObject({
      phase: 'waiting for writers before build',
      blocker: { application: 'forgotten console', state: 'idle in transaction' },
    });
    const { builds } = await scenario.status(files);
    const blocker = builds[0]?.progress?.blocker;
    expect(blocker && describeBlocker(blocker)).toMatch(
      /^pid \d+ \(owner_\w+, "forgotten console", idle in transaction for \d+ s, its transaction on "public"."big"\)$/,
    );
    await client.query('rollback');
    await expectEventually(async () => (await turnOf(scenario.database)).outcome === 'done');
    expect(await theBuild(scenario.database)).toMatchObject({ state: 'done', attempts: 1 });
  });

  exhaustive.it(
    'because somebody else holds the lock that a build takes names him, and begins when he is gone',
    async () => {
      await scenario.run(table);
      await scenario.run(files);
      const client = await idle('lock table big in share update exclusive mode');
      const events: TurnEvent[] = [];
      expect(await turnOf(scenario.database, { attachSeconds: 0, events })).toMatchObject({
        outcome: 'wait',
      });
      expect(events).toContainEqual(
        expect.objectContaining({
          kind: 'progress',
          progress: expect.objectContaining({
            phase: 'waiting for the lock on its table',
            blocker: expect.objectContaining({
              application: 'forgotten console',
              state: 'idle in transaction',
            }),
          }),
        }),
      );
      expect(await theBuild(scenario.database)).toMatchObject({ state: 'pending', attempts: 0 });
      await client.query('rollback');
      expect(await turnOf(scenario.database)).toMatchObject({ outcome: 'done' });
    },
  );
});

exhaustive.it(
  'builds of expression and partial indexes side by side do not deadlock each other',
  async () => {
    const tables = Array.from({ length: 12 }, (_, i) => `t${i}`);
    const first = {
      '1_tables.sql': `create function twice(x int) returns int immutable language sql as 'select x * 2';
${tables.map((name) => `create table ${name} (x int, y text); insert into ${name} select i, i from generate_series(1, 2000) i;`).join('\n')}`,
    };
    await scenario.run(first);
    const files = {
      ...first,
      '2_indexes.sql': tables
        .flatMap((name) => [
          `create index concurrently ${name}_a on ${name} (twice(x)) where y <> '7';`,
          `create index concurrently ${name}_b on ${name} (lower(y)) where twice(x) > 5;`,
          `create unique index concurrently ${name}_c on ${name} ((x + twice(x)));`,
        ])
        .join('\n'),
    };
    expect(await scenario.deploy(files, { maxConcurrentTables: 12 })).toEqual(valid);
    const rows = await scenario.query('select distinct attempts, state from migrations.index_build');
    expect(rows).toEqual([{ attempts: 1, state: 'done' }]);
  },
  90_000,
);
