import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { migrate as runMigrate } from '../../local/cli/command-line.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

// A dozen processes.
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

async function migrate(...args: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const { code, stdout, stderr } = await runMigrate([...args, '--dir', dir], {
    DATABASE_URL: database.url,
    NO_COLOR: '1',
  });
  return { code, out: stdout, error: stderr };
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
      'In what order',
      '  1. apply 2_index.sql (1 step)',
      '  2. build the indexes of 1 table, one after the other',
      '       public.words: words_word',
      '  3. apply 3_length.sql (1 step)',
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

    expect(markdown).toContain(`**In what order**

1. apply 2\\_index.sql (1 step)
2. build the indexes of 1 table, one after the other
   - \`public.words\`: words\\_word
3. apply 3\\_length.sql (1 step)
`);

    expect(JSON.parse((await migrate('plan', '--json', ...small)).out)).toMatchObject({
      ok: true,
      findings: [],
      stages: [
        { kind: 'apply', files: ['2_index.sql'], steps: 1 },
        {
          kind: 'build',
          tables: [{ table: 'public.words', builds: [{ index: 'words_word', state: 'new' }] }],
        },
        { kind: 'apply', files: ['3_length.sql'], steps: 1 },
      ],
      files: [
        { file: '2_index.sql', steps: [{ how: 'hand-off', tables: [{ lock: 'share update exclusive' }] }] },
        { file: '3_length.sql', steps: [{ how: 'transaction', waits: expect.any(String) }] },
      ],
    });
  });
});

describe('migrate plan, with what the database has against it', () => {
  const small = ['--small-table-rows', '100', '--longest-block', '0'];

  it('shows what a run would refuse and which build would fail, and exits with 1', async () => {
    write(words);
    await migrate('up');
    await database.query("update words set word = 'twice' where word in (select word from words limit 2)");
    write({ ...pending, '4_word.sql': 'alter table words alter column word type varchar(10);' });
    const { code, out } = await migrate('plan', ...small);
    expect(code).toBe(1);
    const found = out.split('Found in the database\n')[1] ?? '';
    expect(
      found
        .split('\n')
        .filter((line) => /^\d/.test(line))
        .slice(0, 2),
    ).toEqual([
      expect.stringMatching(
        /^4_word\.sql:1:1: Turning word from text into varchar\(10\).* that would block reads and writes for about .* \[change-column-type\]$/,
      ),
      '2_index.sql:1:1: 1 value of (word) occurs in more than one row of words, such as (twice) in 2 rows. The build would fail. [duplicate-values]',
    ]);
    expect(found).toContain('A run would stop before it touches anything:\n4_word.sql:1:1: Turning word');
    expect((await migrate('up', ...small)).error).toContain('4_word.sql:1:1: Turning word');
    // A level of the command line's own lets it pass; the build fails by itself.
    const allowed = await migrate('plan', ...small, '--level', 'change-column-type=off');
    expect(allowed.code).toBe(3);
  });

  exhaustive.it.each([
    ['late', '0_late.sql: pending, and older than the newest applied migration, version 1'],
    ['missing', '1_words: applied, and not in this folder'],
  ])('refuses a folder that --%s refuses, and names it either way', async (flag, sentence) => {
    write(words);
    await migrate('up');
    if (flag === 'late') write({ '0_late.sql': 'create table late ();' });
    else for (const name of ['1_words.sql', '1_words.down.sql']) rmSync(join(dir, name));
    const named = await migrate('plan');
    expect(named.code).toBe(flag === 'late' ? 3 : 0);
    expect(named.out).toMatch(/is older than the newest applied|is not in this folder/);
    const { code, error } = await migrate('up', `--${flag}`, 'refuse');
    expect([code, error.startsWith(sentence)]).toEqual([1, true]);
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

  exhaustive.it('baseline adopts, repair accepts, and a wrong repair exits with 2', async () => {
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
