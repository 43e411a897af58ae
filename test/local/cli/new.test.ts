import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileMigrationsSync } from '../../../compiler/steps/compile-migrations.ts';
import { readFileName, readFolderName } from '../../../compiler/syntax/file-name.ts';
import type { Version } from '../../../lambda/migration/version.ts';
import { nextMigration } from '../../../local/cli/next-migration.ts';
import { folderOf, migrate } from './command-line.ts';

function versionOf(file: string): Version {
  const [first = ''] = file.split('/');
  const name = file.includes('/') ? readFolderName(first) : readFileName(first);
  if (name.kind !== 'migration') throw new Error(`${file} is no migration`);
  return name.version;
}

describe('the next migration', () => {
  const now = new Date('2026-11-24T01:30:05.678Z');

  it.each([
    ['0006_a.sql', '0007_next.sql'],
    ['9_a.sql', '10_next.sql'],
    ['0999_a.sql', '1000_next.sql'],
    ['0005-2_fix.sql', '0006_next.sql'],
    ['001.sql', '002_next.sql'],
    ['000001_a.up.sql', '000002_next.up.sql'],
    ['1528395540_a/up.sql', '1795483805_next/up.sql'],
    ['1528395540000_a.sql', '1795483805678_next.sql'],
    ['20240131093000_a.sql', '20261124013005_next.sql'],
    ['202401310930_a.sql', '202611240130_next.sql'],
    ['20210105161643_init/migration.sql', '20261124013005_next/migration.sql'],
    ['20240131_a.sql', '20261124_next.sql'],
    ['2017-01-02-131034_a.sql', '2026-11-24-013005_next.sql'],
    ['20170102_131034_a.sql', '20261124_013005_next.sql'],
    ['2024-01-31T09-30-00_a.sql', '2026-11-24T01-30-05_next.sql'],
    // A second file of one day, in a folder of days.
    ['20261124_a.sql', '20261124013005_next.sql'],
    // A folder from the future.
    ['20990101000000_a.sql', '20990101000001_next.sql'],
  ])('after %s is %s', (newest, expected) => {
    const older = { version: '1' as Version, file: '1_older.sql' };
    const { file } = nextMigration([{ version: versionOf(newest), file: newest }, older], 'next', now);
    expect(file).toBe(expected);
    expect(BigInt(versionOf(file))).toBeGreaterThan(BigInt(versionOf(newest)));
  });

  it('in an empty folder has the time as its version, in UTC', () => {
    expect(nextMigration([], 'next', now)).toEqual({
      file: '20261124013005_next.sql',
      undo: '20261124013005_next.down.sql',
    });
  });
});

describe('migrate new', () => {
  it('creates the next file, prints its path, and what it creates is a migration that does nothing', async () => {
    const dir = folderOf({ '0007_words.sql': 'create table words ();' });
    const file = join(dir, '0008_add_email.sql');
    expect(await migrate(['new', 'add_email', '--dir', dir])).toEqual({
      code: 0,
      stdout: `${file}\n`,
      stderr: '',
    });
    expect(readFileSync(file, 'utf8')).toMatch(/^-- What this migration does, and why\.\n/);
    expect(compileMigrationsSync(dir).migrations[1]).toMatchObject({
      version: '8',
      name: '0008_add_email',
      steps: [{ kind: 'transaction', statements: [] }],
      waitsForBuilds: false,
      allowed: [],
    });
  });

  it('creates the folder, and the undo file where it is asked for', async () => {
    const dir = join(folderOf({}), 'db', 'migrations');
    const { code, stdout } = await migrate(['new', 'first', '--dir', dir, '--undo']);
    const [file = '', undo = ''] = stdout.split('\n');
    expect(code).toBe(0);
    expect(undo).toBe(file.replace(/\.sql$/, '.down.sql'));
    expect(compileMigrationsSync(dir).migrations[0]?.undo?.file).toBe(undo.slice(dir.length + 1));
  });

  it.each(['1_users', 'add users', 'add_users.sql', '../escape', '', 'x'.repeat(101)])(
    'refuses the name %j with exit code 2, and creates nothing',
    async (name) => {
      const dir = join(folderOf({}), 'migrations');
      const refused = await migrate(['new', '--dir', dir, '--', name]);
      expect(refused).toEqual({
        code: 2,
        stdout: '',
        stderr: `'${name}' is not a valid name for a migration.
Next: begin with a letter, and use letters, digits, _ and - (at most 100), such as add_user_email; the version and .sql are added.
`,
      });
      expect(existsSync(dir)).toBe(false);
    },
  );
});
