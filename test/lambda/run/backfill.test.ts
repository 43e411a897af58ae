import { describe, expect, it } from 'vitest';
import { file, KEYS, prepared, ROWS, walkBy } from './backfilled.ts';
import { freshScenario } from './scenario.ts';

describe('a backfill makes the rows that the one statement makes', () => {
  it.each(KEYS.slice(0, 2))('walking by %s', walkBy);

  it('walking by the key that it names', async () => {
    const scenario = await prepared(
      'create table t (id int primary key, tenant int not null, number int not null, n int, m int, unique (tenant, number)); insert into t select g, g % 3, g, g % 11 from generate_series(1, ROWS) g',
    );
    await scenario.run(file('update t set n = n + 1', 'by (tenant, number), batch 4ms'));
    const [row] = await scenario.query('select key, done, written::int from migrations.backfill');
    expect(row).toEqual({ key: ['tenant', 'number'], done: true, written: ROWS });
    expect(await scenario.query('select count(*)::int as wrong from t where n <> id % 11 + 1')).toEqual([
      { wrong: 0 },
    ]);
  });

  it('walking by the blocks of a table without a key', async () => {
    const scenario = await prepared(
      "create table t (id int, n int, m int, note text); insert into t select g, g % 11, null, repeat('x', 200) from generate_series(1, ROWS) g",
    );
    await scenario.run(file('update t set m = n * 2 where m is null'));
    expect(
      await scenario.query('select count(*)::int as wrong from t where m is distinct from n * 2'),
    ).toEqual([{ wrong: 0 }]);
    expect(
      await scenario.query('select kind, batches > 1 as several, written::int from migrations.backfill'),
    ).toEqual([{ kind: 'blocks', several: true, written: ROWS }]);
  });
});

describe('a backfill that is cut off', () => {
  it('goes on behind the last batch, so that each row is done once', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    const files = file('update t set n = n + 1', 'batch 1ms, pause 1');
    let runs = 0;
    for (let outcome = ''; outcome !== 'done'; runs += 1) {
      outcome = (await scenario.run(files, { deadline: Date.now() + 60 + 10 * runs })).outcome;
      if (runs > 500) throw new Error('it does not come to an end');
    }
    expect(runs).toBeGreaterThan(1);
    expect(await scenario.query('select count(*)::int as wrong from t where n <> (id / 7) % 11 + 1')).toEqual(
      [{ wrong: 0 }],
    );
  });

  it('by the end of its session, loses the batch under way and nothing else', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    const running = scenario.run(file('update t set n = n + 1', 'batch 2ms, pause 2'));
    let struck = 0;
    while (struck < 3) {
      const killed = await scenario.database.adminQuery(
        `select pg_terminate_backend(pid) as struck from pg_stat_activity where query like '%migrations.backfill_until%' and datname = current_database() and pid <> pg_backend_pid()`,
      );
      struck += killed.length;
      const [{ done } = { done: false }] = await scenario
        .query<{ done: boolean }>(
          `select exists (select from pg_tables where tablename = 'backfill' and schemaname = 'migrations') and exists (select from migrations.step where state = 'applied') as done`,
        )
        .catch(() => [{ done: false }]);
      if (done) break;
    }
    await running;
    expect(await scenario.query('select count(*)::int as wrong from t where n <> (id / 7) % 11 + 1')).toEqual(
      [{ wrong: 0 }],
    );
  });
});

describe('a row that can not be done', () => {
  it('is found by halving, named with what Postgres says, and gone on with once it is mended', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    await scenario.query(
      'alter table t add constraint small check (m < 100); update t set n = 1000 where id = 7 * 1234',
    );
    const files = file('update t set m = n where m is null');

    const error = await scenario.failure(files);

    expect(error.code).toBe('statement-failed');
    expect(error.message).toContain('This backfill failed at the row of public.t with id = 8638.');
    expect(error.message).toContain('violates check constraint "small"');
    expect(error.message).toContain('1,233 rows of this backfill, which stay');
    expect(await scenario.steps()).toEqual(['1.0 failed']);

    await scenario.query('update t set n = 10 where id = 7 * 1234');
    expect((await scenario.run(files)).outcome).toBe('done');
    expect(await scenario.query('select count(*)::int as wrong from t where m is distinct from n')).toEqual([
      { wrong: 0 },
    ]);
  });

  it.each(['pause 0', 'pause 1'])('is found where only COMMIT looks at it, with %s', async (pause) => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    await scenario.query(
      'alter table t add foreign key (m) references factor (n) deferrable initially deferred; update t set n = 99 where id = 7 * 1234',
    );
    const files = file('update t set m = n where m is null', `batch 4ms, ${pause}`);

    const error = await scenario.failure(files);

    expect(error.message).toContain('This backfill failed at the row of public.t with id = 8638.');
    expect(error.message).toContain('violates foreign key constraint');
    expect(await scenario.query('select count(m)::int as done from t')).toEqual([{ done: 1233 }]);
    expect(await scenario.steps()).toEqual(['1.0 failed']);

    await scenario.query('update t set n = 9 where id = 7 * 1234');
    expect((await scenario.run(files)).outcome).toBe('done');
  });

  it('is begun anew by another statement', async () => {
    const scenario = await prepared(KEYS[0]?.[1] ?? '');
    await scenario.failure(file('update t set m = 1 / (n - 5) where m is null'));
    expect((await scenario.run(file('update t set m = n + 1 where m is null or m = 0'))).outcome).toBe(
      'done',
    );
    expect(await scenario.steps()).toEqual(['1.0 applied']);
  });
});

describe('a statement that can not be walked', () => {
  it.each([
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
    ['create table t (id int primary key, n int)', 'update u set n = 1', 'the table u does not exist'],
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
    const scenario = await freshScenario();
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
