import { expect } from 'vitest';
import { freshScenario, type Scenario } from './scenario.ts';

export const ROWS = 3_000;

/** A table of each kind of key, with gaps; `n` is what most statements work on. */
export const KEYS: readonly (readonly [name: string, table: string])[] = [
  [
    'an integer',
    'create table t (id int primary key, n int, m int); insert into t select g * 7, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'partitions',
    'create table t (id int, n int, m int, primary key (id)) partition by range (id); create table t1 partition of t for values from (0) to (1000); create table t2 partition of t for values from (1000) to (2000000) partition by range (id); create table t21 partition of t2 for values from (1000) to (5000); create table t22 partition of t2 for values from (5000) to (2000000); insert into t select g * 3, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'a bigint with huge gaps',
    'create table t (id bigint primary key, n int, m int); insert into t select g::bigint * 3000000000000 - 4000000000000000000, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'a uuid',
    'create table t (id uuid primary key default gen_random_uuid(), n int, m int); insert into t select md5(g::text)::uuid, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'a text with quotes and backslashes',
    `create table t (id text primary key, n int, m int); insert into t select 'it''s \\ "' || md5(g::text) || 'é', g % 11 from generate_series(1, ROWS) g`,
  ],
  [
    'a text of another collation',
    `create table t (id text collate "C" primary key, n int, m int); insert into t select chr(65 + g % 58) || g, g % 11 from generate_series(1, ROWS) g`,
  ],
  [
    'a varchar',
    'create table t (id varchar(20) primary key, n int, m int); insert into t select to_hex(g), g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'a timestamp with time zone',
    `create table t (id timestamptz primary key, n int, m int); insert into t select timestamptz '2024-03-30 22:00+01' + g * interval '1.000001 second', g % 11 from generate_series(1, ROWS) g`,
  ],
  [
    'a numeric',
    'create table t (id numeric primary key, n int, m int); insert into t select g / 7.0, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'two columns',
    'create table t (a int, b text, n int, m int, primary key (a, b)); insert into t select g % 5, to_hex(g), g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'two columns, descending',
    'create table t (a int not null, b int not null, n int, m int); create unique index on t (a desc, b desc); insert into t select g % 5, g, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'an inheritance tree',
    'create table t (id int primary key, n int, m int); create table kid (primary key (id)) inherits (t); insert into t select g, g % 11 from generate_series(1, 1000) g; insert into kid select g, g % 11 from generate_series(1, 2000) g',
  ],
  [
    'quoted names',
    'create table t ("The Key" int primary key, n int, m int); insert into t select g, g % 11 from generate_series(1, ROWS) g',
  ],
];

const STATEMENTS: readonly (readonly [name: string, sql: string])[] = [
  ['UPDATE', 'update t set m = n * 2 where m is null'],
  ['UPDATE that counts', 'update t set n = n + 1'],
  [
    'UPDATE with an alias, a comment and RETURNING',
    'update t as x set m = x.n -- twice\n  where x.n > 3 /* or more */ or x.n = 1 returning x.n',
  ],
  ['UPDATE FROM', 'update t set m = f.m from factor f where f.n = t.n and f.m % 2 = 0'],
  [
    'UPDATE with WITH and a sub-select',
    'with best as (select max(m) as m from factor) update t set m = (select b.m + t.n from best b) where exists (select from factor f where f.n = t.n)',
  ],
  ['DELETE', 'delete from t where n in (1, 2, 3)'],
  ['DELETE USING', 'delete from t using factor f where f.n = t.n and f.m > 40'],
  [
    'INSERT SELECT',
    'insert into copy (n, m) select t.n, f.m from t left join factor f on f.n = t.n where t.n <> 5 order by 1',
  ],
  ['INSERT ON CONFLICT', 'insert into best (n, m) select n, 1 from t where n > 2 on conflict (n) do nothing'],
];

const OTHERS = `create table factor (n int primary key, m int); insert into factor select g, g * g from generate_series(0, 10) g;
create table copy (n int, m int); create table best (n int primary key, m int)`;

const RESULT = `select md5(string_agg(line, ';' order by line)) as result, count(*)::int as rows from (
  select t::text as line from t union all select copy::text from copy union all select best::text from best) all_rows`;

export async function prepared(table: string): Promise<Scenario> {
  const scenario = await freshScenario();
  await scenario.query(`${table.replaceAll('ROWS', String(ROWS))}; ${OTHERS}; analyze`);
  return scenario;
}

export const file = (sql: string, options = 'batch 4ms'): Record<string, string> => ({
  '1_fill.sql': `-- migrate: backfill ${options}\n${sql};`,
});

/** The rows are those that the one statement makes of a table with such a key. */
export async function walkBy(_: string, table: string): Promise<void> {
  for (const [name, sql] of table === KEYS[0]?.[1] ? STATEMENTS : STATEMENTS.slice(0, 4)) {
    const plain = await prepared(table);
    await plain.query(sql);
    const [wanted] = await plain.query(RESULT);
    const scenario = await prepared(table);

    await scenario.run(file(sql));

    expect(await scenario.query(RESULT), name).toEqual([wanted]);
    const [{ batches = 0 } = {}] = await scenario.query<{ batches: number }>(
      'select sum(batches)::int as batches from migrations.backfill',
    );
    expect(batches, name).toBeGreaterThan(1);
  }
}
