import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { type FreshDatabase, freshDatabase } from '../support/fresh-database.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
// A dozen processes, each of which loads the compiler.
vi.setConfig({ testTimeout: 120_000 });

let database: FreshDatabase;
let dir: string;
beforeEach(async () => {
  database = await freshDatabase();
  dir = temporaryFolder();
});

const write = (files: Readonly<Record<string, string>>): void => {
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(dir, name), sql);
};

/** Standard output, and standard error after it. */
async function migrate(...args: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'local/migrate.ts', ...args, '--dir', dir], {
    cwd: root,
    env: { ...process.env, DATABASE_URL: database.url, NO_COLOR: '1' },
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const [out, error, code] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
  return { code, out, error };
}

const words = {
  '1_words.sql':
    'create table words (word text not null);\ninsert into words select i::text from generate_series(1, 200) i;',
  '1_words.down.sql': 'drop table words;',
};
const pending = {
  '2_index.sql': 'create unique index concurrently words_word on words (word);',
  '2_index.down.sql': 'drop index concurrently words_word;',
  '3_length.sql': 'alter table words add column length int;',
  '3_length.down.sql': 'alter table words drop column length;',
};

describe('migrate plan', () => {
  it('shows steps, locks, sizes and what waits: in a terminal, as Markdown, as JSON', async () => {
    write(words);
    await migrate('up');
    write(pending);
    const small = ['--small-table-rows', '100'];
    const shown = await migrate('plan', ...small);
    expect(shown.code).toBe(3);
    expect(shown.out.split('\n').slice(1)).toEqual([
      '2_index.sql',
      '  1. line 1: handed off: built concurrently by the loop',
      expect.stringMatching(
        /^ {7}public\.words \(over 100 rows, \d+ kB\): share update exclusive lock, blocks other DDL while it builds the index$/,
      ),
      '3_length.sql',
      '  1. line 1: in one transaction  waits: it changes the table words; waits for words_word',
      expect.stringMatching(
        /^ {7}public\.words \(over 100 rows, \d+ kB\): access exclusive lock, blocks reads and writes for a moment$/,
      ),
      '',
    ]);

    const { out: markdown } = await migrate('plan', '--markdown', ...small);
    expect(markdown.split('\n').slice(0, 4)).toEqual([
      '### Migration plan',
      '',
      '| file | step | how | tables and locks | waits |',
      '|---|---|---|---|---|',
    ]);
    expect(markdown).toMatch(
      /^\| `3_length\.sql:1` \| 1 \| in one transaction \| `public\.words` \(over 100 rows, \d+ kB\): \*\*access exclusive, blocks reads and writes for a moment\*\* \| it changes the table words; waits for words\\_word \|$/m,
    );

    expect(JSON.parse((await migrate('plan', '--json', ...small)).out)).toMatchObject({
      ok: true,
      files: [
        { file: '2_index.sql', steps: [{ how: 'hand-off', tables: [{ lock: 'share update exclusive' }] }] },
        { file: '3_length.sql', steps: [{ how: 'transaction', waits: expect.any(String) }] },
      ],
    });
  });
});

describe('migrate retry, undo, repair, baseline', () => {
  it('retry builds what had failed, and undo --confirm goes back', async () => {
    write(words);
    await migrate('up');
    await database.query("update words set word = 'twice'");
    write(pending);
    expect((await migrate('up', '--small-table-rows', '100')).code).toBe(1);
    await database.query('update words set word = ctid::text');
    const retried = await migrate('retry', 'words_word', '--json');
    expect(retried.error).toContain('retried: words_word on public.words');
    expect(retried).toMatchObject({ code: 0, out: '{"ok":true,"retried":["words_word on public.words"]}\n' });

    const asked = await migrate('undo', '--to', '1');
    expect(asked).toMatchObject({
      code: 2,
      error: `undo changes what is recorded or applied, and was not confirmed.
Applied: nothing.
Next: look at the verb status first; then run the same command with --confirm.
`,
    });
    const undone = await migrate('undo', '--to', '0', '--yes');
    expect(undone.out.split('\n').slice(1)).toEqual([
      'undoing     3_length.down.sql, step 1 of 1',
      'undoing     2_index.down.sql, step 1 of 1',
      'undoing     1_words.down.sql, step 1 of 1',
      'undone: 3_length',
      'undone: 2_index',
      'undone: 1_words',
      '',
    ]);
    const rows = await database.query<{ line: string }>(
      "select action || ' ' || outcome as line from migrations.run where action <> 'resume' order by started_at",
    );
    expect(rows.map(({ line }) => line)).toEqual(['run done', 'run waiting', 'retry done', 'undo done']);
  });

  it('baseline adopts, repair accepts, and a wrong repair exits with 2', async () => {
    write(words);
    expect((await migrate('baseline', '0001', '--confirm')).out).toContain(
      'changed: 1_words is taken as applied',
    );
    expect((await migrate('repair', '1', '--confirm')).code).toBe(2);
    expect(await migrate('repair', '1', '--accept-checksum', '--confirm')).toMatchObject({
      code: 1,
      error: expect.stringMatching(
        /^1_words is in this code as it was applied: there is no change to accept\./,
      ),
    });
    write({ '1_words.sql': 'create table words (word varchar not null);' });
    expect((await migrate('repair', '1', '--accept-checksum', '--confirm')).out).toContain(
      'changed: 1_words is accepted as it is now',
    );
    expect((await migrate('cancel', 'nothing')).code).toBe(1);
  });
});
