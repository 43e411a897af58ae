import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freshDatabase } from '../support/fresh-database.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

function folder(files: Readonly<Record<string, string>>): string {
  const directory = mkdtempSync(join(tmpdir(), 'cli-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(directory, name), sql);
  return directory;
}

async function migrate(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'local/migrate.ts', ...args], {
    cwd: root,
    env: { ...process.env, DATABASE_URL: '', NO_COLOR: '1', ...env },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { code, stdout, stderr };
}

const files = {
  '1_words.sql': 'create table words (word text not null);\n',
  '2_index.sql': 'create unique index concurrently words_word on words (word);\n',
};

describe('migrate up', () => {
  it('applies what is pending, builds what is large, and has nothing to do the second time', async () => {
    const { url, query } = await freshDatabase();
    const dir = folder({ '1_words.sql': files['1_words.sql'] });
    expect((await migrate(['up', '--dir', dir, '--database-url', url])).code).toBe(0);
    await query('insert into words select n::text from generate_series(1, 200) as n');
    writeFileSync(join(dir, '2_index.sql'), files['2_index.sql']);

    const up = await migrate(['up', '--dir', dir, '--small-table-rows', '100', '--json'], {
      DATABASE_URL: url,
    });
    expect(up.code, up.stderr).toBe(0);
    expect(JSON.parse(up.stdout)).toMatchObject({
      ok: true,
      migrations: [
        { name: '1_words', state: 'applied' },
        { name: '2_index', state: 'applied' },
      ],
      builds: [{ index: 'words_word', table: 'public.words', outcome: 'valid', attempts: 1 }],
    });

    const again = await migrate(['up', '--dir', dir, '--database-url', url]);
    expect(again).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing to do: 2 migrations applied'),
    });
  });

  it('reports a failed build with the words of Postgres, and exits with 1', async () => {
    const { url, query } = await freshDatabase();
    const dir = folder({ '1_words.sql': files['1_words.sql'] });
    await migrate(['up', '--dir', dir, '--database-url', url]);
    await query('insert into words select (n % 199)::text from generate_series(1, 200) as n');
    writeFileSync(join(dir, '2_index.sql'), files['2_index.sql']);

    const up = await migrate(['up', '--dir', dir, '--small-table-rows', '100', '--database-url', url]);
    expect(up.code).toBe(1);
    expect(up.stdout).toContain('could not create unique index "words_word" (SQLSTATE 23505)');
    expect(await query('select indexrelid::regclass from pg_index where not indisvalid')).toEqual([]);

    const status = await migrate(['status', '--dir', dir, '--database-url', url, '--json']);
    expect(status.code).toBe(1);
    expect(JSON.parse(status.stdout)).toMatchObject({ ok: false, builds: [{ outcome: 'failed' }] });
  });

  it('names file, line, statement and SQLSTATE of a failure, never the password', async () => {
    const { url, password } = await freshDatabase();
    const dir = folder({ '1_bad.sql': 'create table a (b int);\nselect c from a;\n' });

    const up = await migrate(['up', '--dir', dir, '--database-url', url]);
    expect(up.code).toBe(1);
    expect(up.stderr).toBe(`1_bad.sql:2:8: This statement failed.
Postgres: column "c" does not exist (SQLSTATE 42703)
Statement: select c from a
Applied: nothing by this run before it; nothing of 1_bad.sql.
Next: correct 1_bad.sql and run again; the run continues with this step.
`);
    expect(`${up.stdout}${up.stderr}`).not.toContain(password);
  });

  it.each([
    [['up'], 'No database is named.'],
    [['up', '--bogus'], "error: unknown option '--bogus'"],
    [
      ['up', '--small-table-rows', 'few', '--database-url', 'postgres://x@localhost/x'],
      'It has to be a whole number.',
    ],
    [['up', '--database-url', 'mysql://root:hush@localhost/x'], 'its scheme is not postgres'],
  ])('refuses %j with exit code 2', async (args, message) => {
    const refused = await migrate(args);

    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain(message);
    expect(refused.stderr).not.toContain('hush');
  });
});

describe('migrate status', () => {
  it('shows what is pending and exits with 3', async () => {
    const { url } = await freshDatabase();

    const status = await migrate(['status', '--dir', folder(files), '--database-url', url]);
    expect(status.code).toBe(3);
    expect(status.stdout).toContain('pending  1_words\n  pending  2_index');
  });
});

describe('migrate new', () => {
  it('counts on in a folder that counts', async () => {
    const dir = folder({ '0007_words.sql': '' });

    const made = await migrate(['new', 'add_email', '--dir', dir]);
    expect(made).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(join(dir, '0008_add_email.sql')),
    });
  });
});
