import { beforeEach, describe, expect, it } from 'vitest';
import type { RunEvent } from '../../../lambda/run/run.ts';
import type { TurnEvent } from '../../../lambda/work/turn/turn-request.ts';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { freshOperator } from '../actions/operator.ts';
import { freshScenario, largeTable, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario();
});

/** A function that fails within another one. */
const NESTED = `create function inner_one(x int) returns int immutable language plpgsql
  as $$ begin execute 'select 1 / (' || x || ' - ' || x || ')'; return x; end $$;
create function outer_one(x int) returns int immutable language plpgsql as $$ begin return public.inner_one(x); end $$;`;
const CONTEXT = [
  'Context: SQL statement "select 1 / (7 - 7)"',
  '  PL/pgSQL function inner_one(integer) line 1 at EXECUTE',
  '  PL/pgSQL function outer_one(integer) line 1 at RETURN',
];

describe('an error has the failing function and line, whatever the step', () => {
  it.each(
    firstOf(3, [
      ['a transaction', '2_fails.sql', 'select outer_one(7);'],
      ['a statement by itself', '2_fails.sql', '-- migrate: no-transaction\nselect outer_one(7);'],
      [
        'an index on a new table',
        '2_fails.sql',
        'create table t as select 7 as x; create index on t (outer_one(x));',
      ],
    ]),
  )('%s', async (_, file, sql) => {
    const { message, details } = await scenario.failure({ '1_functions.sql': NESTED, [file]: sql });
    expect(message.replaceAll('public.', '').split('\n')).toEqual(expect.arrayContaining(CONTEXT));
    expect(details.fault?.context).toContain('inner_one(integer) line 1 at EXECUTE');
  });

  it.each(firstOf(1, ['loopback', 'attached'] as const))(
    'an index build in a session that is %s',
    async (kind) => {
      const own = await freshScenario({ dblink: kind === 'loopback' });
      const before = {
        '1_large.sql': `${NESTED}\n${largeTable('t').replace('select i, i', 'select 7 + i, 7')}`,
      };
      await own.run(before);
      const { message } = await own.deploy({
        ...before,
        '2_index.sql': 'create index concurrently t_x on t (outer_one(x));',
      });
      expect(
        await own.query(
          `select session, pg_catalog.replace(fault ->> 'context', 'public.', '') as context from migrations.index_build`,
        ),
      ).toEqual([
        { session: kind, context: CONTEXT.join('\n').replace('Context: ', '').replaceAll('  ', '') },
      ]);
      expect(message).toContain('inner_one(integer) line 1 at EXECUTE');
    },
  );

  exhaustive.it('an undo', async () => {
    const operator = await freshOperator();
    const files = {
      '1_functions.sql': NESTED,
      '2_a.sql': 'create table a ();',
      '2_a.down.sql': 'drop table a;\nselect outer_one(7);',
    };
    await operator.run(files);
    const refusal = await operator.refusal({ action: 'undo', to: '1', confirm: true, by: 'anna' }, files);
    expect(refusal.split('\n')).toEqual(expect.arrayContaining(CONTEXT));
  });

  exhaustive.it('a trigger that fails at COMMIT, where deferred constraints are checked', async () => {
    const { message } = await scenario.failure({
      '1_deferred.sql': `create table moms (id int primary key);
create table kids (mom int constraint has_mom references moms deferrable initially deferred);
insert into kids values (5);`,
    });
    expect(message).toContain('Object: table public.kids, constraint has_mom');
    expect(message).toContain('The transaction that begins here failed at its COMMIT');
  });

  exhaustive.it(
    'the statement within an SQL function, and the name that its search path does not have',
    async () => {
      const { message } = await scenario.failure({
        '1_f.sql': `create schema app; create function app.g(int) returns int language sql as 'select $1';
set check_function_bodies = off;
create function f(int) returns int language sql as 'select g($1)';
select f(1);`,
      });
      expect(message).toContain('Query: select g($1)');
      expect(message).toContain('Context: SQL function "f"');
      expect(message).toContain('Next: the name is used inside the function that Context names');
    },
  );
});

describe('an error names the object, and the advice fits the SQLSTATE', () => {
  it.each(
    firstOf(6, [
      [
        '23505',
        'create table t (a int constraint only_one unique); insert into t values (1), (1);',
        'Object: table public.t, constraint only_one',
        'fix the rows that are in the way',
      ],
      [
        '23502',
        'create table t (a int not null); insert into t values (null);',
        'Object: table public.t, column a',
        'fix the rows that are in the way',
      ],
      [
        '23514',
        'create domain d as int constraint positive check (value > 0); select (-1)::d;',
        'Object: type public.d, constraint positive',
        'fix the rows that are in the way',
      ],
      [
        '55006',
        'create table m (id int primary key); create table t (a int references m deferrable initially deferred); insert into m values (1); insert into t values (1); alter table t add b int;',
        '',
        'write COMMIT; between the change and this statement, or SET CONSTRAINTS ALL IMMEDIATE; before it',
      ],
      [
        '55006',
        `create table t (a int); do $$ declare r record; begin for r in select 1 from t union all select 1 loop alter table t add b int; end loop; end $$;`,
        '',
        'a query or cursor of this very session is still at work',
      ],
      ['42P01', 'select * from missing;', '', 'see that an earlier file creates it'],
      [
        '42P07',
        'create view t as select 1; create table t ();',
        '',
        'else drop or rename it, or write IF NOT EXISTS, which passes over whatever has the name, a view',
      ],
      [
        '2BP01',
        'create table t (a int); create view v as select a from t; drop table t;',
        'Detail: view v depends on table t',
        'other objects need it',
      ],
      ['42501', 'alter table pg_catalog.pg_class add x int;', '', 'let the role of the connection do it'],
      ['42501', 'create role somebody_else_entirely superuser;', '', 'let an administrator do it once'],
      ['42501', "set log_statement = 'all';", '', 'let an administrator do it once'],
      ['42501', 'create table pg_catalog.t ();', '', 'grant usage, create on schema'],
      ['55006', 'drop database "THIS";', '', 'other sessions use it'],
      [
        '42P13',
        "create function g() returns int language sql as 'select 1'; create or replace function g() returns text language sql as 'select 1::text';",
        '',
        'drop the function or view first',
      ],
      [
        '42P16',
        'create view v as select 1 as a, 2 as b; create or replace view v as select 1 as a;',
        '',
        'drop the function or view first',
      ],
      [
        '42P16',
        'create table t (a int primary key, b int); alter table t add primary key (b);',
        '',
        'correct',
      ],
      [
        '0A000',
        'create table t (a int); create view v as select a from t; alter table t alter column a type bigint;',
        'Detail: rule _RETURN on view v depends on column "a"',
        'drop what Detail names, alter the column',
      ],
      ['0A000', 'create extension no_such_extension;', '', 'the server has no such extension'],
      ['22001', "create table t (a varchar(2)); insert into t values ('abc');", '', 'a value does not fit'],
      ['22003', 'select 99999999999::int;', '', 'a value does not fit'],
      ['22023', 'set role nobody_has_this_name;', '', 'create the role in an earlier file'],
      ['22P02', "select 'x'::int;", '', 'a value does not fit'],
      ['3F000', 'create table nowhere.t ();', '', 'see that an earlier file creates it'],
      [
        '42701',
        'create table t (a int); alter table t add a int;',
        '',
        'it is there already: if by hand or by another tool, with all else that 1_file.sql does, record the whole file as applied (the action repair with as "applied", or baseline; where nothing of it is applied yet); else drop or rename it, or write ADD COLUMN IF NOT EXISTS; then',
      ],
      [
        '42P07',
        'create table a (); create table if not exists b (id int constraint a primary key);',
        'relation "a" already exists',
        'something has the name that IF NOT EXISTS does not pass over',
      ],
      [
        '42710',
        'create type t as enum (); create table if not exists t ();',
        '',
        'something has the name that IF NOT EXISTS does not pass over',
      ],
      ['42P06', 'create schema s; create schema s;', '', 'or write IF NOT EXISTS; then'],
      [
        '42710',
        'create type t as enum (); create type t as enum ();',
        '',
        'rename it, with DROP … IF EXISTS before the statement; then',
      ],
      [
        '42710',
        'create table t (a int); alter table t add constraint c check (a > 0); alter table t add constraint c check (a > 1);',
        '',
        'rename it, with DROP … IF EXISTS before the statement; then',
      ],
      [
        '42723',
        `create function f() returns int language sql as 'select 1'; create function f() returns int language sql as 'select 2';`,
        '',
        'or write CREATE OR REPLACE; then',
      ],
      [
        '42P07',
        'create view v as select 1; create view v as select 2;',
        '',
        'or write CREATE OR REPLACE; then',
      ],
      ['42809', 'create view v as select 1; drop table v;', '', 'belongs to another kind of object'],
      [
        '42809',
        'create table v (); create or replace view v as select 1;',
        '',
        'belongs to another kind of object',
      ],
      [
        '42P10',
        'create table t (a int); insert into t values (1) on conflict (a) do nothing;',
        '',
        'create a unique index or constraint on exactly these columns first',
      ],
      [
        '42830',
        'create table t (a int); create table u (a int references t (a));',
        '',
        'create a unique index or constraint on exactly these columns first',
      ],
      [
        '23514',
        'create table t (a int) partition by range (a); insert into t values (1);',
        '',
        'create the partition that the row needs',
      ],
      [
        '42501',
        'create table t (a int); alter table t enable row level security, force row level security; insert into t values (1);',
        'new row violates row-level security policy',
        'the policies of the table bind our role',
      ],
      ['42703', 'create table t (a int); select b from t;', '', 'correct 1_file.sql and run again'],
      [
        '42703',
        'create table t (a int); do $$ begin perform b from t; end $$;',
        '',
        'correct 1_file.sql and run again',
      ],
      [
        '42703',
        `create table t (a int); do $$ begin execute 'alter table t drop b'; end $$;`,
        'Context: SQL statement "alter table t drop b"',
        'correct 1_file.sql and run again',
      ],
      ['42P01', 'do $$ begin perform * from missing; end $$;', '', 'see that an earlier file creates it'],
      [
        '42703',
        `create table t (a int);
create function f() returns int language plpgsql as $$ begin return b from t; end $$;
do $$ begin perform f(); end $$;`,
        'Context: PL/pgSQL function f() line 1',
        'the function that Context names uses it, for a column, a variable or a field of NEW and OLD',
      ],
      [
        '42703',
        `create table t (a int);
create function g() returns trigger language plpgsql as $$ begin new.b := 1; return new; end $$;
create trigger g before insert on t for each row execute function g();
insert into t values (1);`,
        'Context: PL/pgSQL',
        'the function that Context names uses it, for a column, a variable or a field of NEW and OLD',
      ],
      ['25001', `do $$ begin execute 'vacuum'; end $$;`, '', 'it runs outside of a transaction only'],
      [
        '54011',
        `create table t (${Array.from({ length: 1_700 }, (_, at) => `c${at} int`).join()});`,
        '',
        'over a limit',
      ],
      [
        '55P04',
        `create type e as enum ('a'); commit; begin; alter type e add value 'b'; select 'b'::e; commit;`,
        '',
        'write COMMIT;',
      ],
      ['25006', 'set transaction read only; create table t ();', '', 'the session is read-only'],
      ['57014', `set statement_timeout = '50ms'; select pg_sleep(5);`, '', 'the statement was cancelled'],
      ['22012', 'select 1 / 0;', '', 'correct 1_file.sql and run again'],
      ['42601', `do $$ begin execute 'selekt'; end $$;`, '', 'correct 1_file.sql and run again'],
    ]),
  )('%s: %s', async (sqlstate, sql, shown, advice) => {
    const { message, details } = await scenario.failure({
      '1_file.sql': sql.replace('THIS', scenario.database.name),
    });
    expect(details.fault?.sqlstate).toBe(sqlstate);
    expect(message).toContain(shown);
    expect(details.next).toContain(advice);
    expect(details.next).toMatch(/run again/);
  });
});

type NoticeEvent = Extract<RunEvent | TurnEvent, { kind: 'notice' }>;
const told = (): string[] =>
  scenario.events
    .filter((event): event is NoticeEvent => event.kind === 'notice')
    .map(({ file, line, severity, message }) => `${file}:${line} ${severity} ${message}`);

describe('what a migration says by RAISE', () => {
  const everySeverity = `do $$ begin
  raise debug 'd %', 1; raise log 'l'; raise info 'i'; raise notice 'n'; raise warning 'w';
end $$;`;

  it('is told with its file and line, though fifty files travel in one message', async () => {
    await scenario.run({
      '1_a.sql': `create table a ();\n\n${everySeverity}`,
      '2_b.sql': 'drop table if exists missing;',
      '3_c.sql': `-- migrate: no-transaction\n${everySeverity}`,
      '4_d.sql': `set client_min_messages = error; ${everySeverity}`,
      '5_e.sql': `set client_min_messages = log; ${everySeverity}`,
    });
    expect(told()).toEqual([
      '1_a.sql:3 INFO i',
      '1_a.sql:3 NOTICE n',
      '1_a.sql:3 WARNING w',
      '2_b.sql:1 NOTICE table "missing" does not exist, skipping',
      '3_c.sql:2 INFO i',
      '3_c.sql:2 NOTICE n',
      '3_c.sql:2 WARNING w',
      '4_d.sql:1 INFO i',
      '5_e.sql:1 LOG l',
      '5_e.sql:1 INFO i',
      '5_e.sql:1 NOTICE n',
      '5_e.sql:1 WARNING w',
    ]);
  });

  exhaustive.it('is told of a deferred trigger at COMMIT, of a step that fails, and of an undo', async () => {
    await scenario.run({
      '1_deferred.sql': `create table t (a int);
create function say() returns trigger language plpgsql as $$ begin raise notice 'row %', new.a; return null; end $$;
create constraint trigger say after insert on t deferrable initially deferred for each row execute function say();
insert into t values (7);`,
    });
    await scenario.failure({ '2_fails.sql': `do $$ begin raise warning 'before'; end $$; select 1 / 0;` });
    expect(told()).toEqual(['1_deferred.sql:1 NOTICE row 7', '2_fails.sql:1 WARNING before']);
    const operator = await freshOperator();
    const files = { '1_a.sql': 'select 1;', '1_a.down.sql': `\ndo $$ begin raise notice 'undone'; end $$;` };
    await operator.run(files);
    await operator.act({ action: 'undo', to: '0', confirm: true, by: 'anna' }, files);
    expect(operator.events.filter(({ kind }) => kind === 'notice')).toMatchObject([
      { file: '1_a.down.sql', line: 2, severity: 'NOTICE', message: 'undone' },
    ]);
  });

  exhaustive.it('has a bound, in number and in length', async () => {
    await scenario.run({
      '1_much.sql': `do $$ begin
  for i in 1..20000 loop raise notice '%', i; end loop;
  raise warning '%', repeat('x', 100000);
end $$;`,
    });
    const lines = told();
    expect(lines).toHaveLength(52);
    expect(lines[50]).toBe('1_much.sql:1 NOTICE (more of these follow, and are not shown)');
    expect(lines[51]?.length).toBeLessThan(2_100);
  });

  exhaustive.it('is told once, though the step has to ask for its locks several times', async () => {
    await scenario.run({ '1_t.sql': 'create table t (a int);' });
    const holder = scenario.query(`begin; lock table t; select pg_sleep(1.5); commit`);
    await scenario.run({
      '1_t.sql': 'create table t (a int);',
      '2_t.sql': `do $$ begin raise notice 'once'; end $$; alter table t add b int;`,
    });
    await holder;
    expect(scenario.events.some(({ kind }) => kind === 'locked')).toBe(true);
    expect(told()).toEqual(['2_t.sql:1 NOTICE once']);
  });
});
