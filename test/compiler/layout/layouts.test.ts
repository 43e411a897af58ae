import { createHash } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileMigrationsSync } from '../../../compiler/steps/compile-migrations.ts';
import type { LayoutName } from '../../../lambda/migration/layout.ts';
import type { CompiledMigrations } from '../../../lambda/migration/migration.ts';
import { statementsOf } from '../../../lambda/migration/migration.ts';
import { writeRelationName } from '../../../lambda/migration/relation-name.ts';
import { compileFiles, folderOf, outline, refusalOf, refusalOfFolder } from '../compile-text.ts';

/** `id: what goes up / what goes down` */
function reading({ migrations }: CompiledMigrations): readonly string[] {
  return migrations.map((migration) => {
    const undo = migration.undo?.steps.flatMap(statementsOf).map(({ text }) => text);
    return [
      `${migration.version}: ${outline(migration).join(' + ')}`,
      ...(undo ? [undo.join(' | ')] : []),
    ].join(' / ');
  });
}

describe('Prisma', () => {
  it('every folder is a migration, two of one timestamp are two, in the order of their names', () => {
    const compiled = compileFiles({
      'migration_lock.toml': 'provider = "postgresql"\n',
      '20240101000000_b/migration.sql': 'create table b ();',
      '20240101000000_a/migration.sql': 'create table a ();',
      'without_digits/migration.sql': 'create table c ();',
      '20240101000000_a/down.sql': 'drop table a;',
    });
    expect(compiled).toMatchObject({ layout: 'prisma', order: 'text' });
    expect(reading(compiled)).toEqual([
      '20240101000000_a: transaction: create table a () / drop table a',
      '20240101000000_b: transaction: create table b ()',
      'without_digits: transaction: create table c ()',
    ]);
    expect(compiled.migrations[0]).toMatchObject({
      formerly: '20240101000000',
      record: { checksum: createHash('sha256').update('create table a ();').digest('hex') },
    });
  });

  it('a folder without its file, and a folder for another database, are refused', () => {
    const refusal = refusalOf({
      'migration_lock.toml': 'provider = "mysql"\n',
      '20240101000000_a/other.sql': '',
    });
    expect(refusal).toContain('migration_lock.toml: These migrations are for mysql');
    expect(refusal).toContain('20240101000000_a: The folder has no migration.sql.');
  });
});

describe('Drizzle', () => {
  const entry = (idx: number, tag: string, when: number) => ({
    idx,
    version: '7',
    when,
    tag,
    breakpoints: true,
  });
  const journal = (...entries: readonly object[]) =>
    JSON.stringify({ version: '7', dialect: 'postgresql', entries });

  it("the journal's order counts, with two of one number; what it does not list is not there", () => {
    const compiled = compileFiles({
      'meta/_journal.json': journal(
        entry(0, '0000_z', 1700000000000),
        entry(1, '0001_b', 1700000000001),
        entry(2, '0001_a', 1700000000002),
      ),
      '0000_z.sql': 'create table z ();--> statement-breakpoint\ncreate table y ();',
      '0001_a.sql': 'create table a ();',
      '0001_b.sql': 'create table b ();',
      '0009_forgotten.sql': 'no SQL at all',
    });
    expect(compiled).toMatchObject({ layout: 'drizzle', order: 'listed' });
    expect(reading(compiled)).toEqual([
      '0000_z: transaction: create table z () | create table y ()',
      '0001_b: transaction: create table b ()',
      '0001_a: transaction: create table a ()',
    ]);
    expect(compiled.migrations[2]?.record?.when).toBe(1700000000002);
  });

  it('of version 1 has folders, and their 14 digits are the time', () => {
    const compiled = compileFiles({
      '20250102030405_a/migration.sql': 'create table a ();',
      '20250102030405_a/snapshot.json': '{}',
      '20250102030405_b/migration.sql': 'create table b ();',
      '20250102030405_b/snapshot.json': '{}',
    });
    expect(compiled.layout).toBe('drizzle');
    expect(compiled.migrations.map(({ version, record }) => [version, record?.when])).toEqual([
      ['20250102030405_a', Date.UTC(2025, 0, 2, 3, 4, 5)],
      ['20250102030405_b', Date.UTC(2025, 0, 2, 3, 4, 5)],
    ]);
  });

  it('a file that the journal lists and the folder lacks is named', () => {
    expect(refusalOf({ 'meta/_journal.json': journal(entry(0, '0000_z', 1)) })).toContain(
      'meta/_journal.json: The journal lists 0000_z, and there is no 0000_z.sql.',
    );
  });
});

describe('dbmate', () => {
  it('the order is that of strings, the version that of the digits as written', () => {
    const compiled = compileFiles({
      '9_b.sql': '-- migrate:up\ncreate table b ();\n-- migrate:down\n',
      '10_a.sql': '-- a comment\n\n-- migrate:up\ncreate table a ();\n\n-- migrate:down\ndrop table a;\n',
      '0011_c.sql': '-- migrate:up transaction:false\nvacuum;\n-- migrate:down transaction:false\n',
      'schema.sql': 'what dbmate dumps',
    });
    expect(compiled).toMatchObject({ layout: 'dbmate', order: 'text' });
    expect(reading(compiled)).toEqual([
      '0011: autocommit: vacuum / ',
      '10: transaction: create table a () / drop table a',
      '9: transaction: create table b () / ',
    ]);
    expect(compiled.migrations[0]?.formerly).toBe('11');
  });

  it('places are those of the file', () => {
    const up = `-- migrate:up\n\ncreate table a ();\n  selct 1;\n-- migrate:down\n`;
    expect(refusalOf({ '1_a.sql': up })).toMatch(/^1_a\.sql:4:3: syntax error[^\n]*\n {6}selct 1;\n {6}\^/);
    const down = '-- migrate:up\n\n-- migrate:down\n\n  drop tabl a;\n';
    expect(refusalOf({ '1_a.sql': down })).toContain('1_a.sql:5:8: syntax error');
    const [migration] = compileFiles({
      '1_a.sql': '-- migrate:up\n\n  select 1;\n-- migrate:down\n',
    }).migrations;
    expect(migration && statementsOf(migration.steps[0] as never)[0]?.position).toEqual({
      line: 3,
      column: 3,
    });
  });

  it.each([
    [
      'select 1;\n-- migrate:up\n-- migrate:down\n',
      "1_a.sql:1:1: dbmate allows no statements above '-- migrate:up'.",
    ],
    ['-- migrate:up\n', "dbmate asks for a '-- migrate:down' below each '-- migrate:up'."],
    [
      '-- migrate:up\n-- migrate:down\n-- migrate:up\n-- migrate:down\n',
      '1_a.sql:3:1: This file has several parts',
    ],
    ['-- migrate:up mode:fast\n-- migrate:down\n', 'The option mode:fast of dbmate is not known here.'],
  ])('%j is refused', (text, refusal) => {
    expect(refusalOf({ '1_a.sql': text })).toContain(refusal);
  });
});

describe('goose', () => {
  it('reads both parts, without a transaction where the file says so, and blocks without a semicolon', () => {
    const compiled = compileFiles({
      '00001_a.sql':
        '-- +goose Up\n-- +goose StatementBegin\ncreate table a ()\n-- +goose StatementEnd\n-- +goose StatementBegin\ncreate table b ();\n-- +goose StatementEnd\n\n-- +goose Down\ndrop table a;\n',
      '00002_b.sql': '-- +goose NO TRANSACTION\n-- +goose UP\nvacuum;\nselect 1;\n-- +goose down\nvacuum;\n',
    });
    expect(compiled).toMatchObject({ layout: 'goose', order: 'number' });
    expect(reading(compiled)).toEqual([
      '1: transaction: create table a () | create table b () / drop table a',
      '2: autocommit: vacuum + autocommit: select 1 / vacuum',
    ]);
  });

  it('a migration in Go, and an annotation that goose does not take, are refused', () => {
    const refusal = refusalOf({
      '1_a.sql': '-- +goose Up\n  -- +goose StatementBegin\n',
      '2_b.go': 'package migrations',
      '2_b_test.go': 'package migrations',
    });
    expect(refusal).toContain('2_b.go: This migration is written in Go, and only SQL can be read.');
    expect(refusalOf({ '1_a.sql': '-- +goose Up\n  -- +goose StatementBegin\n' })).toContain(
      '1_a.sql:2:1: goose takes its annotations only at the beginning of a line.',
    );
  });
});

describe('golang-migrate and sqlx', () => {
  it('what is named otherwise is passed over', () => {
    const compiled = compileFiles({
      '000001_a.up.sql': 'create table a ();',
      '000001_a.down.sql': 'drop table a;',
      'seed.sql': 'no SQL',
    });
    expect(compiled.layout).toBe('golang-migrate');
    expect(reading(compiled)).toEqual(['1: transaction: create table a () / drop table a']);
  });

  it('an undo file that its tool has never read may be broken: then there is none, and it is known why', () => {
    const [migration] = compileFiles({
      '1_a.up.sql': 'create table a ();',
      '1_a.down.sql': '\ndrop tabl a;',
    }).migrations;
    expect(migration).toMatchObject({
      undo: undefined,
      undoProblem: '1_a.down.sql:2:6: syntax error at or near "tabl".',
    });
    expect(migration?.steps).toHaveLength(1);
  });

  it('-- no-transaction as the first bytes is honoured, and nowhere else', () => {
    const compiled = compileFiles({
      '1_first_thing.sql': '-- no-transaction\nvacuum;\nselect 1;',
      '2_b.sql': '\n-- no-transaction\nselect 2;',
    });
    expect(compiled.layout).toBe('sqlx');
    expect(reading(compiled)).toEqual([
      '1: autocommit: vacuum + autocommit: select 1',
      '2: transaction: select 2',
    ]);
    expect(compiled.migrations[0]?.record).toEqual({
      checksum: createHash('sha384').update('-- no-transaction\nvacuum;\nselect 1;').digest('hex'),
      description: 'first thing',
    });
  });
});

describe('Diesel', () => {
  it("orders its folders by their versions as strings, and keeps the files' own transactions", () => {
    const compiled = compileFiles({
      '2024-05-27-120000-0000_c/up.sql': 'create table c ();',
      '2024-05-27-120000_b/up.sql': 'create table b ();',
      '2024-05-27-120000_b/down.sql': 'drop tabl b;',
      '00000000000000_diesel_initial_setup/up.sql': 'select 1;',
      '20240528_alone/up.sql': 'vacuum;\nselect 1;',
      '20240528_alone/down.sql': 'select 3;\nselect 4;',
      '20240528_alone/metadata.toml': 'run_in_transaction = false\n',
      'README.md': '',
      'seed.sql': 'no SQL',
    });
    expect(compiled).toMatchObject({ layout: 'diesel', order: 'text' });
    expect(reading(compiled)).toEqual([
      '00000000000000: transaction: select 1',
      '20240527120000: transaction: create table b ()',
      '202405271200000000: transaction: create table c ()',
      '20240528: autocommit: vacuum + autocommit: select 1 / select 3 | select 4',
    ]);
    expect(compiled.migrations[3]?.undo?.steps).toHaveLength(2);
    expect(compiled.migrations[1]?.undoProblem).toContain('2024-05-27-120000_b/down.sql:1:6: syntax error');
  });
});

it('a directive at the head of an undo file counts for that file', () => {
  const { migrations } = compileFiles({
    '1_a.up.sql': '-- no-transaction\nvacuum;',
    '1_a.down.sql': '-- no-transaction\nselect 1;\nselect 2;',
  });
  expect(migrations[0]?.undo?.steps.map(({ kind }) => kind)).toEqual(['autocommit', 'autocommit']);
  const flyway = compileFiles({
    'V1__a.sql': 'select 1;',
    'U1__a.sql': 'select 2;\nselect 3;',
    'U1__a.sql.conf': 'executeInTransaction=false',
    'beforeClean.sql': '',
  });
  expect(flyway.migrations[0]?.undo?.steps).toHaveLength(2);
});

describe('Supabase', () => {
  it('is known by its place, and leaves out what its CLI leaves out', () => {
    const home = folderOf({});
    const folder = join(home, 'supabase', 'migrations');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, '20210101000000_init.sql'), 'no SQL');
    writeFileSync(join(folder, '20220101000000_a.sql'), 'create table a ();');
    writeFileSync(
      join(folder, '20220102000000_b.sql'),
      '-- supabase:disable-transaction\nselect 1; select 2;',
    );
    writeFileSync(join(folder, 'notes.sql'), 'no SQL');
    const compiled = compileMigrationsSync(folder);
    expect(compiled.layout).toBe('supabase');
    expect(reading(compiled)).toEqual([
      '20220101000000: transaction: create table a ()',
      '20220102000000: autocommit: select 1 + autocommit: select 2',
    ]);
  });
});

describe('node-pg-migrate', () => {
  it('the whole name tells a migration, the number in front their order', () => {
    const compiled = compileFiles({
      '1700000000000_b.sql':
        '-- Up Migration\ncreate table b ();\n-- Down Migration: drops b\ndrop table b;\n',
      '20200101000000000_a.sql':
        '-- up migration\ncreate table a ();\n\n--- Down   Migration ---\ndrop table a;\n',
      '1800000000000_c.sql': 'create table c ();\n',
    });
    expect(compiled).toMatchObject({ layout: 'node-pg-migrate', order: 'listed' });
    expect(reading(compiled)).toEqual([
      '20200101000000000_a: transaction: create table a () / drop table a',
      '1700000000000_b: transaction: create table b () / drop table b',
      '1800000000000_c: transaction: create table c ()',
    ]);
  });

  it('the part to undo may stand first, and without a headline above it the rest goes up', () => {
    const files = { '1_a.sql': '-- Down Migration\ndrop table a;\n-- Up Migration\ncreate table a ();\n' };
    expect(reading(compileFiles(files))).toEqual(['1_a: transaction: create table a () / drop table a']);
    const bare = { '1_a.sql': 'create table a ();\n-- Down Migration\ndrop table a;\n' };
    expect(reading(compileFiles(bare, { layout: 'node-pg-migrate' }))).toEqual([
      '1_a: transaction: create table a () / drop table a',
    ]);
  });

  it('JavaScript is named', () => {
    const up = '-- Up Migration\nselect 1;\n-- Down Migration\n';
    expect(refusalOf({ '1_a.sql': up, '2_b.js': '' })).toContain(
      '2_b.js: This migration is written in JavaScript',
    );
  });
});

describe('Flyway', () => {
  it('versions have dots, undo files belong to them, and what repeats comes last', () => {
    const compiled = compileFiles({
      'V1__first_table.sql': 'create table a ();',
      'V1.10__ten.sql': 'create table c ();',
      'V1_2__two.sql': 'create table b ();',
      'U1.2__two.sql': 'drop table b;',
      'below/V2__alone.sql': 'vacuum;\nselect 1;',
      'below/V2__alone.sql.conf': '# settings\nexecuteInTransaction=false\n',
      'R__views.sql': 'create or replace view v as select 1;',
      'B1.5__base.sql': 'create table a (); create table b ();',
      'flyway.toml': '',
    });
    expect(compiled).toMatchObject({ layout: 'flyway', order: 'dotted' });
    expect(reading(compiled)).toEqual([
      '1: transaction: create table a ()',
      '1.2: transaction: create table b () / drop table b',
      'B1.5: transaction: create table a () | create table b ()',
      '1.10: transaction: create table c ()',
      '2: autocommit: vacuum + autocommit: select 1',
      'R__views: transaction: create or replace view v as select 1',
    ]);
    expect(compiled.migrations.map(({ kind }) => kind)).toEqual([
      undefined,
      undefined,
      'checkpoint',
      undefined,
      undefined,
      'repeatable',
    ]);
    expect(compiled.migrations[0]?.record).toMatchObject({
      description: 'first table',
      script: 'V1__first_table.sql',
    });
  });

  it.each([
    [{ 'V1__a.sql': '', 'V1.0__b.sql': '' }, 'Version 1 is taken by V1.0__b.sql already.'],
    [
      { 'V1__a.sql': '', 'afterMigrate.sql': '' },
      'afterMigrate.sql: Flyway runs this file each time, at afterMigrate',
    ],
    [{ 'V1__a.sql': '', 'V2__b.java': '' }, 'V2__b.java: This migration is written in Java'],
    [
      { 'V1__a.sql': '', 'V1__a.sql.conf': 'encoding=LATIN1' },
      'V1__a.sql.conf: Only UTF-8 is read, not LATIN1.',
    ],
    [{ 'V1__a.sql': '', 'other.sql': '' }, "other.sql: It is not named as Flyway's migrations are."],
  ] as readonly (readonly [Readonly<Record<string, string>>, string])[])(
    '%j is refused',
    (files, refusal) => {
      expect(refusalOf(files)).toContain(refusal);
    },
  );
});

it("Flyway's checksum of a file that repeats is of what its placeholders make of it, as Flyway 13.12.0 wrote it", () => {
  const files = {
    'V1__a.sql': 'create table a (id int);\n',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a placeholder of Flyway's
    'R__v.sql': "-- a view\ncreate or replace view v as select '${env}' as env;\n",
  };
  const checksums = (env: string) =>
    compileFiles(files, { placeholders: { env } }).migrations.map(({ record }) => record?.checksum);
  expect(checksums('prod')).toEqual(['-897341557', '1257319904']);
  expect(checksums('test')).toEqual(['-897341557', expect.not.stringMatching('1257319904')]);
});

describe('graphile-migrate', () => {
  const body = 'create table a ();\n';
  const hash = `sha1:${createHash('sha1').update('create table a ();\n').digest('hex')}`;

  it('what is committed is read, and the work that is not is not', () => {
    const compiled = compileFiles({
      'committed/000001-first.sql': `--! Previous: -\n--! Hash: ${hash}\n--! Message: first\n\n${body}`,
      'current.sql': 'unfinished',
    });
    expect(compiled.layout).toBe('graphile-migrate');
    expect(reading(compiled)).toEqual(['000001.sql: transaction: create table a ()']);
    expect(compiled.migrations[0]?.record).toEqual({ checksum: hash, previous: [] });
  });

  it('a file that was changed since is refused', () => {
    expect(
      refusalOf({ 'committed/000001.sql': `--! Previous: -\n--! Hash: ${hash}\n\ncreate table b ();\n` }),
    ).toContain('committed/000001.sql:2:1: The file was changed after it was committed');
  });
});

describe('Atlas', () => {
  const sumOf = (files: Readonly<Record<string, string>>) => {
    const running = createHash('sha256');
    const all = createHash('sha256');
    const lines = Object.entries(files).map(([name, text]) => {
      running.update(name).update(text);
      const hash = running.copy().digest('base64');
      all.update(name).update(hash);
      return `${name} h1:${hash}\n`;
    });
    return `h1:${all.digest('base64')}\n${lines.join('')}`;
  };
  const files = {
    '20240101_a.sql': 'create table a ();',
    '20240102_b.sql': '-- atlas:txmode none\n\nvacuum;\nselect 1;',
    '20240103_c.sql': '-- atlas:checkpoint\n\ncreate table a ();',
  };

  it('its directives are honoured, and its sum is looked at', () => {
    const compiled = compileFiles({ ...files, 'atlas.sum': sumOf(files) });
    expect(compiled.layout).toBe('atlas');
    expect(reading(compiled)).toEqual([
      '20240101: transaction: create table a ()',
      '20240102: autocommit: vacuum + autocommit: select 1',
      '20240103: transaction: create table a ()',
    ]);
    expect(compiled.migrations[2]).toMatchObject({ kind: 'checkpoint', record: { description: 'c' } });
  });

  it('a file that its sum does not know, or knows otherwise, is refused', () => {
    const sum = sumOf(files);
    expect(refusalOf({ ...files, 'atlas.sum': sum, '20240101_a.sql': 'create table x ();' })).toContain(
      '20240101_a.sql: It is not as atlas.sum has it',
    );
    expect(refusalOf({ ...files, 'atlas.sum': sum, '20240104_d.sql': '' })).toContain(
      'atlas.sum: 20240104_d.sql is not what atlas.sum lists in its place (nothing).',
    );
  });

  it('an archive has its parts to apply and to undo; one with checks is refused', () => {
    const archive = (before: string) => ({
      '1_a.sql': `-- atlas:txtar\n\n${before}-- migration.sql --\nselect 1;\n-- down.sql --\nselect 2;\n`,
    });
    const [plain, checked] = [archive(''), archive('-- checks.sql --\nselect true;\n')];
    expect(reading(compileFiles({ ...plain, 'atlas.sum': sumOf(plain) }))).toEqual([
      '1: transaction: select 1 / select 2',
    ]);
    expect(refusalOf({ ...checked, 'atlas.sum': sumOf(checked) })).toContain(
      "1_a.sql:3:1: Atlas's checks before a migration are not run here.",
    );
  });

  it('statements may end with what its delimiter says', () => {
    const files = {
      '1_a.sql': '-- atlas:delimiter -- end\n\ncreate table a ()\n-- end\nselect 1\n-- end\n',
      '2_b.sql': '-- atlas:delimiter \\nGO\n\nselect 2\nGO\nselect 3 as "GO"\n',
    };
    expect(reading(compileFiles({ ...files, 'atlas.sum': sumOf(files) }))).toEqual([
      '1: transaction: create table a () | select 1',
      '2: transaction: select 2 | select 3 as "GO"',
    ]);
  });

  it("a folder that it plans for golang-migrate is golang-migrate's, and its sum is verified", () => {
    const files = { '1_a.up.sql': 'select 1;', '1_a.down.sql': 'select 2;' };
    const sum = sumOf({ '1_a.up.sql': 'select 1;' });
    const compiled = compileFiles({ ...files, 'atlas.sum': sum });
    expect(compiled.layout).toBe('golang-migrate');
    expect(reading(compiled)).toEqual(['1: transaction: select 1 / select 2']);
    expect(reading(compileFiles({ ...files, 'atlas.sum': sum }, { layout: 'atlas' }))).toEqual(
      reading(compiled),
    );
    expect(refusalOf({ ...files, '1_a.up.sql': 'select 9;', 'atlas.sum': sum })).toContain(
      '1_a.up.sql: It is not as atlas.sum has it',
    );
  });
});

describe('Alembic', () => {
  const script = `BEGIN;

CREATE TABLE alembic_version (
    version_num VARCHAR(32) NOT NULL, 
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

-- Running upgrade  -> 1975ea83b712

CREATE TABLE account (id INTEGER);

INSERT INTO alembic_version (version_num) VALUES ('1975ea83b712') RETURNING alembic_version.version_num;

-- Running upgrade 1975ea83b712 -> ae1027a6acf

COMMIT;

CREATE INDEX CONCURRENTLY account_id ON account (id);

BEGIN;

UPDATE alembic_version SET version_num='ae1027a6acf' WHERE alembic_version.version_num = '1975ea83b712';

COMMIT;

`;

  it('each revision of the script is a migration, with its row of the tool', () => {
    const compiled = compileFiles({ 'alembic.sql': script });
    expect(compiled).toMatchObject({ layout: 'alembic', order: 'listed' });
    expect(compiled.migrations.map(({ version, record }) => [version, record?.previous])).toEqual([
      ['1975ea83b712', []],
      ['ae1027a6acf', ['1975ea83b712']],
    ]);
    expect(compiled.migrations[1] && outline(compiled.migrations[1])).toEqual([
      'index-operation: CREATE INDEX CONCURRENTLY account_id ON account (id)',
      "transaction: UPDATE alembic_version SET version_num='ae1027a6acf' WHERE alembic_version.version_num = '1975ea83b712'",
    ]);
    const [, step] = compiled.migrations[1]?.steps ?? [];
    expect(step && statementsOf(step)[0]?.position).toEqual({ line: 22, column: 1 });
  });

  it('the script may be named itself', () => {
    const folder = folderOf({ 'alembic.sql': script, 'other.txt': '' });
    expect(compileMigrationsSync(join(folder, 'alembic.sql')).migrations).toHaveLength(2);
  });

  it('revisions in Python are named, with the way out', () => {
    expect(refusalOf({ 'env.py': '', 'versions/1_a.py': '' })).toContain(
      'alembic upgrade base:head --sql > migrations/alembic.sql',
    );
  });
});

describe('Liquibase', () => {
  const changesets = (...texts: readonly string[]) => ({
    'a.sql': ['--liquibase formatted sql', ...texts].join('\n'),
  });

  it('statements may end with what endDelimiter says, and one statement be many lines', () => {
    const compiled = compileFiles(
      changesets(
        '--changeset ada:1 endDelimiter:/',
        'select 4 / 2\n/\nselect 1\n/',
        '--changeset ada:2 splitStatements:false endDelimiter:"//"',
        "create function f() returns text language sql as $$ select 'a;' $$ //",
        '--changeset ada:3 endDelimiter:\\nGO',
        'select 3\nGO',
      ),
    );
    expect(reading(compiled)).toEqual([
      'a.sql::1::ada: transaction: select 4 / 2 | select 1',
      "a.sql::2::ada: transaction: create function f() returns text language sql as $$ select 'a;' $$",
      'a.sql::3::ada: transaction: select 3',
    ]);
    expect(refusalOf(changesets('--changeset ada:1 endDelimiter:a|b', 'select 1'))).toContain(
      'Its statements end where the pattern a|b fits',
    );
  });

  it('what hangs on a context or a label runs as its settings say, and is refused where they say nothing', () => {
    const files = changesets(
      '--changeset ada:1 context:"test or (dev and !ci)"\nselect 1;',
      '--changeset ada:2 contextFilter:!test labels:slow\nselect 2;',
      '--changeset ada:3\nselect 3;',
    );
    const read = (settings: string) =>
      compileFiles({ ...files, 'liquibase.properties': settings }).migrations.map(
        ({ version }) => version[7],
      );
    expect(read('contexts=prod\nlabel-filter=')).toEqual(['2', '3']);
    expect(read('liquibase.command.contexts: dev, CI\nlabelFilter=!slow')).toEqual(['3']);
    expect(read('contexts: Test\nlabel-filter=slow')).toEqual(['1', '3']);
    expect(read('contexts=\nlabel-filter=slow or quick')).toEqual(['1', '2', '3']);
    expect(refusalOf(files)).toContain('Say it in liquibase.properties beside the folder: contexts=…');
  });

  it('is called by the path that it gives itself', () => {
    const files = {
      'a.sql':
        '--liquibase formatted sql logicalFilePath:db/all.sql\n--changeset ada:1\nselect 1;\n--changeset ada:2 logicalFilePath:other\nselect 2;',
    };
    expect(compileFiles(files).migrations.map(({ version }) => version)).toEqual([
      'db/all.sql::1::ada',
      'other::2::ada',
    ]);
  });

  it('a precondition of a changeset, or of the whole file, is refused', () => {
    const condition = '--preconditions onFail:MARK_RAN\n--precondition-sql-check expectedResult:0 select 0';
    expect(refusalOf(changesets(condition, '--changeset ada:1', 'select 1;'))).toContain(
      'a.sql:2:1: Preconditions of Liquibase are not read, and all of this file hangs on one.',
    );
  });

  it('each changeset is a migration, with its rollback', () => {
    const compiled = compileFiles({
      'a.sql': `--liquibase formatted sql

--changeset ada:1
create table a ();
--rollback drop table a;

--changeset ada:2 runInTransaction:false dbms:postgresql
vacuum;
--changeset ada:3 dbms:oracle
no SQL
`,
    });
    expect(reading(compiled)).toEqual([
      'a.sql::1::ada: transaction: create table a () / drop table a',
      'a.sql::2::ada: autocommit: vacuum',
    ]);
    expect(compiled.migrations[0]?.undo?.steps.flatMap(statementsOf)[0]?.position).toEqual({
      line: 5,
      column: 12,
    });
  });
});

describe('a folder', () => {
  it('that may be that of two tools is refused until it is said', () => {
    const files = { '1_a.sql': '-- migrate:up\nselect 1;\n-- migrate:down\n', 'V1__b.sql': '' };
    expect(refusalOf(files)).toContain(
      "This folder may be that of dbmate (-- migrate:up in 1_a.sql) or of Flyway (V1__b.sql).\nSay which: layout: 'dbmate' or layout: 'flyway'; on the command line --layout dbmate.",
    );
    expect(reading(compileFiles(files, { layout: 'dbmate' }))).toEqual(['1: transaction: select 1 / ']);
  });

  it('with code alone is refused, whatever tool runs it', () => {
    for (const [name, language] of [
      ['20240101000000_create_users.rb', 'Ruby'],
      ['0001_initial.py', 'Python'],
      ['20240101000000-create.ts', 'TypeScript'],
    ] as const) {
      expect(refusalOf({ [name]: '' })).toContain(`${name}: This migration is written in ${language}`);
    }
  });
});

describe("the name of the tool's table", () => {
  const goose = { 'db/migrations/1_a.sql': '-- +goose Up\nselect 1;\n' };
  const dbmate = { 'db/migrations/1_a.sql': '-- migrate:up\nselect 1;\n-- migrate:down\n' };
  const flyway = { 'db/migrations/V1__a.sql': 'select 1;' };
  const drizzle = {
    'db/migrations/meta/_journal.json': '{"dialect":"postgresql","entries":[{"tag":"0_a","when":1}]}',
    'db/migrations/0_a.sql': 'select 1;',
  };
  const sqlx = { 'db/migrations/1_a.sql': 'select 1;\r\n' };
  const liquibase = {
    'db/migrations/a.sql': '--liquibase formatted sql\n--changeset ada:1\nselect 1;\n',
  };
  it.each([
    ['goose', goose, '.env', 'OTHER=1\nexport GOOSE_TABLE="audit.versions" # here', 'audit.versions'],
    ['dbmate', dbmate, 'db/.env', "DBMATE_MIGRATIONS_TABLE='Done'", '"Done"'],
    [
      'Flyway, in .conf',
      flyway,
      'flyway.conf',
      '#flyway.table=no\nflyway.table=done\nflyway.schemas=a,b',
      'a.done',
    ],
    [
      'Flyway, in .toml',
      flyway,
      'flyway.toml',
      '[flyway]\ndefaultSchema = "app"\n[other]\ntable = "no"',
      'app.flyway_schema_history',
    ],
    [
      'Spring',
      flyway,
      'db/application.properties',
      'spring.flyway.default-schema=app\n',
      'app.flyway_schema_history',
    ],
    [
      'Drizzle',
      drizzle,
      'drizzle.config.ts',
      "export default defineConfig({ url: 'a://b', // migrations: { table: 'no' }\n migrations: {\n table: 'done',\n schema: 'public' } });",
      'public.done',
    ],
    [
      'Liquibase',
      liquibase,
      'liquibase.properties',
      'databaseChangeLogTableName: DONE\nliquibase.liquibaseSchemaName=x',
      'x."DONE"',
    ],
    [
      'sqlx',
      sqlx,
      'db/sqlx.toml',
      '[common]\n[migrate]\ntable-name = "app.done"\nignored-chars = ["\\r"]',
      'app.done',
    ],
  ])('%s: is read from its own settings', (_, files, file, text, name) => {
    const folder = join(folderOf({ ...files, [file]: text }), 'db/migrations');
    const { historyTable, migrations } = compileMigrationsSync(folder);
    expect(historyTable && writeRelationName(historyTable)).toBe(name);
    if (file !== 'db/sqlx.toml') return;
    // What sqlx is told to leave out of its checksum.
    const expected = createHash('sha384').update('select 1;\n').digest('hex');
    expect(migrations[0]?.record?.checksum).toBe(expected);
  });

  it('Alembic: is as its script makes it', () => {
    const script = (table: string) =>
      `CREATE TABLE ${table} (\n    version_num VARCHAR(32) NOT NULL, \n    CONSTRAINT x PRIMARY KEY (version_num)\n);\n\n-- Running upgrade  -> a1\n\nCREATE TABLE a (id INTEGER);\n`;
    const { historyTable } = compileFiles({ 'alembic.sql': script('audit."Versions"') });
    expect(historyTable).toEqual({ schema: 'audit', name: 'Versions' });
  });
});

describe('a mistake is named, and nothing is passed over in silence', () => {
  const goose = { '1_a.sql': '-- +goose Up\nselect 1;\n' };
  const changeset = '--changeset ada:1\nselect 1;\n';
  const head = '--liquibase formatted sql\n';
  it.each<[string, Record<string, string>, LayoutName | undefined, string]>([
    [
      "another tool's layout",
      goose,
      'prisma',
      '1_a.sql: No migration of Prisma is found in this folder, and there is SQL in it.',
    ],
    [
      'one that wants other names',
      { '1_a/up.sql': '' },
      'golang-migrate',
      '1_a/up.sql: No migration of golang',
    ],
    [
      'a journal that is gone',
      { '0_a.sql': 'select 1;--> statement-breakpoint\nselect 2;' },
      undefined,
      "meta/_journal.json: Drizzle's journal, which lists the files that are migrations, is missing.",
    ],
    [
      'two changesets of one name',
      { 'a.sql': head + changeset + changeset },
      undefined,
      'a.sql::1::ada is there twice',
    ],
    [
      'SQL above the first one',
      { 'a.sql': `${head}select 0;\n${changeset}` },
      undefined,
      'There is SQL above the first',
    ],
    [
      'a file without one',
      { 'a.sql': head + changeset, 'b.sql': 'select 1;' },
      undefined,
      'b.sql: The file has no',
    ],
    [
      'a version twice, in folders below',
      { 'a/V1__a.sql': '', 'b/V1__b.sql': '' },
      undefined,
      'b/V1__b.sql: Version 1 is taken by a/V1__a.sql already.',
    ],
    ["Flyway's names in another layout", { 'V1__a.sql': '' }, 'plain', "layout: 'flyway'"],
  ])('%s', (_, files, layout, refusal) => {
    expect(refusalOf(files, { layout })).toContain(refusal);
  });

  it.each([
    ['goose', '-- +goose Up\nselect 1;\n-- +goose Down\nselect 2;\n'],
    ['dbmate', '-- migrate:up\nselect 1;\n-- migrate:down\nselect 2;\n'],
    ['node-pg-migrate', '-- Up Migration\nselect 1;\n-- Down Migration\nselect 2;\n'],
    ['liquibase', '--liquibase formatted sql\n--changeset ada:1\nselect 1;\n--rollback select 2;\n'],
    ['alembic', '-- Running upgrade  -> 1\n\nselect 1;\n'],
  ])('a byte order mark and CRLF do not hide that a folder is that of %s', (layout, text) => {
    const compiled = compileFiles({ '1_ä b.sql': `\ufeff${text.replaceAll('\n', '\r\n')}` });
    expect(compiled.layout).toBe(layout);
    expect(compiled.migrations[0] && outline(compiled.migrations[0])).toEqual(['transaction: select 1']);
  });

  it('a link that leads nowhere is named', () => {
    const folder = folderOf({ '1_a.sql': '-- Up Migration\n-- Down Migration\n' });
    symlinkSync('gone.sql', join(folder, '2_b.sql'));
    expect(refusalOfFolder(folder)).toContain("2_b.sql: It can't be read: ENOENT");
  });
});
