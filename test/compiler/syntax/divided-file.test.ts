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
  ])('with %s and %s, as no tool alone has it, is refused', (up, down) => {
    expect(refusalOf({ '1_people.sql': `${up}\n${MADE}\n\n${down}\n${GONE}\n` })).toMatch(
      /This file is divided .*into a part to apply and a part to undo/,
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
