import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { freshScenario, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario();
});

const how = async (sql: string): Promise<string[]> =>
  (await scenario.run({ '1_file.sql': sql })).applied.map(({ how }) => how);

describe('a file with', () => {
  it('ALTER TYPE … ADD VALUE may use the value right after it', async () => {
    expect(
      await how(`create type mood as enum ('ok');
create table people (mood mood);
alter type mood add value 'happy' after 'ok';
insert into people values ('happy');`),
    ).toEqual(['transaction', 'transaction', 'transaction']);
    expect(await scenario.query('select * from people')).toEqual([{ mood: 'happy' }]);
  });

  it('a DO block that commits runs outside of a transaction', async () => {
    expect(
      await how(`create table batches (x int);
do $$ begin for i in 1..3 loop insert into batches values (i); commit; end loop; end $$;
insert into batches values (4);`),
    ).toEqual(['transaction', 'autocommit', 'transaction']);
    expect(
      await scenario.query('select count(distinct xmin::text)::int as transactions from batches'),
    ).toEqual([{ transactions: 4 }]);
  });

  exhaustive.it('a procedure that commits, called where it was created', async () => {
    expect(
      await how(`create table batches (x int);
create procedure fill() language plpgsql as $$ begin insert into batches values (1); commit; insert into batches values (2); end $$;
call fill();`),
    ).toEqual(['transaction', 'autocommit']);
    expect(await scenario.query('select * from batches')).toEqual([{ x: 1 }, { x: 2 }]);
  });

  exhaustive.it('a procedure that commits, which nobody could see, says how to write it', async () => {
    await scenario.query(
      `create procedure hidden() language plpgsql as $$ begin commit; end $$; create table t ()`,
    );
    const error = await scenario.failure({ '1_file.sql': 'call hidden();' });
    expect(error.message).toBe(
      [
        '1_file.sql:1:1: This statement failed.',
        'Postgres: invalid transaction termination (SQLSTATE 2D000)',
        'Context: PL/pgSQL function hidden() line 1 at COMMIT',
        'Statement: call hidden()',
        'Applied: nothing by this run before it; nothing of 1_file.sql.',
        'Next: it commits by itself: put "-- migrate: no-transaction" into 1_file.sql, then run again.',
      ].join('\n'),
    );
    expect(await how('-- migrate: no-transaction\ncall hidden();')).toEqual(['autocommit']);
  });

  it('VACUUM, between what is transactional', async () => {
    expect(await how('create table t (x int); vacuum (analyze) t; insert into t values (1);')).toEqual([
      'transaction',
      'autocommit',
      'transaction',
    ]);
    expect(await scenario.steps()).toEqual(['1.0 applied', '1.1 applied', '1.2 applied']);
  });

  it('a failing autocommit statement leaves no row behind, and is tried again by the next run', async () => {
    const error = await scenario.failure({ '1_file.sql': 'create table t ();\nvacuum missing;' });
    expect(error.message).toBe(
      [
        '1_file.sql:2:1: This statement failed.',
        'Postgres: relation "missing" does not exist (SQLSTATE 42P01)',
        'Statement: vacuum missing',
        'Applied: 1_file by this run; nothing of step 2 of 1_file.sql.',
        "Next: see that an earlier file creates it, and that its schema is in the search_path (show search_path; the connection's, the role's, the file's), or write the name with its schema; correct 1_file.sql and run again; the run continues with this step.",
      ].join('\n'),
    );
    expect(await scenario.steps()).toEqual(['1.0 applied']);
    expect(await how('create table t ();\nvacuum t;')).toEqual(['autocommit']);
  });

  it('its own BEGIN and COMMIT has the transactions that they say, with their isolation', async () => {
    expect(
      await how(`create table seen (level text, read_only text);
begin isolation level serializable;
insert into seen values (current_setting('transaction_isolation'), current_setting('transaction_read_only'));
commit;
insert into seen values (current_setting('transaction_isolation'), current_setting('transaction_read_only'));
begin read only; select 1; commit;`),
    ).toEqual(['transaction', 'transaction', 'transaction', 'transaction']);
    expect(await scenario.query('select * from seen')).toEqual([
      { level: 'serializable', read_only: 'off' },
      { level: 'read committed', read_only: 'off' },
    ]);
  });

  exhaustive.it(
    'SET TRANSACTION first has that isolation, also after a file that has left settings',
    async () => {
      await scenario.run({
        '1_seen.sql':
          'create table seen (level text); set work_mem = 12345; create temporary table x (y int);',
        '2_level.sql': `set transaction isolation level repeatable read;
insert into seen values (current_setting('transaction_isolation'));`,
        '3_serializable.sql': `set search_path = public; select pg_catalog.set_config('a.b', 'c', false);
select now(); commit; begin isolation level serializable, deferrable;
insert into seen values (current_setting('transaction_isolation')); commit;`,
      });
      expect(await scenario.query('select * from seen')).toEqual([
        { level: 'repeatable read' },
        { level: 'serializable' },
      ]);
    },
  );

  exhaustive.it(
    'SET TRANSACTION READ ONLY is recorded although it may write nothing, and refused a write',
    async () => {
      expect(await how('set transaction read only; select 1;')).toEqual(['transaction']);
      const error = await scenario.failure({
        '1_file.sql': 'set transaction read only; select 1;',
        '2_writes.sql': 'begin read only;\ncreate table t ();\ncommit;',
      });
      expect(error.message).toContain(
        '2_writes.sql:2:1: This statement failed.\nPostgres: cannot execute CREATE TABLE in a read-only transaction (SQLSTATE 25006)',
      );
    },
  );

  exhaustive.it('a savepoint rolls back to it, and the rest is applied', async () => {
    await how(
      `create table t (x int); savepoint a; insert into t values (1); rollback to a; insert into t values (2);`,
    );
    expect(await scenario.query('select * from t')).toEqual([{ x: 2 }]);
  });

  exhaustive.it('deferred constraints fails at its COMMIT, as a whole', async () => {
    const error = await scenario.failure({
      '1_file.sql': `
create table a (id int primary key);
create table b (a int references a deferrable initially deferred);
insert into b values (7);`,
    });
    expect(error.message).toBe(
      [
        '1_file.sql:2:1: The transaction that begins here failed at its COMMIT, where deferred constraints are checked.',
        'Postgres: insert or update on table "b" violates foreign key constraint "b_a_fkey" (SQLSTATE 23503)',
        'Detail: Key (a)=(7) is not present in table "a".',
        'Object: table public.b, constraint b_a_fkey',
        'Applied: nothing by this run before it; nothing of 1_file.sql.',
        'Next: fix the rows that are in the way, in a file before 1_file.sql, or correct 1_file.sql; then run again; the run continues with this step.',
      ].join('\n'),
    );
    expect(await scenario.steps()).toEqual([]);
    expect(await scenario.query(`select to_regclass('a') as a`)).toEqual([{ a: null }]);
  });

  exhaustive.it('text that only looks like statements is left as it is', async () => {
    await how(`create table t (x text);
insert into t values ('; commit; -- not a comment'), ($q$ ; drop table t; $q$), (E'it\\'s; /* no */');
create function f() returns text language sql as $$ select 'a;b'; $$;`);
    expect(await scenario.query('select x from t')).toEqual([
      { x: '; commit; -- not a comment' },
      { x: ' ; drop table t; ' },
      { x: "it's; /* no */" },
    ]);
  });
});
