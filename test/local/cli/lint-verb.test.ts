import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { freshDatabase } from '../../support/fresh-database.ts';
import { folderOf, migrate } from './command-line.ts';

async function lint(
  sql: string,
  ...flags: string[]
): Promise<{ code: number | null; out: string; error: string }> {
  const dir = folderOf({
    '1_words.sql': 'create table words (id bigint primary key, word text);',
    '2_test.sql': sql,
  });
  const { code, stdout, stderr } = await migrate(['lint', '--dir', dir, ...flags], { NO_COLOR: '1' });
  return { code, out: stdout, error: stderr };
}

const WARNED = 'create index words_word on words (word);';

describe('npx cdk-postgres-migrations lint', () => {
  exhaustive.it('says that nothing is found, and needs no database', async () => {
    expect(await lint('alter table words add column a text;')).toEqual({
      code: 0,
      out: 'No findings.\n',
      error: '',
    });
  });

  it('shows each finding as a compiler does, and counts them', async () => {
    const { code, out } = await lint(WARNED);
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual([
      '2_test.sql:1:1: warning CREATE INDEX blocks all writes to words until the index is built. [plain-create-index]',
      '    create index words_word on words (word);',
      '    ^',
      '  locks    words: SHARE, which blocks writes, for as long as it builds the index: about 1 s per million rows in memory',
      '  instead',
      '      create index concurrently words_word on words (word);',
      '',
      '1 warning in 1 file.',
      '',
    ]);
  });

  it.each(
    firstOf(2, [
      ['a warning with --strict', WARNED, ['--strict'], 1],
      ['an error', 'vacuum full words;', [], 1],
      ['advice with --strict', 'create table a (b json);', ['--strict'], 0],
      ['an error that a level turns off', 'vacuum full words;', ['--level', 'vacuum-full=off'], 0],
      ['files that --since takes as they are', 'vacuum full words;', ['--since', '2'], 0],
      ['a file that cannot be compiled', 'crate table x ();', [], 1],
      ['a level of no rule', WARNED, ['--level', 'no-such-rule=off'], 2],
      ['a level that is none', WARNED, ['--level', 'truncate=fatal'], 2],
      ['a version that is none', WARNED, ['--since', 'yesterday'], 2],
    ]),
  )('ends with the code for %s', async (_name, sql, flags, code) => {
    expect((await lint(sql, ...flags)).code).toBe(code);
  });

  exhaustive.it('gives one JSON document', async () => {
    const { out } = await lint(WARNED, '--json');
    expect(JSON.parse(out)).toEqual({
      ok: true,
      errors: 0,
      warnings: 1,
      advice: 0,
      findings: [
        {
          rule: 'plain-create-index',
          severity: 'warning',
          version: '2',
          file: '2_test.sql',
          position: { line: 1, column: 1 },
          what: 'CREATE INDEX blocks all writes to words until the index is built.',
          instead: 'create index concurrently words_word on words (word);',
          afterwards: null,
          note: null,
          lock: {
            relation: 'words',
            mode: 'share',
            blocks: 'writes',
            work: 'build',
            duration: 'for as long as it builds the index: about 1 s per million rows in memory',
          },
        },
      ],
    });
  });
});

describe('lint --fix', () => {
  const files = {
    '1_words.sql': 'create table words (id bigint primary key, word text, letters int);',
    '2_applied.sql': 'update words set letters = 0;',
    '3_test.sql': `-- Letters, counted.
update words
   set letters = length(word); -- all of them

alter table words alter column letters set not null;
create materialized view seen as select word from words;`,
  };
  const fix = (dir: string, ...flags: string[]) =>
    migrate(['lint', '--fix', '--dir', dir, ...flags], { NO_COLOR: '1' });

  it('writes what rules say into files that are not applied, shows it, and has nothing to do a second time', async () => {
    const dir = folderOf(files);
    const { code, stdout } = await fix(dir, '--since', '2');
    expect(code).toBe(0);
    expect(stdout).toContain(`3_test.sql:2:1: written as unbounded-write says
- update words
-    set letters = length(word);
+ -- migrate: backfill
+ update words
+    set letters = length(word);
`);
    const fixed = `-- Letters, counted.
-- migrate: backfill
update words
   set letters = length(word); -- all of them

alter table words add constraint words_letters_not_null check (letters is not null) not valid;
alter table words validate constraint words_letters_not_null;
alter table words alter column letters set not null;
alter table words drop constraint words_letters_not_null;
create materialized view seen as select word from words
with no data;
refresh materialized view seen;`;
    expect(readFileSync(join(dir, '3_test.sql'), 'utf8')).toBe(fixed);
    expect(readFileSync(join(dir, '2_applied.sql'), 'utf8')).toBe(files['2_applied.sql']);
    expect((await fix(dir, '--since', '2')).stdout).toBe('No findings.\n');
    expect(readFileSync(join(dir, '3_test.sql'), 'utf8')).toBe(fixed);
  });

  exhaustive.it(
    'learns from the ledger of a database which files are applied, under way or failed, and leaves them',
    async () => {
      const dir = folderOf(files);
      const { url } = await freshDatabase();
      const env = { DATABASE_URL: url, NO_COLOR: '1' };
      const applied = folderOf({
        '1_words.sql': files['1_words.sql'],
        '2_applied.sql': files['2_applied.sql'],
      });
      expect((await migrate(['up', '--dir', applied], env)).code).toBe(0);
      const { code, stdout, stderr } = await migrate(['lint', '--fix', '--json', '--dir', dir], env);
      expect(code, stderr).toBe(0);
      expect(stderr).toBe('2 migrations are in the ledger of the database, and left as they stand.\n');
      expect(JSON.parse(stdout)).toMatchObject({ fixed: [{}, {}, {}], recorded: ['1', '2'], findings: [] });
      expect(readFileSync(join(dir, '2_applied.sql'), 'utf8')).toBe(files['2_applied.sql']);
      expect(readFileSync(join(dir, '3_test.sql'), 'utf8')).toContain('-- migrate: backfill\nupdate words');
      // What is written deploys, and is from then on left alone.
      const up = await migrate(['up', '--dir', dir], env);
      expect(up.code, up.stderr).toBe(0);
      expect((await migrate(['lint', '--fix', '--dir', dir], env)).stderr).toContain('3 migrations are in');
    },
  );

  exhaustive.it('asks which files are applied', async () => {
    const dir = folderOf(files);
    const { code, stderr } = await fix(dir);
    expect(code).toBe(2);
    expect(stderr).toContain(
      'give --database-url (or DATABASE_URL), whose ledger tells; or name the newest applied migration: --fix --since 0042',
    );
    expect(readFileSync(join(dir, '3_test.sql'), 'utf8')).toBe(files['3_test.sql']);
  });
});
