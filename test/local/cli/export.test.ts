import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { ByHand, HandOperation } from '../../../local/cli/by-hand.ts';
import { psqlScript } from '../../../local/cli/psql-script.ts';
import { kindsOfWork } from '../../lambda/actions/kinds-of-work.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { folderOf, migrate, steady } from './command-line.ts';

let database: FreshDatabase;
let env: { DATABASE_URL: string };
beforeEach(async () => {
  database = await freshDatabase();
  env = { DATABASE_URL: database.url };
});

const hasPsql = spawnSync('psql', ['--version']).error === undefined;

function psql(script: string) {
  const { status, stdout, stderr } = spawnSync('psql', ['-X', '-f', '-', database.url], {
    input: script,
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

const TABLE = `create schema app;
create table app.words (id int generated always as identity, word text, language int);
insert into app.words (word, language) select (n % 199)::text, n from generate_series(0, 199) as n;
create index words_old on app.words (id);
create table app.parts (id int) partition by range (id);
create table app.parts_1 partition of app.parts for values from (0) to (1000);`;

const FILES = {
  '2_indexes.sql': `set search_path = app;
create index concurrently words_language on words (language) where word <> ':HOST';
create index concurrently on words (id);
drop index concurrently if exists words_old;
drop index concurrently words_old;
reindex table concurrently words;
create index concurrently parts_id on parts (id);`,
  '3_more.sql': `create table app.later (id int);
create index concurrently later_id on app.later (id);
alter table app.words add column note text;
create index concurrently words_note on app.words (note);`,
};

interface Everything {
  readonly relations: unknown;
  readonly rows: Readonly<Record<string, unknown>>;
}

const ofUser = ({ rows }: Everything = { relations: [], rows: {} }) =>
  Object.entries(rows).filter(([name]) => !name.startsWith('migrations.'));

async function exported(files: Readonly<Record<string, string>>): Promise<string> {
  const file = join(folderOf({}), 'indexes.sql');
  const flags = ['--dir', folderOf(files), '--output', file];
  const { code, stdout, stderr } = await migrate(['export', ...flags], env);
  expect({ code, stdout, file: stderr.includes(file) }, stderr).toEqual({ code: 0, stdout: '', file: true });
  return readFileSync(file, 'utf8');
}

describe('migrate export', () => {
  it('writes what can be done by hand, names what cannot with the reason, and changes nothing', async () => {
    await database.query(TABLE);
    const { code, stdout, stderr } = await migrate(['export', '--dir', folderOf(FILES)], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '2 operations, 6 left to the next up.\n' });
    const lines = stdout.split('\n');
    expect(lines.filter((line) => line.startsWith('-- Left out'))).toEqual([
      '-- Left out: 2_indexes.sql:3, since it has no name by which a run could find it: give it one in the file.',
      '-- Left out: 2_indexes.sql:5, since without IF EXISTS the run would not find the index, and fail.',
      '-- Left out: 2_indexes.sql:6, since a run could not tell that it was done, and would do it again.',
      '-- Left out: 2_indexes.sql:7, since its table is partitioned, and up builds the index partition by partition.',
      '-- Left out: 3_more.sql:2, since its table does not exist yet, and the run that creates it does this too.',
      '-- Left out: 3_more.sql:4, since 3_more.sql is to change its table first.',
    ]);
    expect(lines).toContain(
      `create index concurrently "words_language" on "app"."words" (language) where word <> ':HOST';`,
    );
    expect(lines).toContain('drop index concurrently if exists "app"."words_old";');
    expect(stdout).not.toContain(database.password);
    expect(await database.query(`select from pg_namespace where nspname = 'migrations'`)).toEqual([]);
  });

  it.skipIf(!hasPsql)('gives a script that psql carries out twice, and whose indexes up adopts', async () => {
    await database.query(TABLE);
    const script = await exported(FILES);
    expect(psql(script)).toEqual({
      status: 0,
      stdout: `1 of 2: create words_language on app.words
  valid
2 of 2: drop words_old on app.words
  done
`,
      stderr: '',
    });
    expect(psql(script)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('  it is valid already\n'),
    });
    const adopted = {
      '2_indexes.sql': FILES['2_indexes.sql'].split('\n').slice(0, 2).join('\n'),
    };
    const flags = ['--dir', folderOf(adopted), '--small-table-rows', '100'];
    const up = await migrate(['up', ...flags], env);
    expect(up.code, up.stderr).toBe(0);
    expect(up.stdout).toContain('adopted     words_language on app.words, which was there already\n');
  });

  it.skipIf(!hasPsql)(
    'gives a script that stops at an error, and that drops what was left INVALID',
    async () => {
      await database.query(TABLE);
      const script = await exported({
        '2_u.sql': 'create unique index concurrently words_word on app.words (word);',
      });
      const failed = psql(script);
      expect(failed).toMatchObject({ status: 3, stdout: '1 of 1: create words_word on app.words\n' });
      expect(failed.stderr).toContain('could not create unique index "words_word"');
      await database.query('delete from app.words where language = 0');
      expect(psql(script)).toEqual({
        status: 0,
        stdout: `1 of 1: create words_word on app.words
  an earlier try left it INVALID: dropped first
  valid
`,
        stderr: '',
      });
    },
  );

  it.skipIf(!hasPsql)(
    'gives a script that does not touch an INVALID index which somebody may be building',
    async () => {
      await database.query(TABLE);
      const script = await exported({
        '2_u.sql': 'create unique index concurrently words_word on app.words (word);',
      });
      expect(psql(script).status).toBe(3);
      const builder = new pg.Client({ connectionString: database.url });
      await builder.connect();
      onTestFinished(() => builder.end());
      await builder.query('begin; lock table app.words in share update exclusive mode');
      const beside = psql(script.replace('set lock_timeout = 0;', "set lock_timeout = '500ms';"));
      expect(beside).toMatchObject({ status: 3, stdout: '1 of 1: create words_word on app.words\n' });
      expect(await database.query('select from pg_index where not indisvalid')).toHaveLength(1);
    },
  );

  (hasPsql ? exhaustive.it : it.skip)(
    'does long work that was handed off by hand too, a backfill in batches, so that up finds it done',
    async () => {
      await database.query(`create table t (id int, tenant text collate "C", n int, m int, primary key (tenant, id)) partition by list (tenant);
create table t_a partition of t for values in ('a'); create table t_b partition of t for values in ('b', 'c''s "\\');
insert into t select g, (array['a', 'b', 'c''s "\\'])[1 + g % 3], g from generate_series(1, 3000) g;
create table blocks (n int, m int, note text);
insert into blocks select g, null, repeat('x', 200) from generate_series(1, 3000) g;
create domain positive as int; create table paid (id int primary key, x positive);
insert into paid select g, g from generate_series(1, 500) g;
create materialized view totals as select sum(x) as total from paid with no data;
create table counted (n int);`);
      const files = {
        '4_fill.sql': `-- migrate: backfill batch 5ms pause 0
update t as x set n = n + 1, m = (select max(p.id) from paid p where p.id <= x.n) where x.n > 100 -- most of them
returning x.n;`,
        '5_blocks.sql': '-- migrate: backfill batch 5ms\nupdate blocks set m = n * 2 where m is null;',
        '2_check.sql': `alter domain positive add constraint above check (value > 0) not valid;
alter domain positive validate constraint above;
alter table paid add constraint there check (x is not null) not valid;
alter table paid validate constraint there;
analyze paid;`,
        '1_refresh.sql': 'refresh materialized view totals;',
        '6_once.sql': `set search_path = public;
-- migrate: hand-off
insert into counted select count(*) from paid;`,
      };
      const flags = ['--small-table-rows', '100', '--dir', folderOf(files)];
      const first = await migrate(['up', '--no-wait', ...flags], env);
      expect(first.code, first.stderr).toBe(3);
      const script = await exported(files);
      // Stopped behind a batch of each walk.
      const cut = script
        .slice(0, script.indexOf('-- 6_once.sql'))
        .replaceAll('exit when not found;', 'exit when not found or at.cursor is not null;');
      expect(psql(cut)).toMatchObject({ status: 0 });
      const left = () =>
        database.query('select count(*)::int as left from migrations.backfill where not done');
      expect(await left()).toEqual([{ left: 3 }]);
      const done = psql(script);
      expect(done, done.stderr).toMatchObject({ status: 0, stderr: '' });
      expect(await left()).toEqual([{ left: 0 }]);
      expect(psql(script).stdout.match(/it is done already/g)).toHaveLength(7);
      const up = await migrate(['up', ...flags], env);
      expect(up.code, up.stderr).toBe(0);
      expect(
        await database.query(
          `select (select count(*)::int from t where n <> id + (id > 100)::int) as wrong,
                  (select count(*)::int from blocks where m is distinct from n * 2) as others,
                  (select array_agg(n) from counted) as counted, (select total::int from totals),
                  (select bool_and(convalidated) from pg_constraint where conname in ('above', 'there')) as validated,
                  (select bool_and(state = 'done') from migrations.work) as done,
                  (select sum(attempts)::int from migrations.work) as attempts,
                  (select bool_and(batches > 1) from migrations.backfill) as batches`,
        ),
      ).toEqual([
        {
          wrong: 0,
          others: 0,
          counted: [500],
          total: 125_250,
          validated: true,
          done: true,
          attempts: 2,
          batches: true,
        },
      ]);
    },
  );

  (hasPsql ? exhaustive.it : it.skip).each(Object.entries(kindsOfWork))(
    'gives a script for %s that was handed off, and that leaves what the loop would',
    async (_, { tables, work, done }) => {
      const files = { '1_t.sql': tables, '2_work.sql': work };
      const flags = ['--small-table-rows', '100', '--dir', folderOf(files)];
      await database.query(tables);
      const byLoop = await freshDatabase();
      await byLoop.query(tables);
      for (const each of [database, byLoop]) {
        const url = { DATABASE_URL: each.url };
        await migrate(['baseline', '1', '--confirm', '--dir', folderOf(files)], url);
        expect((await migrate(['up', '--no-wait', ...flags], url)).code).toBe(3);
      }
      const script = await exported(files);
      expect(psql(script)).toMatchObject({ status: 0, stderr: '' });
      expect(psql(script)).toMatchObject({ status: 0, stderr: '' });
      const up = await migrate(['up', ...flags], env);
      expect(up.code, up.stderr).toBe(0);
      expect((await migrate(['up', ...flags], { DATABASE_URL: byLoop.url })).code).toBe(0);
      expect(await database.query(`select ${done} as done`)).toEqual([{ done: true }]);
      // With the CDK behind it, which nothing else here needs.
      const { everythingIn } = await import('../../lambda/lifecycle/life-cycle.ts');
      const [hand, loop] = [await everythingIn(database), await everythingIn(byLoop)] as Everything[];
      expect(hand?.relations).toEqual(loop?.relations);
      expect(ofUser(hand)).toEqual(ofUser(loop));
    },
  );

  exhaustive.it('takes over builds that were handed off, with every name resolved', async () => {
    await database.query(TABLE);
    const dir = folderOf({
      '2_i.sql': 'set search_path = app;\ncreate index concurrently on words (language);',
    });
    const flags = ['--dir', dir];
    await migrate(['up', '--no-wait', '--small-table-rows', '100', ...flags], env);
    const { stdout, stderr } = await migrate(['export', ...flags], env);
    expect(stderr).toBe('1 operation, 0 left to the next up.\n');
    expect(stdout).toContain(
      '\ncreate index concurrently "words_language_idx" on "app"."words" (language);\n',
    );
    await database.query('create index words_language_idx on app.words (language)');
    const up = await migrate(['up', ...flags], env);
    expect(up.stdout).toContain('adopted     words_language_idx on app.words');
  });

  exhaustive.it('says so where nothing is pending', async () => {
    const { code, stdout } = await migrate(['export', '--dir', folderOf({ '1_a.sql': '' })], env);
    expect({ code, stdout: steady(stdout.replace(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/, 'THEN')) }).toEqual({
      code: 0,
      stdout: `-- Nothing is pending that could be done by hand: ${database.name} on HOST as ${database.owner}, ledger in schema migrations, THEN.\n`,
    });
  });
});

describe('the script for psql', () => {
  const odd: HandOperation = {
    operation: 'create',
    file: '1_\nselect 1;.sql',
    line: 1,
    schema: 'public',
    table: 'odd',
    index: 'a `touch /tmp/never` \'quoted\' "name" \\! ls $check$',
    statement:
      'create index concurrently "a `touch /tmp/never` \'quoted\' ""name"" \\! ls $check$" on odd (x) -- odd',
    settings: [],
    rows: 12,
    bytes: undefined,
  };
  const found: ByHand = {
    operations: [odd],
    leftOut: [{ file: 'f\n\\! ls', line: 1, because: 'it is odd' }],
  };
  const script = psqlScript(found, { target: 'here\n\\! ls', at: new Date(0), smallTableRows: 100 });

  exhaustive.it('keeps names that would be commands within quotes and comments', () => {
    for (const line of script.split('\n')) {
      if (line.includes('touch') && line.startsWith('\\')) expect(line).toMatch(/^\\echo '(?:[^']|'')*'$/);
      expect(line).not.toMatch(/^\\!/);
    }
    expect(script).toContain('do $check1$');
  });

  it.skipIf(!hasPsql)('is carried out by psql with such names', async () => {
    await database.query('create table odd (x int)');
    expect(psql(script)).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('  valid\n'),
      stderr: '',
    });
    expect(
      await database.query('select relname from pg_class where relkind = $1 and relname like $2', [
        'i',
        'a %',
      ]),
    ).toEqual([{ relname: odd.index }]);
  });
});
