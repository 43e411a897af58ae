import pg from 'pg';
import { describe, expect, it } from 'vitest';
import type { TurnEvent } from '../../../../lambda/work/turn/turn-request.ts';
import { exhaustive, firstOf } from '../../../support/exhaustive.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { compile, freshScenario, largeTable, type Scenario } from '../../run/scenario.ts';
import { after, turnOf } from './building.ts';

const ROWS = 3_000;

/** A table of each kind of key, with gaps; `n` is what most statements work on. */
const KEYS: readonly (readonly [name: string, table: string])[] = [
  [
    'an integer',
    'create table t (id int primary key, n int, m int); insert into t select g * 7, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'a bigint with huge gaps',
    'create table t (id bigint primary key, n int, m int); insert into t select g::bigint * 3000000000000 - 4000000000000000000, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'a uuid',
    'create table t (id uuid primary key default gen_random_uuid(), n int, m int); insert into t select md5(g::text)::uuid, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'a text with quotes and backslashes',
    `create table t (id text primary key, n int, m int); insert into t select 'it''s \\ "' || md5(g::text) || 'é', g % 11 from generate_series(1, ROWS) g`,
  ],
  [
    'a text of another collation',
    `create table t (id text collate "C" primary key, n int, m int); insert into t select chr(65 + g % 58) || g, g % 11 from generate_series(1, ROWS) g`,
  ],
  [
    'a varchar',
    'create table t (id varchar(20) primary key, n int, m int); insert into t select to_hex(g), g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'a timestamp with time zone',
    `create table t (id timestamptz primary key, n int, m int); insert into t select timestamptz '2024-03-30 22:00+01' + g * interval '1.000001 second', g % 11 from generate_series(1, ROWS) g`,
  ],
  [
    'a numeric',
    'create table t (id numeric primary key, n int, m int); insert into t select g / 7.0, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'two columns',
    'create table t (a int, b text, n int, m int, primary key (a, b)); insert into t select g % 5, to_hex(g), g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'two columns, descending',
    'create table t (a int not null, b int not null, n int, m int); create unique index on t (a desc, b desc); insert into t select g % 5, g, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'partitions',
    'create table t (id int, n int, m int, primary key (id)) partition by range (id); create table t1 partition of t for values from (0) to (1000); create table t2 partition of t for values from (1000) to (2000000) partition by range (id); create table t21 partition of t2 for values from (1000) to (5000); create table t22 partition of t2 for values from (5000) to (2000000); insert into t select g * 3, g % 11 from generate_series(1, ROWS) g',
  ],
  [
    'an inheritance tree',
    'create table t (id int primary key, n int, m int); create table kid (primary key (id)) inherits (t); insert into t select g, g % 11 from generate_series(1, 1000) g; insert into kid select g, g % 11 from generate_series(1, 2000) g',
  ],
  [
    'quoted names',
    'create table t ("The Key" int primary key, n int, m int); insert into t select g, g % 11 from generate_series(1, ROWS) g',
  ],
];

const STATEMENTS: readonly (readonly [name: string, sql: string])[] = [
  ['UPDATE', 'update t set m = n * 2 where m is null'],
  ['UPDATE that counts', 'update t set n = n + 1'],
  [
    'UPDATE with an alias, a comment and RETURNING',
    'update t as x set m = x.n -- twice\n  where x.n > 3 /* or more */ or x.n = 1 returning x.n',
  ],
  ['UPDATE FROM', 'update t set m = f.m from factor f where f.n = t.n and f.m % 2 = 0'],
  [
    'UPDATE with WITH and a sub-select',
    'with best as (select max(m) as m from factor) update t set m = (select b.m + t.n from best b) where exists (select from factor f where f.n = t.n)',
  ],
  ['DELETE', 'delete from t where n in (1, 2, 3)'],
  ['DELETE USING', 'delete from t using factor f where f.n = t.n and f.m > 40'],
  [
    'INSERT SELECT',
    'insert into copy (n, m) select t.n, f.m from t left join factor f on f.n = t.n where t.n <> 5 order by 1',
  ],
  ['INSERT ON CONFLICT', 'insert into best (n, m) select n, 1 from t where n > 2 on conflict (n) do nothing'],
];

const OTHERS = `create table factor (n int primary key, m int); insert into factor select g, g * g from generate_series(0, 10) g;
create table copy (n int, m int); create table best (n int primary key, m int)`;

/** Where a statement may have left something. */
const RESULT = `select md5(string_agg(line, ';' order by line)) as result, count(*)::int as rows from (
  select t::text as line from t union all select copy::text from copy union all select best::text from best) all_rows`;

async function prepared(table: string): Promise<Scenario> {
  const scenario = await freshScenario();
  await scenario.query(`${table.replaceAll('ROWS', String(ROWS))}; ${OTHERS}; analyze`);
  return scenario;
}

const file = (sql: string, options = 'batch 4ms'): Record<string, string> => ({
  '1_fill.sql': `-- migrate: backfill ${options}\n${sql};`,
});

/** What the one statement would make; nothing of it is left. */
async function made({ database }: Scenario, sql: string): Promise<object | undefined> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  try {
    await client.query(`begin; ${sql}`);
    return (await client.query<object>(RESULT)).rows[0];
  } finally {
    await client.end();
  }
}

describe('a backfill makes the rows that the one statement makes', () => {
  it.each(firstOf(3, KEYS))('walking by %s', async (_, table) => {
    const scenario = await prepared(table);
    let files: Record<string, string> = {};
    for (const [at, [name, sql]] of (table === KEYS[0]?.[1]
      ? STATEMENTS
      : STATEMENTS.slice(0, 4)
    ).entries()) {
      const wanted = await made(scenario, sql);
      files = { ...files, [`${at + 1}_fill.sql`]: `-- migrate: backfill batch 4ms\n${sql};` };

      expect(await scenario.deploy(files), name).toEqual({ outcome: 'valid', message: '' });

      expect(await scenario.query(RESULT), name).toEqual([wanted]);
      const [{ batches = 0 } = {}] = await scenario.query<{ batches: number }>(
        `select sum(batches)::int as batches from migrations.backfill where version = '${at + 1}'`,
      );
      expect(batches, name).toBeGreaterThan(1);
    }
  });

  exhaustive.it('walking by the key that it names', async () => {
    const scenario = await prepared(
      'create table t (id int primary key, tenant int not null, number int not null, n int, m int, unique (tenant, number)); insert into t select g, g % 3, g, g % 11 from generate_series(1, ROWS) g',
    );
    await scenario.deploy(file('update t set n = n + 1', 'by (tenant, number), batch 4ms'));
    const [row] = await scenario.query('select key, done, written::int from migrations.backfill');
    expect(row).toEqual({ key: ['tenant', 'number'], done: true, written: ROWS });
    expect(await scenario.query('select count(*)::int as wrong from t where n <> id % 11 + 1')).toEqual([
      { wrong: 0 },
    ]);
  });

  exhaustive.it('walking by the blocks of a table without a key', async () => {
    const scenario = await prepared(
      "create table t (id int, n int, m int, note text); insert into t select g, g % 11, null, repeat('x', 200) from generate_series(1, ROWS) g",
    );
    await scenario.deploy(file('update t set m = n * 2 where m is null'));
    expect(
      await scenario.query('select count(*)::int as wrong from t where m is distinct from n * 2'),
    ).toEqual([{ wrong: 0 }]);
    expect(
      await scenario.query('select kind, batches > 1 as several, written::int from migrations.backfill'),
    ).toEqual([{ kind: 'blocks', several: true, written: ROWS }]);
  });
});

/** Turns of the table, each of so many batches, until there is nothing left to do. */
async function turns(scenario: Scenario, batches: number, table = 't'): Promise<number> {
  for (let turn = 1; ; turn += 1) {
    const { outcome } = await turnOf(scenario.database, { table, yields: after(batches) });
    if (outcome === 'done') return turn;
    if (turn > 500) throw new Error('it does not come to an end');
  }
}

const wrong = (scenario: Scenario) =>
  scenario.query('select count(*)::int as wrong from t where n <> (id / 7) % 11 + 1');

describe('a backfill that is cut off', () => {
  it('by the end of its turn, continues after the last batch with the next, so that each row is done once', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    await scenario.run(file('update t set n = n + 1', 'batch 1ms, pause 1'));
    expect(await turns(scenario, 2)).toBeGreaterThan(2);
    expect(await wrong(scenario)).toEqual([{ wrong: 0 }]);
    const { builds } = await scenario.status({});
    expect(builds).toMatchObject([
      { operation: 'backfill', table: 't', index: 'n', state: 'done', attempts: 1 },
    ]);
  });

  exhaustive.it('by the end of its session, loses the batch under way and nothing else', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    const running = scenario.deploy(file('update t set n = n + 1', 'batch 2ms, pause 2'));
    const over = { yet: false };
    void running.finally(() => {
      over.yet = true;
    });
    for (let struck = 0; struck < 3 && !over.yet; ) {
      const killed = await scenario.database.adminQuery(
        `select pg_terminate_backend(pid) as struck from pg_stat_activity where query like '%migrations.backfill_until%' and datname = current_database() and pid <> pg_backend_pid()`,
      );
      struck += killed.length;
    }
    await running;
    expect(await wrong(scenario)).toEqual([{ wrong: 0 }]);
  });

  exhaustive.it('and whose turn is delivered twice, does no batch twice', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    await scenario.run(file('update t set n = n + 1', 'batch 2ms'));
    await Promise.all([turns(scenario, 5), turns(scenario, 5), turns(scenario, 5)]);
    expect(await wrong(scenario)).toEqual([{ wrong: 0 }]);
  });

  exhaustive.it('in the middle of a run of former code, continues after its last batch', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    const files = file('update t set n = n + 1', 'batch 1ms, pause 1');
    await scenario.run(files);
    await turnOf(scenario.database, { table: 't', yields: after(2) });
    const [begun] = await scenario.query('select walked > 0 and not done as begun from migrations.backfill');
    expect(begun).toEqual({ begun: true });
    // As it was when the run did the batches by itself.
    await scenario.query(
      "update migrations.backfill set work_id = null; delete from migrations.work; update migrations.step set state = 'started'",
    );
    await scenario.deploy(files);
    expect(await wrong(scenario)).toEqual([{ wrong: 0 }]);
  });
});

describe('a small or a new table', () => {
  it('is filled in its place, by the one statement', async () => {
    const scenario = await freshScenario();
    await scenario.query('create table t (id int primary key, n int); insert into t values (1, 1), (2, 2)');
    const { applied } = await scenario.run({
      '1_small.sql': '-- migrate: backfill\nupdate t set n = n + 1;',
      '2_new.sql': `${largeTable('large')}\n-- migrate: backfill\nupdate large set x = x + 1;`,
    });
    expect(applied.map(({ how }) => how)).toEqual(['transaction', 'transaction', 'transaction']);
    expect(await scenario.query('select * from t order by id')).toEqual([
      { id: 1, n: 2 },
      { id: 2, n: 3 },
    ]);
  });

  exhaustive.it(
    'is walked like any other where the strategy is concurrent; a large one also where it is inline',
    async () => {
      const scenario = await prepared(KEYS[0]?.[1] ?? '');
      await scenario.query('create table small (id int primary key, n int)');
      const { builds } = await scenario.run(
        { '1_small.sql': '-- migrate: backfill\nupdate small set n = n + 1;' },
        { indexStrategy: 'concurrent' },
      );
      expect(builds).toMatchObject([{ operation: 'backfill', table: 'small' }]);
      const { applied } = await scenario.run(
        {
          '1_small.sql': '-- migrate: backfill\nupdate small set n = n + 1;',
          '2_large.sql': '-- migrate: backfill\nupdate t set n = n + 1;',
        },
        { indexStrategy: 'inline' },
      );
      expect(applied.map(({ how }) => how)).toEqual(['handed off']);
    },
  );
});

describe('a row that cannot be done', () => {
  it('is found by halving, named with what Postgres says, and continued once it is fixed', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    await scenario.query(
      'alter table t add constraint small check (m < 100); update t set n = 1000 where id = 7 * 1234',
    );
    const files = file('update t set m = n where m is null');

    const { outcome, message } = await scenario.deploy(files);

    expect(outcome).toBe('failed');
    expect(message).toContain('m on public.t (1_fill.sql:2) failed after 1 attempt: ');
    expect(message).toContain('violates check constraint "small"');
    expect(message).toContain(
      'It failed at the row of public.t with id = 8638; 1,233 rows of this backfill are done, and stay. Correct the row and retry, which continues with it;',
    );
    expect(await scenario.steps()).toEqual(['1.0 failed']);

    await scenario.query('update t set n = 10 where id = 7 * 1234');
    await scenario.query('update t set m = -1 where id = 7');
    expect((await scenario.deploy(files)).outcome).toBe('valid');
    // What was done before is not done again.
    expect(await scenario.query('select count(*)::int as others from t where m is distinct from n')).toEqual([
      { others: 1 },
    ]);
  });

  exhaustive.it.each(['pause 0', 'pause 1'])(
    'is found where only COMMIT looks at it, with %s',
    async (pause) => {
      const scenario = await prepared(KEYS[0]?.[1] ?? '');
      await scenario.query(
        'alter table t add foreign key (m) references factor (n) deferrable initially deferred; update t set n = 99 where id = 7 * 1234',
      );
      const files = file('update t set m = n where m is null', `batch 4ms, ${pause}`);

      const { message } = await scenario.deploy(files);

      expect(message).toContain('It failed at the row of public.t with id = 8638;');
      expect(message).toContain('violates foreign key constraint');
      expect(await scenario.query('select count(m)::int as done from t')).toEqual([{ done: 1233 }]);
      expect(await scenario.steps()).toEqual(['1.0 failed']);

      await scenario.query('update t set n = 9 where id = 7 * 1234');
      expect((await scenario.deploy(files)).outcome).toBe('valid');
    },
  );

  exhaustive.it('is started again by another statement', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    await scenario.deploy(file('update t set m = 1 / (n - 5) where m is null'));
    expect(await scenario.steps()).toEqual(['1.0 failed']);
    const fixed = file('update t set m = n + 1 where m is null or m = 0');
    expect((await scenario.deploy(fixed)).outcome).toBe('valid');
    expect(await scenario.steps()).toEqual(['1.0 applied']);
  });
});

describe('a statement that cannot be walked', () => {
  exhaustive.it.each([
    [
      'create table t (id int, n int)',
      'update t set n = n + 1',
      'public.t has no key to walk by, and nothing in the statement’s WHERE shows which rows are done',
    ],
    [
      'create table t (id int primary key, n int)',
      'update t set id = id + 1',
      'public.t has no key to walk by',
    ],
    [
      'create table base (id int primary key, n int); create view t as select * from base',
      'update t set n = 1',
      'public.t is not a table',
    ],
    [
      'create table t (id int, n int, primary key (id, n)) partition by list (n); create table t1 partition of t for values in (1)',
      'update t set n = 2',
      'it sets n, which decides the partition of a row',
    ],
  ])('%s: %s', async (table, sql, because) => {
    const scenario = await freshScenario({ indexStrategy: 'concurrent' });
    await scenario.query(table);
    const error = await scenario.failure(file(sql));
    expect(error.code).toBe('backfill-refused');
    expect(error.message.replaceAll("'", '’')).toContain(because);
    expect(await scenario.steps().catch(() => [])).toEqual([]);
  });
});

it('a column is added, filled, checked and made NOT NULL by one file, unattended', async () => {
  const scenario = await freshScenario({ dblink: true });
  await scenario.query(
    `create table messages (id int primary key, content text not null); insert into messages select g, 'a b' from generate_series(1, 3000) g; analyze`,
  );
  const outcome = await scenario.deploy({
    '1_word_count.sql': `alter table messages add column word_count int;
-- migrate: backfill batch 10ms
update messages set word_count = array_length(string_to_array(content, ' '), 1) where word_count is null;
alter table messages add constraint word_count_there check (word_count is not null) not valid;
alter table messages validate constraint word_count_there;
alter table messages alter column word_count set not null;
alter table messages drop constraint word_count_there;`,
  });

  expect(outcome).toMatchObject({ outcome: 'valid' });
  expect(
    await scenario.query(
      `select count(*)::int as rows, bool_and(word_count = 2) as filled,
              (select attnotnull from pg_attribute where attrelid = 'messages'::regclass and attname = 'word_count') as required,
              (select count(*)::int from pg_constraint where conname = 'word_count_there') as checks from messages`,
    ),
  ).toEqual([{ rows: 3000, filled: true, required: true, checks: 0 }]);
});

exhaustive.it('reads each row a few times, though the planner knows nothing of the table', async () => {
  const scenario = await freshScenario({ dblink: true });
  const table = {
    '1_t.sql': `create table t (id int primary key, n int) with (autovacuum_enabled = false);
insert into t select g, null from generate_series(1, 50000) g;`,
  };
  await scenario.deploy(table);
  await scenario.deploy({
    ...table,
    '2_fill.sql': '-- migrate: backfill batch 10ms pause 0\nupdate t set n = id where n is null;',
  });
  expect(await scenario.query('select count(*)::int from t where n is null')).toEqual([{ count: 0 }]);
  const { batches, read } = await expectEventually(async () => {
    const [row] = await scenario.query<{ batches: number; read: number }>(
      `select (select sum(batches)::int from migrations.backfill) as batches,
              (select idx_tup_read::int from pg_stat_user_indexes where indexrelname = 't_pkey') as read`,
    );
    return row !== undefined && row.read > 0 ? row : undefined;
  });
  expect(batches).toBeGreaterThan(10);
  expect(read).toBeLessThan(6 * 50_000);
});

exhaustive.it('shows how far it is in a table that nobody has analysed', async () => {
  const scenario = await freshScenario();
  await scenario.query(`create table t (id int primary key, n int, note text) with (autovacuum_enabled = false);
insert into t select g, g, repeat(md5(g::text), 30) from generate_series(1, 8000) g`);
  await scenario.run(file('update t set n = n + 1', 'batch 4ms'));
  await turnOf(scenario.database, { table: 't', yields: after(2) });
  const [walk] = await scenario.query<{ estimated: number; fraction: number }>(
    'select estimated_rows::int as estimated, walked / estimated_rows::float8 as fraction from migrations.backfill',
  );
  expect(walk?.estimated).toBeGreaterThan(7_000);
  expect(walk?.estimated).toBeLessThan(9_000);
  const [build] = (await scenario.status({})).builds;
  expect(build?.progress?.fraction).toBeCloseTo(walk?.fraction ?? Number.NaN, 5);
});

exhaustive.it('tells how fast it is by the time that has passed, however long a turn lasts', async () => {
  const scenario = await freshScenario();
  await scenario.query(`create table t (id int primary key, n int);
insert into t select g, g from generate_series(1, 4000) g;
create function slow() returns trigger language plpgsql as 'begin perform pg_sleep(0.001); return new; end';
create trigger slow before update on t for each row execute function slow()`);
  await scenario.run(file('update t set n = n + 1', 'batch 50ms'));
  const events: TurnEvent[] = [];
  const begun = Date.now();
  await turnOf(scenario.database, { table: 't', events });
  const seconds = (Date.now() - begun) / 1000;
  const told = events.flatMap((event) => (event.kind === 'progress' ? [event.progress] : [])).at(-1);
  // 5 s after the first report, in which it wrote at most 1,000 rows a second.
  expect(told?.secondsElapsed).toBeGreaterThan(4.5);
  expect(told?.secondsElapsed).toBeLessThan(seconds);
  expect(told?.fill?.rowsWritten).toBeGreaterThan(500);
  expect(told?.secondsLeft).toBeGreaterThan(0);
});

exhaustive.it('goes over new rows behind its end, and not again over those that it has walked', async () => {
  const scenario = await prepared(KEYS[0]?.[1] ?? '');
  await scenario.run(file('update t set m = n where m is null', 'batch 4ms'));
  await turnOf(scenario.database, { table: 't', yields: after(1) });
  await scenario.query(`insert into t (id, n) values (${ROWS * 7 + 1}, 5)`);
  await turns(scenario, 1_000);
  expect(await scenario.query('select count(*)::int as left from t where m is null')).toEqual([{ left: 0 }]);
  const [walk] = await scenario.query<{ walk: number; walked: number; written: number }>(
    'select walk, walked::int, written::int from migrations.backfill',
  );
  expect(walk).toMatchObject({ walk: 2, written: ROWS + 1 });
  expect(walk?.walked).toBeLessThanOrEqual(ROWS);
});

exhaustive.it('goes over all rows again where some were written before where it was', async () => {
  const scenario = await prepared(KEYS[0]?.[1] ?? '');
  await scenario.run(file('update t set m = n where m is null', 'batch 4ms'));
  await turnOf(scenario.database, { table: 't', yields: after(1) });
  await scenario.query('insert into t (id, n) values (1, 5)');
  await turns(scenario, 1_000);
  expect(await scenario.query('select count(*)::int as left from t where m is null')).toEqual([{ left: 0 }]);
  expect(await scenario.query('select walk from migrations.backfill')).toEqual([{ walk: 2 }]);
});

describe('what comes after it', () => {
  const table =
    'create table t (id int primary key, n int, m int); insert into t select g, g % 11 from generate_series(1, ROWS) g';
  const fills = '-- migrate: backfill batch 4ms\nupdate t set m = n where m is null;';

  exhaustive.it('continues where it does not need the rows, and waits where it does', async () => {
    const scenario = await prepared(table);
    const result = await scenario.run({
      '1_fill.sql': fills,
      '2_others.sql': `create table others (a int); insert into others select n from t; insert into t values (-1, 5, 5);
select count(id) from t;`,
      '3_sum.sql': 'insert into others select m from t;',
      '4_null.sql': 'alter table t alter column m set not null;',
    });
    expect(result.waiting).toEqual({
      file: '3_sum.sql',
      step: 0,
      because: 'it reads m of the table t, and m is pending',
    });
    expect(await scenario.steps()).toEqual(['1.0 pending', '2.0 applied']);
  });

  exhaustive.it('of its own table, takes its place in the queue behind it', async () => {
    const scenario = await freshScenario({ dblink: true });
    await scenario.query(`${table.replaceAll('ROWS', String(ROWS))}; analyze`);
    const files = {
      '1_fill.sql': fills,
      '2_check.sql': 'alter table t add constraint there check (m is not null) not valid;',
      '3_validate.sql': 'alter table t validate constraint there;',
      '4_unique.sql': 'create index concurrently t_m on t (m);',
    };
    await scenario.deploy(files);
    expect(
      await scenario.query(
        "select operation || ' ' || state as line from migrations.work order by finished_at",
      ),
    ).toEqual([{ line: 'backfill done' }, { line: 'validate done' }, { line: 'create done' }]);
  });

  exhaustive.it(
    'is in the plan, with its rows, its batches, the key that it is walked by, and the time that others took',
    async () => {
      const scenario = await prepared(table);
      const files = { '1_fill.sql': fills, '2_null.sql': 'alter table t alter column m set not null;' };
      const first = await scenario.plan(files);
      expect(first.files[0]?.steps[0]).toMatchObject({
        how: 'hand-off',
        backfill: {
          rows: ROWS,
          batches: undefined,
          seconds: undefined,
          key: 'id',
          walks: 1,
          refused: undefined,
        },
      });
      expect(first.files[1]?.steps[0]?.waits).toBe('it changes the table t; waits for m');
      await scenario.deploy(files);
      const again = {
        ...files,
        '3_again.sql': '-- migrate: backfill by (id) batch 4ms\nupdate t set n = n + 1;',
      };
      const { backfill } = (await scenario.plan(again)).files[0]?.steps[0] ?? {};
      expect(backfill?.seconds).toBeGreaterThan(0);
      expect(backfill?.batches).toBeGreaterThan(1);
      const refused = { ...files, '3_key.sql': '-- migrate: backfill\nupdate t set id = id + 1;' };
      expect((await scenario.plan(refused)).files[0]?.steps[0]?.backfill?.refused).toContain(
        'public.t has no key to walk by',
      );
    },
  );
});

exhaustive.it(
  'the look for rows that still match is bounded: what takes longer is walked again, in batches',
  async () => {
    const scenario = await freshScenario({ dblink: true });
    const tables = {
      '1_t.sql': `create table t (id int primary key, m int); insert into t select g from generate_series(1, 3000) g;
create table times (id int);
create function slow(x int) returns int language plpgsql immutable as 'begin perform pg_catalog.pg_sleep(0.001); return x; end';
create function noted() returns trigger language plpgsql as 'begin insert into times values (new.id); return new; end';
create trigger noted before update on t for each row execute function noted();`,
    };
    const files = {
      ...tables,
      '2_fill.sql':
        '-- migrate: backfill batch 50ms pause 0\nupdate t set m = slow(id) where m is distinct from slow(id);',
    };
    await scenario.deploy(tables);
    await scenario.run(files);
    const migrations = await compile(files);
    for (;;) {
      const given = { table: 't', migrations, deadline: Date.now() + 5_000 };
      if ((await turnOf(scenario.database, given)).outcome === 'done') break;
    }
    expect(await scenario.query('select walk, done, written::int from migrations.backfill')).toEqual([
      { walk: 2, done: true, written: 3000 },
    ]);
    expect(
      await scenario.query('select count(*)::int as times, count(distinct id)::int as rows from times'),
    ).toEqual([{ times: 3000, rows: 3000 }]);
  },
);

exhaustive.it('a later deploy does not ask, before the rows are filled, whether they are', async () => {
  const scenario = await freshScenario({ dblink: true });
  const tables = { '1_t.sql': largeTable('t') };
  const files = {
    ...tables,
    '2_fill.sql': `alter table t add column y int;
-- migrate: backfill
update t set y = x where y is null;
alter table t add constraint y_there check (y is not null) not valid;
alter table t validate constraint y_there;
alter table t alter column y set not null;`,
  };
  await scenario.deploy(tables);
  expect((await scenario.run(files)).outcome).toBe('waiting');
  expect((await scenario.run(files)).outcome).toBe('waiting');
  expect(await scenario.loop(files)).toEqual({ outcome: 'valid', message: '' });
});
