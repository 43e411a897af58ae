import { beforeEach, describe, expect, it } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { folderOf, migrate, steady, write } from './command-line.ts';

let database: FreshDatabase;
let env: { DATABASE_URL: string };
beforeEach(async () => {
  database = await freshDatabase();
  env = { DATABASE_URL: database.url };
});

const head = 'DATABASE on HOST as OWNER, ledger in schema migrations\n\n';
const said = (text: string) => steady(text, { DATABASE: database.name, OWNER: database.owner });

async function status(dir: string, ...flags: readonly string[]) {
  const { code, stdout, stderr } = await migrate(['status', '--dir', dir, ...flags], env);
  expect(stderr).toBe('');
  return { code, stdout: said(stdout) };
}

describe('migrate status', () => {
  exhaustive.it('shows an untouched database, writes nothing to it, and exits with 3', async () => {
    expect(await status(folderOf({ '1_a.sql': '', '2_b.sql': '' }))).toEqual({
      code: 3,
      stdout: `${head}Migrations: 2 pending
  pending  1_a
  pending  2_b

No run is recorded.

Next: run up, or deploy.
`,
    });
    expect(await database.query(`select from pg_namespace where nspname = 'migrations'`)).toEqual([]);
  });

  exhaustive.it('names the newest applied migrations, counts the others, and exits with 0', async () => {
    const files = Object.fromEntries([...Array(9).keys()].map((number) => [`${number + 1}_m.sql`, '']));
    const dir = folderOf(files);
    await migrate(['up', '--dir', dir], env);
    expect(await status(dir)).toEqual({
      code: 0,
      stdout: `${head}Migrations: 9 applied
  … 4 earlier ones applied (--all lists them)
  applied  5_m
  applied  6_m
  applied  7_m
  applied  8_m
  applied  9_m

Last run: done, ended N s ago, by WHO (command line)
It applied 1_m … 9_m (9 in all).
`,
    });
    expect((await status(dir, '--all')).stdout).toContain('  applied  1_m\n');
  });

  it('shows what is partial, unknown, waiting and failed at once, and what to do', async () => {
    const known = folderOf({ '1_t.sql': 'create table t (x int);', '9_later.sql': '' });
    await migrate(['up', '--dir', known], env);
    await database.query('insert into t select least(n, 199) from generate_series(1, 200) as n');
    const dir = folderOf({
      '1_t.sql': 'create table t (x int);',
      '2_i.sql': 'create unique index concurrently t_x on t (x);\ncreate index concurrently t_x2 on t (x);',
      '3_p.sql': 'create table p ();\ncommit;\nalter table t add column y int;',
    });
    await migrate(['up', '--dir', dir, '--small-table-rows', '100', '--data-check-seconds', '0'], env);
    expect(await status(dir)).toEqual({
      code: 1,
      stdout: `${head}Migrations: 1 applied, 1 partial, 1 unknown, 1 failed
  applied  1_t
  failed   2_i (an index build of it failed)
  partial  3_p (some of its steps are applied; the next run continues)
  unknown  9_later (applied, and not in this folder)

Index builds: 1 valid, 1 failed
index  table     outcome   time  turns  session   attempts
t_x    public.t  failed   N s      1  attached         1
t_x on public.t (2_i.sql:1) failed after 1 attempt: could not create unique index "t_x" (SQLSTATE 23505)
Detail: Key (x)=(199) is duplicated.
Object: table public.t, constraint t_x

Last run: waits for index builds, ended N s ago, by WHO (loop)
3_p.sql waits: it changes the table t, and t_x is failed.
Before it:
  run: waits for index builds, ended N s ago, by WHO (command line): applied 2_i … 3_p (2 in all)
  run: done, ended N s ago, by WHO (command line): applied 1_t … 9_later (2 in all)

Next: fix the cause of the failed build, then run up: it is tried again.
`,
    });
  });

  exhaustive.it('shows a changed file and the error that the run ended with, and exits with 1', async () => {
    const dir = folderOf({ '1_a.sql': 'create table a ();' });
    await migrate(['up', '--dir', dir], env);
    write(dir, { '1_a.sql': 'create table b ();' });
    const { code, stderr } = await migrate(['up', '--dir', dir], env);
    expect(code).toBe(1);
    expect(await status(dir)).toEqual({
      code: 1,
      stdout: `${head}Migrations: 1 changed
  changed  1_a (the file is another than the one that was applied)

Last run: failed, ended N s ago, by WHO (command line)
${stderr}Before it:
  run: done, ended N s ago, by WHO (command line): applied 1_a
`,
    });
  });

  it('gives the same as JSON', async () => {
    const run = (did: string) => ({
      id: expect.any(String),
      action: 'run',
      cause: 'command line',
      actor: expect.stringContaining('@'),
      startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      finishedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      outcome: 'done',
      did,
    });
    const dir = folderOf({ '1_a.sql': 'create table a (x int);' });
    await migrate(['up', '--dir', dir], env);
    await database.query('insert into a select n from generate_series(1, 200) as n');
    write(dir, { '2_i.sql': 'create index concurrently a_x on a (x);' });
    await migrate(['up', '--dir', dir, '--no-wait', '--small-table-rows', '100'], env);
    const { code, stdout, stderr } = await migrate(['status', '--dir', dir, '--json'], env);
    expect({ code, stderr, ...JSON.parse(stdout) }).toEqual({
      code: 3,
      stderr: '',
      ok: false,
      migrations: [
        { version: '1', name: '1_a', state: 'applied' },
        { version: '2', name: '2_i', state: 'building' },
      ],
      builds: [
        {
          abandoned: false,
          index: 'a_x',
          table: 'public.a',
          operation: 'create',
          file: '2_i.sql',
          line: 1,
          outcome: 'pending',
          seconds: null,
          leastSeconds: null,
          turns: 0,
          session: null,
          attempts: 0,
          progress: null,
          fault: null,
        },
      ],
      runs: [run('applied 2_i'), run('applied 1_a')],
      lastRun: run('applied 2_i'),
    });
  });
});
