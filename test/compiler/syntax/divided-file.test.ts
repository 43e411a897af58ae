import { describe, expect, it } from 'vitest';
import { compileFiles, outline, refusalOf as refusalOfFiles } from '../compile-text.ts';

/** Where the folder is not said to be the tool's. */
const refusalOf = (files: Readonly<Record<string, string>>) => refusalOfFiles(files, { layout: 'plain' });

/** The comments between which a tool has its two parts, as the tool itself takes them. */
const DIVISIONS: readonly (readonly [tool: string, up: string, down: string])[] = [
  ['dbmate', '-- migrate:up', '-- migrate:down'],
  ['dbmate', '--migrate:up transaction:false', '--   migrate:down'],
  ['goose', '-- +goose Up', '-- +goose Down'],
  ['goose', '-- +GOOSE UP', '--    +goose   down'],
  ['sql-migrate', '-- +migrate Up notransaction', '-- +migrate Down'],
  ['micrate', '-- +micrate Up', '-- +micrate Down'],
  ['micrate', '-- +micrate up', '-- +micrate down'],
  ['rambler', '-- rambler up', '-- rambler down'],
  ['rambler', '--rambler  up', '--rambler  down'],
  ['tern', '', '---- create above / drop below ----'],
  ['tern', '', '----create above/drop below----'],
  ['tern', '-- people', '---- CREATE ABOVE / DROP BELOW ----'],
  ['shmig', '-- ==== UP ====', '-- ==== DOWN ===='],
  ['shmig', '--====  UP  ====', '--====  DOWN  ===='],
  ['MyBatis Migrations', '-- // people', '-- //@UNDO'],
  ['MyBatis Migrations', '--// people', '--//@UNDO'],
  ['MyBatis Migrations', '-- // people', '-- // @Undo'],
  ['MyBatis Migrations', '-- people', '-- @UNDO'],
  ['Play', '-- !Ups', '-- !Downs'],
  ['Play', '--- !Ups', '--- !Downs'],
  ['Mojo::Pg', '-- 1 up', '-- 1 down'],
  ['Mojo::Pg', '--20240101 UP', '-- 20240101 Down'],
  ['node-pg-migrate', '-- Up Migration', '-- Down Migration'],
  ['node-pg-migrate', '--- up migration', '  ---- DOWN   MIGRATION ----'],
  ['node-pg-migrate', '', '-- Down Migration (drops people)'],
];

const MADE = 'create table people (id int);';
const GONE = 'drop table people;';

describe('a file that holds a part to undo', () => {
  it.each(DIVISIONS)('as %s has it, with %s and %s, is refused at the comment', (tool, up, down) => {
    const refusal = refusalOf({ '1_people.sql': `${up}\n${MADE}\n\n${down}\n${GONE}\n` });
    expect(refusal).toContain(
      `This file is divided as ${tool} does it, into a part to apply and a part to undo`,
    );
    expect(refusal).toMatch(/^1_people\.sql:\d+:\d+: /);
  });

  it.each(DIVISIONS)('as %s has it, with %s and %s, is refused in a file to undo too', (tool, up, down) => {
    const refusal = refusalOf({ '1_a.sql': MADE, '1_a.down.sql': `${up}\n${MADE}\n\n${down}\n${GONE}\n` });
    expect(refusal).toContain(`1_a.down.sql:`);
    expect(refusal).toContain(`This file is divided as ${tool} does it`);
  });

  it.each([
    ['-- Up', '-- Down'],
    ['--up', '--down'],
    ['-- @up', '-- @down'],
    ['-- +up', '-- +down'],
    ['-- [UP]', '-- [DOWN]'],
    ['-- ####### UP #######', '-- ####### DOWN #######'],
    ['-- +mig Up', '-- +mig Down'],
    ['', '-- Rollback'],
    ['', '-- ROLLBACK:'],
    ['-- people', '-- Undo'],
    ['-- migrate', '-- revert'],
    ['', '-- Down migration:'],
    ['-- UP SQL', '-- DOWN SQL'],
    ['-- up script', '-- down script'],
    ['-- section: up', '-- section: down'],
    ['-- name: up', '-- name: down'],
    ['-- direction: up', '-- direction: down'],
    ['/* Up */', '/* Down */'],
    ['/**** UP MIGRATION ****/', '/**** DOWN MIGRATION ****/'],
    ['/* @UP */', '/* @DOWN */'],
    ['-- people.up.sql', '-- down.sql'],
    ['-- pgmigrate:up', '-- pgmigrate:down'],
    ['-- @db/up', '-- @db/down'],
    ['-- tool: up', '-- tool: rollback'],
    ['-- Forward migration', '-- Backward migration'],
    ['-- Upgrade script', '-- Downgrade'],
    ['', '-- Reverse migration'],
    ['', '-- To roll back'],
    ['', '-- Rollback script below'],
    ['', '-- SQL to undo'],
    ['', '-- {{down}}'],
    ['', '-- ⬇️ Down'],
    ['-- 1. UP', '-- 2. DOWN'],
    ['-- V1 up', '-- V1 down'],
    ['-- Step 1: up', '-- Step 2: down'],
    ['--region Up', '--region Down'],
    ['-- #region up', '-- #region rollback'],
    ['-- begin up', '-- begin down'],
    ['', '-- Rollback statements:'],
    ['-- 001_people.up.sql', '-- 001_people.down.sql'],
    ['', '-- file: migrations/down.sql'],
    ['-- Create', '-- Drop'],
    ['', '--- Drop'],
    ['', '---- DROP BELOW ----'],
    ['-- Deploy flipr:users to pg', '-- Revert flipr:users from pg'],
    ['-- install', '-- uninstall'],
    ['-- Setup', '-- Teardown'],
    ['', '-- Rollback script for 001, as reviewed'],
    ['', '-- SQL in this section is executed when the migration is rolled back.'],
    ['', '-- Write your migrate down statements here. If this migration is irreversible'],
    ['', '-- Откат'],
    ['-- 升级', '-- 回滚'],
  ])('with %s and %s, as no tool alone has it, is refused', (up, down) => {
    expect(refusalOf({ '1_people.sql': `${up}\n${MADE}\n\n${down}\n${GONE}\n` })).toMatch(
      /This file is divided .*into a part to apply and a part to undo/,
    );
  });

  it.each([
    [
      'alter table a add b int, add constraint c check (b > 0);',
      'alter table a drop constraint c, drop column b;',
    ],
    [
      `create type e as enum ('a'); create table t (x e, y int); create index on t (y); comment on table t is 'x';
insert into t values ('a', 1); create function f() returns int language sql as 'select 1';
create trigger g after insert on t execute function g(); grant select on t to public;`,
      'drop trigger g on t; drop function f(); drop table t; drop type e;',
    ],
    [
      'begin; create schema s; create view s.v as select 1; commit;',
      'begin; drop view s.v; drop schema s; commit;',
    ],
  ])('that drops, below a comment of any words, all that it makes is refused: %s', (made, gone) => {
    expect(refusalOf({ '1_a.sql': `${made}\n\n-- As it was before\n${gone}\n` })).toContain(
      'This file is divided',
    );
  });

  it("with Play's number signs, which are no comments to PostgreSQL, is refused as Play's", () => {
    const refusal = refusalOf({ '1_a.sql': `# people\n\n# --- !Ups\n${MADE}\n# --- !Downs\n${GONE}\n` });
    expect(refusal).toContain('1_a.sql:3:1: This file is divided as Play does it');
  });

  it('the part to undo may stand first', () => {
    expect(refusalOf({ '1_a.sql': `-- Down\n${GONE}\n-- Up\n${MADE}\n` })).toContain(
      '1_a.sql:1:1: This file',
    );
  });
});

describe('a comment that divides nothing', () => {
  it.each([
    ['a sentence', `-- Down migration: drops people, see 1_people.down.sql\n${MADE}`],
    ['a sentence between statements', `${MADE}\n-- Down migration: drops it\nselect 1;`],
    ['a headline of the only part', `-- Up migration\n${MADE}`],
    ['a word about the data', `${MADE}\n-- reverse\nselect reverse('a');\n-- forward\nselect 1;`],
    ['a backup', `-- back up\n${MADE}\n-- backup script\nselect 1;`],
    ['a block that says more', `${MADE}\n/* Down below, people are\n   filled. */\nselect 1;`],
    ['a note', `${MADE}\n-- note: slow down\nselect 1;\n-- step: two\nselect 2;`],
    ['words that end in up and down', `-- clean up\n${MADE}\n-- tear down\nselect 1;`],
    ['an undo in comments', `${MADE}\n\n-- Rollback:\n-- drop table people;\n`],
    [
      'an undo in comments, and more below',
      `${MADE}\n-- Rollback:\n-- drop table people;\n\ncreate table b ();`,
    ],
    ['a scratch table', `create table x (id int);\nupdate y set a = 1 from x;\n-- drop\ndrop table x;`],
    ['a table that goes, beside one that stays', `${MADE}\ncreate table x ();\n-- drop\ndrop table x;`],
    ['a table of an earlier file that goes', `${MADE}\n-- the old one\ndrop table persons;`],
    ['a column for another', `alter table a add b int;\n-- replaces c\nalter table a drop c;`],
    ['no comment between', `-- for a moment\n${MADE} ${GONE}`],
    [
      'columns that change their type',
      `alter table a add b int;\n-- and\nalter table a alter b type bigint;`,
    ],
    ['no part at all', '-- down\n'],
    ['prose', `${MADE}\n-- Down payments, in cents\ncreate table b ();\n-- version 2: upgrades\nselect 1;`],
    ['a comment within a statement', `create table people (\n  -- up\n  a int,\n  -- down\n  b int\n);`],
    ['a comment behind a statement', `${MADE} -- down\nselect 1;`],
    ['a string', `select '\n-- Down Migration\n';`],
    ['the body of a function', `do $$\n-- rambler down\nbegin\nend $$;`],
  ])('%s', (_, text) => {
    expect(compileFiles({ '1_people.sql': text }).migrations).toHaveLength(1);
  });

  it.each([
    `-- Down migration: drops people\n${GONE}`,
    `-- Down Migration\n${GONE}`,
    `-- DOWN\n${GONE}`,
    `-- ROLLBACK\n${GONE}`,
    `-- Undo of 1_people\n${GONE}`,
  ])('the headline of a file to undo: %s', (text) => {
    const [migration] = compileFiles({ '1_people.sql': MADE, '1_people.down.sql': text }).migrations;
    expect(migration?.undo?.steps).toHaveLength(1);
    expect(migration && outline(migration)).toEqual(['transaction: create table people (id int)']);
  });
});
