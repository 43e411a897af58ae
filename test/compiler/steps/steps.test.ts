import { describe, expect, it } from 'vitest';
import type { Step } from '../../../lambda/migration/migration.ts';
import { compileFiles, compileStatement, compileText, outline } from '../compile-text.ts';

const outlineOf = (sql: string) => outline(compileText(sql));

describe('the steps of a file', () => {
  it('are one transaction for all that can run in one', () => {
    expect(
      outlineOf('create table a (); insert into b values (1); create index on a (x); do $$ begin end $$;'),
    ).toEqual([
      'transaction: create table a () | insert into b values (1) | create index on a (x) | do $$ begin end $$',
    ]);
  });

  it.each([
    ['nothing', ''],
    ['white space', ' \n\t\n'],
    ['comments', '-- nothing yet\n/* or /* here */ */\n'],
    ['semicolons', ';;\n;'],
    ['a BOM', '\ufeff'],
    ['a transaction without statements', 'begin; commit;'],
  ])('are one transaction without statements for a file of %s', (_what, sql) => {
    expect(outlineOf(sql)).toEqual(['transaction: ']);
  });

  it('stand in the order of the file, with transactions between those that can run in none', () => {
    expect(
      outlineOf(`
        create table a (x int);
        create index concurrently i on a (x);
        drop index concurrently j;
        alter table a add y int;
        alter table a add z int;
        vacuum a;
        select 1
      `),
    ).toEqual([
      'transaction: create table a (x int)',
      'index-operation: create index concurrently i on a (x)',
      'index-operation: drop index concurrently j',
      'transaction: alter table a add y int | alter table a add z int',
      'autocommit: vacuum a',
      'transaction: select 1',
    ]);
  });

  it('are numbered', () => {
    expect(compileText('vacuum; select 1; vacuum').steps.map(({ number }) => number)).toEqual([0, 1, 2]);
  });

  it('give ALTER TYPE … ADD VALUE a transaction of its own, and RENAME VALUE none', () => {
    expect(
      outlineOf(`
        create table a ();
        alter type t add value 'x';
        alter type t add value if not exists 'y' after 'x';
        insert into a values ('x');
        alter type t rename value 'x' to 'z';
      `),
    ).toEqual([
      'transaction: create table a ()',
      "transaction: alter type t add value 'x'",
      "transaction: alter type t add value if not exists 'y' after 'x'",
      "transaction: insert into a values ('x') | alter type t rename value 'x' to 'z'",
    ]);
  });
});

describe("the author's own transactions", () => {
  it('are steps, and BEGIN and COMMIT are in none', () => {
    expect(
      outlineOf('select 1; begin; select 2; select 3; commit; select 4; start transaction; select 5; end;'),
    ).toEqual([
      'transaction: select 1',
      'transaction: select 2 | select 3',
      'transaction: select 4',
      'transaction: select 5',
    ]);
  });

  it('keep their options', () => {
    const options = (sql: string) =>
      (compileText(sql).steps[0] as Extract<Step, { kind: 'transaction' }>).transaction;
    expect(options('begin; select 1; commit')).toEqual({});
    expect(options('begin isolation level serializable, read only, deferrable; select 1; commit')).toEqual({
      isolation: 'serializable',
      readOnly: true,
      deferrable: true,
    });
    expect(options('start transaction read write, not deferrable; select 1; commit')).toEqual({
      readOnly: false,
      deferrable: false,
    });
    expect(options('begin transaction isolation level repeatable read; select 1; commit')).toEqual({
      isolation: 'repeatable read',
    });
    expect(options('set transaction isolation level read committed; select 1')).toEqual({
      isolation: 'read committed',
    });
    expect(
      options(
        'begin isolation level serializable; set transaction isolation level read uncommitted; select 1; end',
      ),
    ).toEqual({ isolation: 'read uncommitted' });
    expect(
      options(
        'begin; set search_path = a; set transaction read only; set transaction deferrable; select 1; end',
      ),
    ).toEqual({ readOnly: true, deferrable: true });
  });

  it('end at a bare COMMIT, which is in no step either', () => {
    expect(outlineOf('commit; select 1; commit; select 2; commit; commit')).toEqual([
      'transaction: select 1',
      'transaction: select 2',
    ]);
  });

  it('continue after COMMIT AND CHAIN with the same options', () => {
    expect(
      outlineOf('begin isolation level serializable; select 1; commit and chain; select 2; commit; select 3'),
    ).toEqual([
      'transaction serializable: select 1',
      'transaction serializable: select 2',
      'transaction: select 3',
    ]);
  });

  it('may hold savepoints and what only a transaction can hold', () => {
    expect(
      outlineOf(
        'begin; savepoint a; lock table t; rollback to a; release a; declare c cursor for select 1; commit',
      ),
    ).toEqual([
      'transaction: savepoint a | lock table t | rollback to a | release a | declare c cursor for select 1',
    ]);
  });

  it('may hold ALTER TYPE … ADD VALUE, and what only the catalog could refuse', () => {
    expect(
      outlineOf(
        "begin; alter type t add value 'x'; drop subscription s; do $$ begin if false then commit; end if; end $$; end",
      ),
    ).toEqual([
      "transaction: alter type t add value 'x' | drop subscription s | do $$ begin if false then commit; end if; end $$",
    ]);
  });

  it('keep a late READ ONLY as the statement it is, since Postgres takes it', () => {
    expect(outlineOf('begin; select 1; set transaction read only; select 2; commit')).toEqual([
      'transaction: select 1 | set transaction read only | select 2',
    ]);
  });
});

describe('a file without transactions', () => {
  it('has a step for every statement', () => {
    expect(
      outlineOf(`
        -- migrate: no-transaction
        create table a ();
        insert into a values (1);
        create index concurrently on a (x);
        alter type t add value 'x';
        begin isolation level serializable;
        select 1;
        select 2;
        commit;
        set work_mem = '1GB';
      `),
    ).toEqual([
      'autocommit: create table a ()',
      'autocommit: insert into a values (1)',
      'index-operation: create index concurrently on a (x)',
      "autocommit: alter type t add value 'x'",
      'transaction serializable: select 1 | select 2',
      "autocommit: set work_mem = '1GB'",
    ]);
  });

  it('is only the one that says so, not its undo file', () => {
    const [migration] = compileFiles({
      '1_a.sql': '-- migrate: no-transaction\nselect 1; select 2;',
      '1_a.down.sql': 'select 3; select 4',
    }).migrations;
    expect(migration?.steps).toHaveLength(2);
    expect(migration?.undo?.steps).toHaveLength(1);
  });
});

describe('after a crash', () => {
  it.each([
    ['create database "D"', { kind: 'exists', object: 'database', name: 'D' }],
    ['drop database if exists d', { kind: 'absent', object: 'database', name: 'd' }],
    ["create tablespace t location '/x'", { kind: 'exists', object: 'tablespace', name: 't' }],
    ['drop tablespace t', { kind: 'absent', object: 'tablespace', name: 't' }],
    [
      "create subscription s connection '' publication p",
      { kind: 'exists', object: 'subscription', name: 's' },
    ],
    ['drop subscription s', { kind: 'absent', object: 'subscription', name: 's' }],
    ['alter subscription s refresh publication', { kind: 'repeat' }],
    ['alter subscription s set publication p', { kind: 'repeat' }],
    ['alter subscription s add publication p', { kind: 'ask' }],
    ["alter system set work_mem = '5MB'", { kind: 'repeat' }],
    ['alter database d set tablespace t', { kind: 'repeat' }],
    ['vacuum full', { kind: 'repeat' }],
    ['cluster', { kind: 'repeat' }],
    ['reindex schema s', { kind: 'repeat' }],
    ['discard all', { kind: 'repeat' }],
    ['alter table a detach partition b concurrently', { kind: 'ask' }],
    ["commit prepared 'x'", { kind: 'ask' }],
    ['do $$ begin commit; end $$', { kind: 'ask' }],
  ])('the fate of "%s" is known by %o', (sql, recovery) => {
    const { step } = compileStatement(sql);
    expect(step.kind === 'autocommit' && step.recovery).toEqual(recovery);
  });

  it.each([
    ['create table a ()', 'ask'],
    ['create table if not exists a ()', 'repeat'],
    ['insert into a values (1)', 'ask'],
    ['drop table a', 'ask'],
    ['drop table if exists a', 'repeat'],
    ['create or replace view a as select 1', 'repeat'],
    ['create view a as select 1', 'ask'],
    ["set work_mem = '1GB'", 'repeat'],
    ["comment on table a is 'x'", 'repeat'],
    ['refresh materialized view a', 'repeat'],
    ['select f()', 'ask'],
  ])('outside of a transaction "%s" is known by %s', (sql, kind) => {
    const { step } = compileStatement(`-- migrate: no-transaction\n${sql}`);
    expect(step.kind === 'autocommit' && step.recovery.kind).toBe(kind);
  });
});

describe('directives', () => {
  it('are read from comments of both kinds, anywhere', () => {
    const migration = compileText(
      [
        '-- migrate: wait',
        'select 1; -- migrate: allow plain-index the table is tiny',
        '/* migrate: allow drop-column nobody',
        '   reads it */',
        '--migrate:allow x y',
      ].join('\n'),
    );
    expect(migration.waitsForBuilds).toBe(true);
    expect(migration.allowed).toEqual([
      { rule: 'plain-index', reason: 'the table is tiny', position: { line: 2, column: 11 } },
      { rule: 'drop-column', reason: 'nobody reads it', position: { line: 3, column: 1 } },
      { rule: 'x', reason: 'y', position: { line: 5, column: 1 } },
    ]);
  });

  it.each([
    ['select f(x) from t', true],
    ['values (1)', true],
    ['table t', true],
    ['select 1 union select 2', true],
    ['with gone as (delete from t returning *) select * from gone', true],
    ['insert into t values (1) returning *', true],
    ['update t set x = 1 returning x', true],
    ['delete from t returning x', true],
    ['merge into t using s on true when matched then delete returning x', true],
    ['select 1 into s', undefined],
    ['create table s as select 1', undefined],
    ['insert into t select 1', undefined],
    ['delete from t', undefined],
    ['do $$ begin end $$', undefined],
    ['call p()', undefined],
    ['show all', undefined],
  ])('of a statement under hand-off it is known whether it has rows: %s', (sql, hasRows) => {
    expect(compileStatement(`-- migrate: hand-off\n${sql}`).step.long?.hasRows).toBe(hasRows);
  });

  it.each(['copy t to stdout', 'copy (select f(x) from t) to stdout', 'copy t from stdin'])(
    'hand-off is refused where a client is needed: %s',
    (sql) => {
      expect(() => compileText(`-- migrate: hand-off\n${sql};`)).toThrow(/COPY … .* client/);
    },
  );

  it('are not read from strings, names, bodies, or the middle of a comment', () => {
    const migration = compileText(`
      select '-- migrate: wait', "/* migrate: wait */", $$ -- migrate: nonsense $$, E'\\'-- migrate: nonsense';
      do $body$ begin /* migrate: wait */ end $body$;
      -- see "migrate: wait"
      /* -- migrate: nonsense */
      -- Migrate: the users first
    `);
    expect(migration.waitsForBuilds).toBe(false);
    expect(migration.allowed).toEqual([]);
  });
});
