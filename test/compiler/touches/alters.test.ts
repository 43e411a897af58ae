import { expect, it } from 'vitest';
import { statementsOf } from '../../../lambda/migration/migration.ts';
import { compileText } from '../compile-text.ts';

const altersOf = (sql: string) => {
  const [step] = compileText(sql).steps;
  const alters = step === undefined ? undefined : statementsOf(step)[0]?.alters;
  return Array.isArray(alters)
    ? alters.map(({ schema, name }) => (schema === undefined ? name : `${schema}.${name}`))
    : alters;
};

it.each([
  ['update t set x = 1', ['t']],
  ['with gone as (delete from a.old returning *) insert into t select * from gone', ['t', 'a.old']],
  ['create table t (x int references other)', ['t']],
  ['alter table t drop column x', ['t']],
  ['alter table t alter x type bigint', ['t']],
  ['drop table t', ['t']],
  ['truncate t', ['t']],
  ['alter table t rename to u', ['t']],
  ['drop table t cascade', 'everything'],
  ["do 'begin end'", 'everything'],
  ['call p()', 'everything'],
  ['select backfill()', 'everything'],
  ['insert into t select backfill(id) from u', 'everything'],
  ['create table t as select app.backfill()', 'everything'],
  ['update t set x = (select max(backfill(id)) from u)', 'everything'],
  ['with a as (select backfill()) delete from t using a', 'everything'],
  ['insert into t select gen_random_uuid(), count(*), lower(min(x)) from generate_series(1, 2) x', ['t']],
  ['set search_path = app', 'names'],
  ['set local search_path = app', 'names'],
  ["select set_config('search_path', 'app', false)", 'names'],
  ['set role app', 'names'],
  ['reset all', 'names'],
])('%s: its rows and columns may be others afterwards', (sql, expected) => {
  const found = altersOf(sql);
  expect(Array.isArray(found) ? [...found].sort() : found).toEqual(
    Array.isArray(expected) ? [...expected].sort() : expected,
  );
});

it.each([
  ['alter table t alter x type text, alter y set storage external', ['x', 'y']],
  ['alter table t alter x type text, add column z int', ['x']],
  ['alter table t alter x type text, drop column z', undefined],
])('%s: which columns may be others', (sql, columns) => {
  const [step] = compileText(sql).steps;
  expect(step && statementsOf(step)[0]?.alters).toEqual([
    { schema: undefined, name: 't', ...(columns && { columns }) },
  ]);
});

it.each([
  'alter table t add constraint c check (x > 0) not valid',
  'alter table t validate constraint c, alter x set not null, add column y int',
  'create index on t (x)',
  'create view v as select backfill()',
  'drop index t_x',
  'create trigger g after insert on t execute function f()',
  'comment on table t is $$a table$$',
  "set lock_timeout = '1s'",
])('%s: they are as they were', (sql) => {
  expect(altersOf(sql)).toEqual([]);
});
