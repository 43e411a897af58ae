import { beforeEach, describe, expect, it } from 'vitest';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { serverMajor } from '../../support/server-major.ts';
import { freshScenario, largeTable, type Scenario, SMALL_TABLE_ROWS } from '../run/scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  // The tests' tables are worked through in a blink.
  scenario = await freshScenario({ dblink: true, longestBlockSeconds: 0 });
});

const large = { '1_table.sql': largeTable('large') };
const small = {
  '1_table.sql': `create table large (id int primary key, x int); insert into large select i, i from generate_series(1, ${SMALL_TABLE_ROWS}) i;`,
};
const retype = 'alter table large alter column x type bigint;';

describe('a statement that rewrites its table', () => {
  exhaustive.it('is applied to a small table', async () => {
    await scenario.run(small);
    expect((await scenario.run({ ...small, '2_type.sql': retype })).outcome).toBe('done');
  });

  it('stops the run on a table that is not small: what it blocks, how long, and what to write instead', async () => {
    await scenario.run(large);
    const error = await scenario.failure({ ...large, '2_other.sql': 'select 1;', '3_type.sql': retype });
    expect(error.message.replace(/\d+ kB/, 'N kB')).toBe(
      [
        '3_type.sql:1:1: Turning x from integer into bigint rewrites the whole of large and its indexes, while nobody else can read or write it; and running code may not expect the new type. public.large holds more than 100 rows (N kB): that would block reads and writes for about 0.0 s.',
        'Statement: alter table large alter column x type bigint',
        'Applied: nothing by this run.',
        'Next: write instead:',
        '    alter table large add column x_new bigint;',
        'or, if the table may be blocked, put "-- migrate: allow change-column-type <reason>" into the file.',
      ].join('\n'),
    );
    expect(await scenario.steps()).toEqual(['1.0 applied']);
    const [run] = await scenario.query('select outcome from migrations.run order by started_at desc limit 1');
    expect(run).toEqual({ outcome: 'failed' });
  });

  it('is applied all the same where the file allows it', async () => {
    await scenario.run(large);
    const allowed = `-- migrate: allow change-column-type nobody is awake\n${retype}`;
    expect((await scenario.run({ ...large, '2_type.sql': allowed })).outcome).toBe('done');
  });

  exhaustive.it('of a table that the same run made, or emptied, is applied', async () => {
    await scenario.run(large);
    const again = {
      ...large,
      '2_empty.sql': '-- migrate: allow truncate a test\ntruncate large;',
      '3_type.sql': retype,
      '4_new.sql': 'create table fresh (x int); insert into fresh select generate_series(1, 1000);',
      '5_type.sql': 'alter table fresh alter column x type bigint;',
    };
    expect((await scenario.run(again)).outcome).toBe('done');
  });

  exhaustive.it('and every other that is found is named in one error', async () => {
    await scenario.run(large);
    const { message } = await scenario.failure({
      ...large,
      '2_index.sql': 'create index on large (x);',
      '3_type.sql': retype,
      '4_unique.sql': 'alter table large add constraint large_x_key unique (x);',
    });
    expect(message).toMatch(
      /^2_index\.sql:1:1: CREATE INDEX on public\.large, which holds more than 100 rows/,
    );
    expect(message).toContain('Also found:\n3_type.sql:1:1: Turning x');
    expect(message).toContain('4_unique.sql:1:1: Adding large_x_key builds its index');
  });
});

describe('the time that others may be kept waiting', () => {
  const wide = {
    '1_table.sql': `create table wide (id int primary key, text text);
insert into wide select i, repeat('x', 400) from generate_series(1, 60000) i;`,
  };
  const rewrite = { ...wide, '2_type.sql': 'alter table wide alter column id type bigint;' };
  const scan = { ...wide, '2_check.sql': 'alter table wide add constraint positive check (id > 0);' };

  exhaustive.it('is a second: a rewrite of 26 MB is too much, to read them is not', async () => {
    await scenario.run(wide);
    const patient = { longestBlockSeconds: defaultOptions.longestBlockSeconds };
    expect((await scenario.failure(rewrite, patient)).message).toMatch(
      /public\.wide holds more than 100 rows \(2\d MB\): that would block reads and writes for about 1\.4 s\./,
    );
    expect((await scenario.run(scan, patient)).outcome).toBe('done');
  });

  exhaustive.it('can be another one', async () => {
    await scenario.run(wide);
    expect((await scenario.failure(scan, { longestBlockSeconds: 0.1 })).code).toBe('lint-refused');
    expect((await scenario.run(rewrite, { longestBlockSeconds: 2 })).outcome).toBe('done');
  });
});

exhaustive.it('a rule that is off or advice at synth stops nothing at deploy', async () => {
  const { compileLinted } = await import('../../../compiler/lint/lint-migrations.ts');
  const { folderOf } = await import('../../compiler/compile-text.ts');
  const folder = folderOf({ ...large, '2_type.sql': retype });
  const verdicts = (level: 'advice' | 'off' | 'error') =>
    compileLinted(folder, { levels: { 'change-column-type': level } }).migrations.flatMap(({ steps }) =>
      steps.flatMap((step) =>
        step.kind === 'transaction' ? step.statements.flatMap(({ checks = [] }) => checks) : [],
      ),
    );
  expect(verdicts('off')).toEqual([]);
  expect(verdicts('advice')).toMatchObject([{ rule: 'change-column-type', verdict: 'show' }]);
  expect(verdicts('error')).toMatchObject([{ rule: 'change-column-type', verdict: 'refuse' }]);
});

describe('the search of the data', () => {
  it('counts no further than a thousand', async () => {
    await scenario.run({
      '1_table.sql': 'create table t (x int); insert into t select null from generate_series(1, 2000);',
    });
    const files = {
      '1_table.sql': 'create table t (x int); insert into t select null from generate_series(1, 2000);',
      '2_null.sql': 'alter table t alter column x set not null;',
    };
    expect((await scenario.failure(files)).message).toContain('more than 1,000 rows of t have no x');
  });

  it('ends when its time is up, and the run continues', async () => {
    const table = {
      '1_table.sql': `create table t (x int); insert into t values (1);
create function slow(int) returns boolean language plpgsql immutable as 'begin perform pg_sleep(0.7); return false; end';`,
    };
    await scenario.run(table);
    const files = { ...table, '2_check.sql': 'alter table t add constraint c check (slow(x));' };
    expect((await scenario.failure(files, { dataCheckSeconds: 0.2 })).code).toBe('statement-failed');
    expect((await scenario.failure(files, { dataCheckSeconds: 5 })).code).toBe('lint-refused');
  });

  exhaustive.it('does nothing that a check’s own functions would write', async () => {
    const table = {
      '1_table.sql': `create table t (x int); insert into t values (1); create table noted (x int);
create function writes(y int) returns boolean language plpgsql as 'begin insert into noted values (y); return true; end';`,
    };
    await scenario.run(table);
    const files = {
      ...table,
      '2_check.sql':
        'alter table t add constraint c check (writes(x)) not valid; commit; alter table t validate constraint c;',
    };
    const { outcome } = await scenario.run(files);
    // Once, by Postgres itself.
    expect([outcome, await scenario.query('select x from noted')]).toEqual(['done', [{ x: 1 }]]);
  });

  exhaustive.it('knows the names as the file’s own search_path has them', async () => {
    const table = {
      '1_table.sql': 'create schema app; create table app.t (x int); insert into app.t values (null);',
    };
    await scenario.run(table);
    const files = {
      ...table,
      '2_null.sql': 'set search_path = app;\nvacuum t;\nalter table t alter column x set not null;',
    };
    expect((await scenario.failure(files)).message).toMatch(/^2_null\.sql:3:1: 1 row of t has no x/);
  });

  exhaustive.it('does not take one table for another of its name', async () => {
    const table = {
      '1_table.sql':
        'create schema app; create table app.t (x int); create table t (x int); insert into t values (null);',
    };
    await scenario.run(table);
    const files = {
      ...table,
      '2_null.sql': 'set search_path = app;\nalter table t alter column x set not null;',
    };
    expect((await scenario.run(files)).outcome).toBe('done');
  });

  exhaustive.it.each([
    [
      'a column that comes with the same run',
      'alter table t add column y int;\nalter table t add unique (y);',
    ],
    [
      'data that somebody else may change first',
      "do 'begin update t set x = 1; end';\nalter table t alter column x set not null;",
    ],
    ['data that a function may change first', 'select fix();\nalter table t alter column x set not null;'],
    [
      'a foreign key with MATCH FULL',
      'create table o (x int primary key); insert into o values (5);\nupdate t set x = 5; alter table t add foreign key (x) references o match full;',
    ],
  ])('leaves %s to Postgres', async (_, sql) => {
    const table = {
      '1_table.sql': `create table t (x int); insert into t values (null);
create function fix() returns void language sql as 'update t set x = 1';`,
    };
    await scenario.run(table);
    expect((await scenario.run({ ...table, '2_test.sql': sql })).outcome).toBe('done');
  });

  exhaustive.it.each([
    [
      'several columns',
      'unique (a, b)',
      '1 value of (a, b) occurs in more than one row of t, such as (1,2) in 2 rows.',
    ],
    // NULLS NOT DISTINCT came with 15.
    ...(serverMajor < 15
      ? []
      : [
          [
            'nulls that are the same',
            'unique nulls not distinct (c)',
            '1 value of (c) occurs in more than one row of t, such as () in 3 rows.',
          ],
        ]),
  ])('finds duplicates of %s', async (_, constraint, sentence) => {
    const table = {
      '1_table.sql': 'create table t (a int, b int, c int); insert into t values (1, 2), (1, 2), (1, null);',
    };
    await scenario.run(table);
    expect(
      (await scenario.failure({ ...table, '2_u.sql': `alter table t add ${constraint};` })).message,
    ).toContain(sentence);
  });

  it('finds duplicates where the index looks, and nowhere else', async () => {
    const table = {
      '1_table.sql': 'create table t (a int, live boolean); insert into t values (1, false), (1, true);',
    };
    await scenario.run(table);
    const partial = { ...table, '2_u.sql': 'create unique index on t (a) where live;' };
    expect((await scenario.run(partial)).outcome).toBe('done');
  });

  exhaustive.it('finds orphans by several columns, and takes a row half of nulls for none', async () => {
    const table = {
      '1_table.sql': `create table p (a int, b int, primary key (b, a)); insert into p (a, b) values (1, 2);
create table c (a int, b int); insert into c values (2, 1), (1, 2), (9, null);`,
    };
    await scenario.run(table);
    const { message } = await scenario.failure({
      ...table,
      '2_fk.sql': 'alter table c add foreign key (b, a) references p;',
    });
    expect(message).toContain('1 row of c refers by b, a to rows missing from p, such as (1,2).');
  });
});

describe('a unique index that the loop builds', () => {
  const table = {
    '1_table.sql':
      'create table t (x int, y int); insert into t select i, i / 2 from generate_series(1, 300) i;',
  };
  const unique = {
    ...table,
    '2_unique.sql': 'create unique index concurrently t_y on t (y) where y > 10;',
    '3_after.sql': 'create table after ();',
  };

  it('fails before it is begun, shows the duplicates, and stops nothing else', async () => {
    await scenario.run(table);
    const { outcome, message } = await scenario.deploy(unique);
    expect(outcome).toBe('failed');
    expect(message.replace(/Such as .*? Leave/, 'Such as …. Leave')).toBe(
      't_y on public.t (2_unique.sql:1) failed before it started: could not create unique index "t_y": 139 values of (y) in more than one row (SQLSTATE 23505); Such as …. Leave one row of each, then retry. Nothing was built. Next: fix the cause, then run again (or the action retry).',
    );
    expect(message).toMatch(/Such as \(\d+\) in 2 rows, /);
    expect(await scenario.indexes()).toEqual([]);
    expect(scenario.events.some(({ kind }) => kind === 'started')).toBe(false);
    expect(await scenario.query("select to_regclass('after')::text as after")).toEqual([{ after: 'after' }]);
  });

  exhaustive.it('is built by the next deploy, once they are gone', async () => {
    await scenario.run(table);
    await scenario.deploy(unique);
    await scenario.query('update t set y = x');
    expect(await scenario.deploy(unique)).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.indexes()).toEqual(['t_y']);
  });
});
