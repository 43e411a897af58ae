import { hostname, userInfo } from 'node:os';
import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { withTcpProxy } from '../../../local/wire/tcp-proxy.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { type Ended, type Files, folderOf, Migrate, migrate, steady, write } from './command-line.ts';

let database: FreshDatabase;
let env: { DATABASE_URL: string };
beforeEach(async () => {
  database = await freshDatabase();
  env = { DATABASE_URL: database.url };
});

const words = { '1_words.sql': 'create table words (word text not null, language int);\n' };
const indexes = {
  '2_indexes.sql': `create unique index concurrently words_word on words (word);
create index concurrently words_language on words (language);
`,
};
const column = { '3_column.sql': 'alter table words add column note text;\n' };

const head = 'DATABASE on HOST as OWNER, ledger in schema migrations\n';
const said = (text: string) => steady(text, { DATABASE: database.name, OWNER: database.owner });

/** A table that is large from 100 rows on, beside which a folder is applied. */
async function withWords(files: Files, different = 200): Promise<string[]> {
  await database.query('create table words (word text not null, language int)');
  await database.query('insert into words select (n % $1)::text, n from generate_series(0, 199) as n', [
    different,
  ]);
  return ['--dir', folderOf(files), '--small-table-rows', '100'];
}

/** A transaction that wrote to the table: no build of an index on it ends before it does. */
async function writer(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(`begin; insert into words values ('while you build', 0)`);
  return client;
}

describe('migrate up', () => {
  it('applies what is pending, a line for each file, and has nothing to do the second time', async () => {
    const dir = folderOf({ ...words, ...indexes, ...column });
    const first = await migrate(['up', '--dir', dir], env);
    expect({ ...first, stdout: said(first.stdout) }).toEqual({
      code: 0,
      stdout: `${head}pending     3 migrations, 4 steps
applied     1_words
applied     2_indexes
applied     3_column
Done in N s: 3 migrations applied.
`,
      stderr: '',
    });

    const second = await migrate(['up', '--dir', dir, '--database-url', database.url]);
    expect({ ...second, stdout: said(second.stdout) }).toEqual({
      code: 0,
      stdout: `${head}Nothing to do: 3 migrations applied, every index build is valid.\n`,
      stderr: '',
    });
    const runs = await database.query('select cause, actor from migrations.run');
    expect(runs).toEqual(
      Array(2).fill({ cause: 'command line', actor: `${userInfo().username}@${hostname()}` }),
    );
  });

  it('builds the indexes of a large table until each is valid, and then applies what waited for them', async () => {
    await database.adminQuery('create extension dblink');
    const up = await migrate(['up', ...(await withWords({ ...indexes, ...column }))], env);
    expect({ ...up, stdout: said(up.stdout) }).toEqual({
      code: 0,
      stdout: `${head}pending     2 migrations, 3 steps
handed off  2_indexes, step 1 of 2: words_word on words
handed off  2_indexes, step 2 of 2: words_language on words
waits       3_column.sql: it changes the table words, and words_word is pending
building    words_word on public.words (attempt 1, loopback session)
valid       words_word on public.words after N s
building    words_language on public.words (attempt 1, loopback session)
valid       words_language on public.words after N s
pending     1 migration, 1 step
applied     3_column
index           table         outcome   time  turns  session   attempts
words_word      public.words  valid    N s      1  loopback         1
words_language  public.words  valid    N s      1  loopback         1
Done in N s: 2 migrations applied, 2 index builds valid.
`,
      stderr: '',
    });
  });

  it('says the same with --json as one document on standard output, and to people on standard error', async () => {
    const up = await migrate(['up', '--json', ...(await withWords({ ...indexes, ...column }))], env);
    const build = {
      table: 'public.words',
      operation: 'create',
      file: '2_indexes.sql',
      outcome: 'valid',
      abandoned: false,
      seconds: expect.any(Number),
      leastSeconds: null,
      turns: expect.any(Number),
      session: 'attached',
      attempts: 1,
      progress: null,
      fault: null,
    };
    expect(up.stdout.split('\n')).toHaveLength(2);
    expect(JSON.parse(up.stdout)).toEqual({
      ok: true,
      migrations: [
        { version: '2', name: '2_indexes', state: 'applied', applied: 2 },
        { version: '3', name: '3_column', state: 'applied', applied: 1 },
      ],
      builds: [
        { ...build, index: 'words_word', line: 1 },
        { ...build, index: 'words_language', line: 2 },
      ],
      waiting: null,
    });
    expect(up.stderr).toContain('valid       words_language on public.words');
    expect(up.code).toBe(0);
  });

  it('with --no-wait hands off, says what is left, and exits with 3; the next up does it', async () => {
    const flags = await withWords({ ...indexes, ...column });
    const left = await migrate(['up', '--no-wait', ...flags], env);
    expect({ ...left, stdout: said(left.stdout).split('\n').slice(-5) }).toEqual({
      code: 3,
      stdout: [
        'words_language  public.words  pending            0                  0',
        'Left to do: 2 index builds.',
        '3_column.sql waits: it changes the table words, and words_word is pending.',
        'Run up again without --no-wait, or let the deployed loop continue.',
        '',
      ],
      stderr: '',
    });
    const json = await migrate(['up', '--no-wait', '--json', ...flags], env);
    expect(json.code).toBe(3);
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      builds: [{ outcome: 'pending' }, { outcome: 'pending' }],
      waiting: { file: '3_column.sql' },
    });
    const done = await migrate(['up', ...flags], env);
    expect(done.code, done.stderr).toBe(0);
    expect(done.stdout).toMatch(/Done in .* s: 1 migration applied, 2 index builds valid\.\n$/);
  });

  exhaustive.it('counts each kind of work by its own name', async () => {
    const work = `alter table words add constraint named check (word <> '') not valid;
alter table words validate constraint named;
-- migrate: backfill
update words set language = 1 where language is null;
create index concurrently words_language on words (language);
-- migrate: hand-off
analyze words;
vacuum words;
`;
    const flags = await withWords({ '2_work.sql': work });
    const left = await migrate(['up', '--no-wait', ...flags], env);
    expect(left.stdout).toContain('Left to do: 1 validation, 1 backfill, 1 index build, 2 statements.\n');
    const done = await migrate(['up', ...flags], env);
    expect(done.stdout).toMatch(
      /applied, 1 validation done, 1 backfill done, 1 index build valid, 2 statements done\.\n$/,
    );
  });

  it('names file, line, statement and SQLSTATE of a failure, what stays and what to do; never the password', async () => {
    const dir = folderOf({ ...words, '2_bad.sql': 'create table a (b int);\nselect c from a;\n' });
    const up = await migrate(['up', '--dir', dir], env);
    const message = `2_bad.sql:2:8: This statement failed.
Postgres: column "c" does not exist (SQLSTATE 42703)
Statement: select c from a
Applied: 1_words by this run; nothing of 2_bad.sql.
Next: correct 2_bad.sql and run again; the run continues with this step.
`;
    expect({ ...up, stdout: said(up.stdout) }).toEqual({
      code: 1,
      stdout: `${head}pending     2 migrations, 2 steps\napplied     1_words\n`,
      stderr: message,
    });
    const json = await migrate(['up', '--dir', dir, '--json'], env);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toEqual({
      ok: false,
      migrations: [
        { version: '1', name: '1_words', state: 'applied', applied: 0 },
        { version: '2', name: '2_bad', state: 'pending', applied: 0 },
      ],
      builds: [],
      waiting: null,
      error: {
        code: 'statement-failed',
        what: 'This statement failed.',
        place: { file: '2_bad.sql', position: { line: 2, column: 8 }, statement: 'select c from a' },
        fault: { sqlstate: '42703', message: 'column "c" does not exist' },
        applied: 'nothing by this run before it; nothing of 2_bad.sql.',
        next: 'correct 2_bad.sql and run again; the run continues with this step.',
      },
    });
    const everything = [up, json].map(({ stdout, stderr }) => stdout + stderr).join();
    expect(everything).not.toContain(database.password);
  });

  exhaustive.it(
    'continues with the builds of earlier files where a later file fails, and fails with its error',
    async () => {
      const flags = await withWords({ ...indexes, '3_bad.sql': 'select nothing;' });
      const up = await migrate(['up', ...flags], env);
      expect(up.code).toBe(1);
      expect(up.stdout).toContain('valid       words_language on public.words');
      expect(up.stderr.match(/3_bad\.sql:1:8: This statement failed\./g)).toHaveLength(2);
      expect(
        await database.query(
          'select indexrelid::regclass::text as name from pg_index where indisvalid and indrelid = $1::regclass order by 1',
          ['words'],
        ),
      ).toEqual([{ name: 'words_language' }, { name: 'words_word' }]);
    },
  );

  exhaustive.it(
    'says in Postgres’s words why a build failed, leaves no INVALID index, and tries it again when the file is fixed',
    async () => {
      const flags = await withWords(indexes, 199);
      const up = await migrate(['up', ...flags, '--data-check-seconds', '0'], env);
      expect(up.code).toBe(1);
      expect(up.stdout).toMatch(
        /failed {6}words_word on public\.words after .*: could not create unique index "words_word" \(SQLSTATE 23505\)\n/,
      );
      expect(
        up.stderr,
      ).toBe(`words_word on public.words (2_indexes.sql:1) failed after 1 attempt: could not create unique index "words_word" (SQLSTATE 23505)
Detail: Key (word)=(0) is duplicated.
Object: table public.words, constraint words_word
Next: fix the cause, then run again: failed builds are tried again.
`);
      expect(await database.query('select from pg_index where not indisvalid')).toEqual([]);
      write(flags[1] ?? '', { '2_indexes.sql': indexes['2_indexes.sql'].replace('unique ', '') });
      const fixed = await migrate(['up', ...flags], env);
      expect(fixed.code, fixed.stderr).toBe(0);
      expect(fixed.stdout).toMatch(/Done in .* s: 1 migration applied, 1 index build valid\.\n$/);
    },
  );

  exhaustive.it(
    'shows the duplicates before it builds a unique index, which is then not started',
    async () => {
      const flags = await withWords(indexes, 199);
      const { code, stderr } = await migrate(['up', ...flags], env);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: `words_word on public.words (2_indexes.sql:1) failed before it started: could not create unique index "words_word": 1 value of (word) in more than one row (SQLSTATE 23505)
Detail: Such as (0) in 2 rows.
Hint: Leave one row of each, then retry. Nothing was built.
Next: fix the cause, then run again: failed builds are tried again.
`,
      });
    },
  );

  exhaustive.it('waits for another run, says so once, and then has its turn', async () => {
    const other = new pg.Client({ connectionString: database.url });
    await other.connect();
    onTestFinished(() => other.end());
    // The run lock, as lambda/postgres/ledger/run-lock.ts takes it.
    await other.query(`select pg_advisory_lock(1836279411, hashtext('migrations'))`);
    const up = new Migrate(['up', '--dir', folderOf(words)], env);
    await up.says('waiting');
    await other.query('select pg_advisory_unlock_all()');
    const { code, stdout } = await up.ended;
    expect({ code, stdout: said(stdout) }).toEqual({
      code: 0,
      stdout: `${head}waiting     another run is under way on this database; this one follows it
pending     1 migration, 1 step
applied     1_words
Done in N s: 1 migration applied.
`,
    });
  });

  exhaustive.it(
    'waits for a table that somebody holds, says who, and keeps nobody else waiting',
    async () => {
      const directory = await withWords({ '1_column.sql': 'alter table words add column note text;' });
      const holder = await writer();
      const up = new Migrate(['up', ...directory], env);
      await up.says('locked');
      // In vain would it be to queue behind him, and whoever came after would wait too.
      await database.query('set lock_timeout = 500; select * from words limit 1');
      await holder.query('commit');
      const { code, stdout } = await up.ended;
      expect(code).toBe(0);
      expect(said(stdout).replace(/pid \d+/, 'pid N')).toContain(
        'locked      1_column.sql: waits, and keeps nobody else waiting, until these are gone: pid N (OWNER, idle in transaction for N s, RowExclusiveLock on words)\napplied     1_column\n',
      );
    },
  );

  exhaustive.it('adopts an index that somebody has built by hand', async () => {
    const flags = await withWords({
      '2_indexes.sql': 'create index concurrently words_language on words (language);',
    });
    await database.query('create index words_language on words (language)');
    const up = await migrate(['up', ...flags], env);
    expect(up.code, up.stderr).toBe(0);
    expect(up.stdout).toContain('adopted     words_language on public.words, which was there already\n');
  });
});

describe('Ctrl-C', () => {
  const sleeping = () =>
    database.query(
      `select from pg_stat_activity where datname = current_database() and state = 'active'
          and query like '%pg_sleep(600)%' and pid <> pg_backend_pid()`,
    );

  it('cancels the statement under way, says what stays, and the next up continues there', async () => {
    const dir = folderOf({ ...words, '2_long.sql': 'create table long (); select pg_sleep(600);' });
    const up = new Migrate(['up', '--dir', dir], env);
    await expectEventually(async () => (await sleeping()).length === 1);
    up.signal('SIGINT');
    const { code, stderr } = await up.ended;
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: `Stopped: interrupted by SIGINT.
Applied: steps of 1 migration by this run, each of them whole; of a step under way, nothing.
Next: run up again: it continues from here. The verb status shows how far the builds are.
`,
    });
    expect(await sleeping()).toEqual([]);
    write(dir, { '2_long.sql': 'create table long ();' });
    const again = await migrate(['up', '--dir', dir], env);
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('applied     2_long\n') });
  });

  exhaustive.it(
    'pressed again ends the process at once, also where the database does not answer any more',
    async () => {
      await withTcpProxy({ target: database.url }, async (proxy) => {
        const held = proxy.inject({
          direction: 'to-server',
          containing: 'pg_cancel_backend',
          action: 'stall',
        });
        const up = new Migrate(['up', '--dir', folderOf({ '1_long.sql': 'select pg_sleep(600);' })], {
          DATABASE_URL: proxy.url,
        });
        await expectEventually(async () => (await sleeping()).length === 1);
        up.signal('SIGINT');
        await held;
        let ended: Ended | undefined;
        void up.ended.then((end) => {
          ended = end;
        });
        // One that follows at once is taken for an echo of the first.
        await expectEventually(() => {
          up.signal('SIGINT');
          return ended;
        });
        expect(ended).toMatchObject({ code: 130, stderr: '' });
      });
    },
  );

  it('leaves a build to the database, says so, and the next up finds it valid', async () => {
    await database.adminQuery('create extension dblink');
    const flags = await withWords(indexes);
    const transaction = await writer();
    const up = new Migrate(['up', '--json', ...flags], env);
    await up.says('building    words_word');
    up.signal('SIGTERM');
    const { code, stdout } = await up.ended;
    expect({ code, ...JSON.parse(stdout) }).toEqual({
      code: 143,
      ok: false,
      error: {
        code: 'interrupted',
        what: `Stopped: interrupted by SIGTERM.
words_word on public.words: continues in the database without this process.
Also pending: 1 index build.`,
        place: null,
        fault: null,
        applied: 'steps of 1 migration by this run, each of them whole; of a step under way, nothing.',
        next: 'run up again: it continues from here. The verb status shows how far the builds are.',
      },
    });
    await transaction.query('commit');
    const again = await migrate(['up', '--json', ...flags], env);
    expect(again.code, again.stderr).toBe(0);
    expect(JSON.parse(again.stdout)).toMatchObject({
      builds: [
        { index: 'words_word', outcome: 'valid', attempts: 1, session: 'loopback' },
        { index: 'words_language', outcome: 'valid', attempts: 1 },
      ],
    });
  });
});
