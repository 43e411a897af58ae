import { createHash } from 'node:crypto';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileMigrationsSync } from '../../../compiler/steps/compile-migrations.ts';
import type { CompiledMigrations } from '../../../lambda/migration/migration.ts';
import { compileFiles, folderOf } from '../compile-text.ts';

function listing({ migrations }: CompiledMigrations): readonly (readonly (string | undefined)[])[] {
  return migrations.map(({ version, name, file, undo }) => [version, name, file, undo?.file]);
}

it.each<[string, Record<string, string>]>([
  [
    'Sqitch’s',
    { 'sqitch.plan': '', 'deploy/people.sql': '', 'revert/people.sql': '', 'verify/people.sql': '' },
  ],
  ['one above the migrations', { 'sql/people.sql': '' }],
  ['that of Hasura’s databases', { 'default/1620_people/up.sql': '' }],
])('a folder with SQL in folders below alone is refused: %s', (_, files) => {
  expect(() => compileFiles(files)).toThrow(
    'No migration is found here, and there are SQL files in subfolders, which are not read.',
  );
});

describe('the names of migrations', () => {
  it.each([
    ['1_a.sql', '1', '1_a'],
    ['0001_a.sql', '1', '0001_a'],
    ['0001-a.sql', '1', '0001-a'],
    ['0001 a name.sql', '1', '0001 a name'],
    ['0001.a.sql', '1', '0001.a'],
    ['1.sql', '1', '1'],
    ['1_A.SQL', '1', '1_A'],
    ['1_.sql', '1', '1_'],
    ['1_a.b.sql', '1', '1_a.b'],
    ['0001_2fa.sql', '1', '0001_2fa'],
    ['0005-2_fix.sql', '5', '0005-2_fix'],
    ['0_zero.sql', '0', '0_zero'],
    ['20170102131034_a.sql', '20170102131034', '20170102131034_a'],
    ['2017-01-02-131034_a.sql', '20170102131034', '2017-01-02-131034_a'],
    ['2017_01_02_131034_a.sql', '20170102131034', '2017_01_02_131034_a'],
    ['2017.01.02-13.10.34_a.sql', '20170102131034', '2017.01.02-13.10.34_a'],
    ['2017-01-02T13-10_a.sql', '201701021310', '2017-01-02T13-10_a'],
    ['2017-01-02_a.sql', '20170102', '2017-01-02_a'],
    ['2017-01-02-100_problems.sql', '20170102', '2017-01-02-100_problems'],
    ['2020-08-03-000110-0000_a.sql', '20200803000110', '2020-08-03-000110-0000_a'],
    ['20170102_131034_a.sql', '20170102131034', '20170102_131034_a'],
    ['20170102T131034_a.sql', '20170102131034', '20170102T131034_a'],
    [
      '123456789012345678901234567890_a.sql',
      '123456789012345678901234567890',
      '123456789012345678901234567890_a',
    ],
    ['1_a.up.sql', '1', '1_a'],
    ['1_ünïcödé 名前.sql', '1', '1_ünïcödé 名前'],
    ['1_a/migration.sql', '1', '1_a'],
    ['1_a/up.sql', '1', '1_a'],
    ['1528395968/up.sql', '1528395968', '1528395968'],
    ['2020-08-03-000110_a/up.sql', '20200803000110', '2020-08-03-000110_a'],
  ])('%s is version %s', (file, version, name) => {
    expect(listing(compileFiles({ [file]: '' }))).toEqual([[version, name, file, undefined]]);
  });

  it('are in the order of the numbers, however they are written', () => {
    const names = [
      '10_c.sql',
      '9_b.sql',
      '2017-01-02-131034_d.sql',
      '20180101000000_e.sql',
      '0008_a.sql',
      '07/up.sql',
    ];
    const { migrations } = compileFiles(Object.fromEntries(names.map((name) => [name, ''])));
    expect(migrations.map(({ version }) => version)).toEqual([
      '7',
      '8',
      '9',
      '10',
      '20170102131034',
      '20180101000000',
    ]);
  });
});

describe('undo files', () => {
  it('belong to the migration of their version', () => {
    const compiled = compileFiles({
      '1_a.sql': '',
      '1_a.down.sql': 'drop table a',
      '2_b.up.sql': '',
      '2_another_name.down.sql': 'drop table b',
      '3_c/up.sql': '',
      '3_c/down.sql': 'drop table c',
      '4_d/migration.sql': '',
    });
    expect(listing(compiled)).toEqual([
      ['1', '1_a', '1_a.sql', '1_a.down.sql'],
      ['2', '2_b', '2_b.up.sql', '2_another_name.down.sql'],
      ['3', '3_c', '3_c/up.sql', '3_c/down.sql'],
      ['4', '4_d', '4_d/migration.sql', undefined],
    ]);
    expect(compiled.migrations[2]?.undo?.steps).toHaveLength(1);
  });

  it.each([
    ['001.do.sql', '001.undo.sql'],
    ['1_a.sql', '1_a.rollback.sql'],
    ['20200101000000-a-up.sql', '20200101000000-a-down.sql'],
  ])('as other tools name them (%s, %s) are refused, and no other version is advised alone', (up, undo) => {
    expect(() => compileFiles({ [up]: 'create table a ();', [undo]: 'drop table a;' })).toThrow(
      `If ${undo} is to undo the other, name it like that one, but ending in .down.sql`,
    );
  });
});

describe('a folder', () => {
  it('may be empty', () => {
    const empty = compileFiles({});
    expect(empty).toEqual({
      format: 1,
      layout: 'plain',
      order: 'number',
      migrations: [],
      checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('may hold what is no migration', () => {
    const compiled = compileFiles({
      'README.md': '',
      '.gitkeep': '',
      '._1_a.sql': 'left by a Mac',
      '.hidden/1_a.sql': 'nor this',
      '1_notes.txt': '',
      'code.go': '',
      '2_code_test.go': '',
      'meta/_journal.json': '{}',
      '3_a.sql~': '',
      '3_a.sql': '',
      '4_b/up.sql': '',
      '4_b/metadata.yaml': '',
      '4_b/helper.sql': 'not read',
    });
    expect(listing(compiled).map(([, name]) => name)).toEqual(['3_a', '4_b']);
  });

  it('may be one of Prisma', () => {
    const compiled = compileFiles({
      'migration_lock.toml': 'provider = "postgresql"',
      '20210101000000_init/migration.sql': '-- CreateTable\nCREATE TABLE "User" ("id" SERIAL NOT NULL);\n',
      '20210102000000_more/migration.sql': 'ALTER TABLE "User" ADD COLUMN "name" TEXT;',
    });
    expect(listing(compiled)).toEqual([
      ['20210101000000_init', '20210101000000_init', '20210101000000_init/migration.sql', undefined],
      ['20210102000000_more', '20210102000000_more', '20210102000000_more/migration.sql', undefined],
    ]);
  });

  it('may consist of links', () => {
    const folder = folderOf({});
    mkdirSync(join(folder, '.real', 'folder'), { recursive: true });
    writeFileSync(join(folder, '.real', 'a.sql'), 'select 1');
    writeFileSync(join(folder, '.real', 'folder', 'up.sql'), 'select 2');
    symlinkSync(join('.real', 'a.sql'), join(folder, '1_a.sql'));
    symlinkSync(join('.real', 'folder'), join(folder, '2_b'));
    expect(listing(compileMigrationsSync(folder))).toEqual([
      ['1', '1_a', '1_a.sql', undefined],
      ['2', '2_b', '2_b/up.sql', undefined],
    ]);
  });
});

describe('checksums', () => {
  const checksumOf = (sql: string | Uint8Array) => compileFiles({ '1_a.sql': sql }).migrations[0]?.checksum;

  it('are of the bytes without BOM and with LF', () => {
    const plain = createHash('sha256').update('select 1;\nselect 2;\n').digest('hex');
    expect(checksumOf('select 1;\nselect 2;\n')).toBe(plain);
    expect(checksumOf('select 1;\r\nselect 2;\r\n')).toBe(plain);
    expect(checksumOf('\ufeffselect 1;\nselect 2;\n')).toBe(plain);
  });

  it('change with every edit', () => {
    const texts = ['select 1;', 'select 1; ', 'select 1; -- x', 'SELECT 1;', 'select 1'];
    expect(new Set(texts.map(checksumOf)).size).toBe(texts.length);
  });

  it('of a folder change with contents, names and undo files, and with nothing else', () => {
    const base = { '1_a.sql': 'select 1', '2_b.sql': 'select 2' };
    const same = compileFiles({ ...base, 'README.md': 'x' }).checksum;
    expect(compileFiles(base).checksum).toBe(same);
    const others = [
      { ...base, '2_b.sql': 'select 3' },
      { ...base, '1_a.down.sql': '' },
      { ...base, '3_c.sql': '' },
      { '1_a.sql': 'select 1', '2_c.sql': 'select 2' },
      { '1_a.sql': 'select 1', '2_b/up.sql': 'select 2' },
      { '1_a.sql': 'select 2', '2_b.sql': 'select 1' },
      { '1_a.sql': 'select 1' },
    ];
    const checksums = others.map((files) => compileFiles(files).checksum);
    expect(new Set([same, ...checksums]).size).toBe(others.length + 1);
  });
});
