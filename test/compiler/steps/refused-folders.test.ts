import { readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CompileError, compileMigrations } from '../../../compiler/steps/compile-migrations.ts';
import { folderOf, refusalOf, refusalOfFolder } from '../compile-text.ts';

const REFUSED = join(import.meta.dirname, 'fixtures', 'refused');

describe('a folder is refused with the whole of', () => {
  it.each(readdirSync(REFUSED))('%s/error.txt', (name) => {
    const folder = join(REFUSED, name);
    expect(`${refusalOfFolder(folder)}\n`).toBe(readFileSync(join(folder, 'error.txt'), 'utf8'));
  });
});

describe('what no fixture can hold', () => {
  it('a folder that does not exist is named', async () => {
    const folder = join(folderOf({}), 'none');
    await expect(compileMigrations(folder)).rejects.toThrow(
      `${folder}: The migrations folder does not exist.\n\nNext: Correct this, then try again. The database was not touched.`,
    );
  });

  it('a file in place of the folder is named', () => {
    const folder = join(folderOf({ file: '' }), 'file');
    expect(refusalOfFolder(folder)).toContain(
      `${folder}: The migrations folder can't be read: ENOTDIR: not a directory.\n`,
    );
  });

  it('links that lead nowhere or in a circle are named, without a path of this machine', () => {
    const folder = folderOf({});
    symlinkSync('nowhere.sql', join(folder, '1_nowhere.sql'));
    symlinkSync('2_circle.sql', join(folder, '2_circle.sql'));
    expect(refusalOfFolder(folder)).toBe(
      [
        "1_nowhere.sql: It can't be read: ENOENT: no such file or directory.",
        "2_circle.sql: It can't be read: ELOOP: too many symbolic links encountered.",
        'Next: Correct these 2 files, then try again. The database was not touched.',
      ].join('\n\n'),
    );
  });

  it('no more than 20 problems are shown, and all are counted', () => {
    const files = Object.fromEntries(Array.from({ length: 23 }, (_, at) => [`${at + 1}_a.sql`, 'selct;\n']));
    const refusal = refusalOf(files);
    expect(refusal.match(/syntax error/g)).toHaveLength(20);
    expect(refusal).toContain('\n\n… and 3 more.\n\nNext: Correct these 23 files, then try again.');
  });

  it('the problems are there as values too', async () => {
    const error: unknown = await compileMigrations(folderOf({ '1_a.sql': 'select 1;\n  selct;' })).catch(
      (e) => e,
    );
    expect(error).toBeInstanceOf(CompileError);
    expect((error as CompileError).code).toBe('compile-failed');
    expect((error as CompileError).problems).toEqual([
      {
        file: '1_a.sql',
        position: { line: 2, column: 3 },
        sentence: 'syntax error at or near "selct".',
        excerpt: '      selct;\n      ^',
        advice: undefined,
      },
    ]);
  });
});
