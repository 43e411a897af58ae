import { describe, expect, it } from 'vitest';
import { compileFiles, compileStatement, compileText } from '../compile-text.ts';

const settingsOf = (sql: string) => compileText(sql).steps.map(({ settings }) => settings);

describe('the settings of a step', () => {
  it('are those that the steps before it in the file left behind, in order', () => {
    expect(
      settingsOf(`
        set search_path = a;
        SET  work_mem TO '1GB' ;
        vacuum;
        select 1;
        select pg_catalog.set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false);
        vacuum;
        reset work_mem;
        set role someone;
        set session authorization other;
        set session characteristics as transaction isolation level serializable;
        set time zone 'UTC';
        vacuum;
      `),
    ).toEqual([
      [],
      ['set search_path = a', "SET  work_mem TO '1GB'"],
      ['set search_path = a', "SET  work_mem TO '1GB'"],
      [
        'set search_path = a',
        "SET  work_mem TO '1GB'",
        "select pg_catalog.set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)",
      ],
      [
        'set search_path = a',
        "SET  work_mem TO '1GB'",
        "select pg_catalog.set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)",
      ],
      [
        'set search_path = a',
        "SET  work_mem TO '1GB'",
        "select pg_catalog.set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)",
        'reset work_mem',
        'set role someone',
        'set session authorization other',
        'set session characteristics as transaction isolation level serializable',
        "set time zone 'UTC'",
      ],
    ]);
  });

  it('are not those that end with their transaction', () => {
    expect(
      settingsOf(`
        set transaction isolation level serializable;
        set local work_mem = '1GB';
        set constraints all deferred;
        select set_config('a.b', 'c', true);
        vacuum;
      `),
    ).toEqual([[], []]);
  });

  it('are not what is more than a setting and must not be sent twice', () => {
    expect(
      settingsOf(`
        select set_config('a.b', 'c', false), f();
        select set_config('a.b', x, false) from t;
        select set_config('a.b', 'c', local) from t;
        select set_config('a.b', 'c', false), set_config('a.c', 'd', true);
        select set_config('a.b', nextval('s')::text, false);
        select set_config('a.b', 'c', false) into kept;
        vacuum;
      `),
    ).toEqual([[], []]);
  });

  it.each([
    "select 1, set_config('a.b', 'c', false) as x, current_user",
    "select set_config('a.b', 'c', false) where true",
    "select set_config(name, value, false) from (values ('a.b', 'c'), ('a.c', 'd')) as given (name, value)",
    "select set_config('search_path', 'app,' || current_setting('search_path'), false)",
    "select pg_catalog.set_config('search_path', pg_catalog.concat_ws(',', 'app', pg_catalog.current_setting('search_path', true)), false)",
    "with given as (select 'a.b' as name, 'c' as value) select set_config(name, value, false) from given",
    "select set_config('a.b', concat('c', upper('d')), 'off') union all select set_config('a.c', 'd', false)",
  ])('are those of a SELECT that can be sent again: %s', (sql) => {
    expect(settingsOf(`${sql}; vacuum;`)).toEqual([[], [sql]]);
  });

  it('are gone after DISCARD ALL', () => {
    expect(settingsOf('set search_path = a; discard all; set work_mem = 5; vacuum')).toEqual([
      [],
      ['set search_path = a'],
      [],
      ['set work_mem = 5'],
    ]);
  });

  it('are not those that ROLLBACK TO took back', () => {
    expect(
      settingsOf(`
        begin;
        set a.a = 1;
        savepoint s;
        set a.b = 1;
        rollback to s;
        set a.c = 1;
        commit;
        vacuum;
      `)[1],
    ).toEqual(['set a.a = 1', 'set a.c = 1']);
  });

  it('never come from another file', () => {
    const { migrations } = compileFiles({
      '1_a.sql': 'set search_path = a',
      '1_a.down.sql': 'vacuum',
      '2_b.sql': 'vacuum',
    });
    expect(migrations[0]?.undo?.steps[0]?.settings).toEqual([]);
    expect(migrations[1]?.steps[0]?.settings).toEqual([]);
  });
});

describe('something may stay in the session after', () => {
  it.each([
    'set search_path = a',
    'set role a',
    'reset all',
    'set session characteristics as transaction read only',
    "select set_config('a', 'b', false)",
    "select set_config('a', 'b', x) from t",
    'select my_function()',
    'insert into a select my_function()',
    'update a set b = my_function()',
    "update pg_settings set setting = '5MB' where name = 'work_mem'",
    'with x as (select my_function()) select * from x',
    'create temp table a ()',
    'create temporary view a as select 1',
    'create temp sequence a',
    'create table pg_temp.a ()',
    'create temp table a as select 1',
    'select 1 into temp a',
    'prepare a as select 1',
    'execute a',
    'listen a',
    "load 'x'",
    'declare a cursor with hold for select 1',
    'do $$ begin end $$',
    'call a()',
    'explain analyze select my_function()',
    "copy (select my_function()) to '/x'",
  ])('%s', (sql) => {
    expect(compileStatement(sql).step.leavesSettings).toBe(true);
  });
});

describe('nothing stays in the session after', () => {
  it.each([
    'set local a.b = 1',
    "set transaction snapshot 'x'",
    "select set_config('a', 'b', true)",
    'select 1',
    "select setval('s', max(id)) from a",
    'create table a (id int default my_function(), created_at timestamptz default now())',
    'create index on a (my_function(x))',
    'alter table a add column b int default my_function()',
    'insert into a values (1, now(), gen_random_uuid())',
    "insert into a select id, coalesce(b, 'x'), lower(c) from b on conflict do nothing",
    'update a set b = count(*) over ()',
    'delete from a',
    'truncate a',
    'create view a as select my_function()',
    'create function f() returns int language sql begin atomic select my_function(); end',
    'create trigger t before insert on a for each row execute function my_function()',
    'declare a cursor for select 1',
    'refresh materialized view a',
    'create materialized view a as select 1',
    'drop table a',
    'grant select on a to b',
    'vacuum',
  ])('%s', (sql) => {
    expect(compileStatement(sql).step.leavesSettings).toBe(false);
  });
});
