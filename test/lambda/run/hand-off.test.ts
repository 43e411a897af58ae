import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { freshScenario, largeTable, type Scenario, SMALL_TABLE_ROWS } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

const tables = {
  '1_tables.sql': `${largeTable('large')}
create table small (x int);
insert into small select i from generate_series(1, ${SMALL_TABLE_ROWS}) i;`,
};

const how = async (files: Record<string, string>, options = {}): Promise<string[]> =>
  (await scenario.run({ ...tables, ...files }, options)).applied.map(
    ({ migration, step, how }) => `${migration.name}.${step} ${how}`,
  );

describe('an index operation', () => {
  it('runs inline on a table that holds at most smallTableRows, and is handed off on one with a row more', async () => {
    await scenario.run(tables);
    expect(await how({ '2_small.sql': 'create index concurrently on small (x);' })).toEqual([
      '2_small.0 inline',
    ]);
    await scenario.query('insert into small values (0)');
    expect(
      await how({
        '2_small.sql': 'create index concurrently on small (x);',
        '3_small.sql': 'create index concurrently small_more on small (x desc);',
        '4_large.sql': 'create index concurrently on large (x); create table other ();',
      }),
    ).toEqual(['3_small.0 handed off', '4_large.0 handed off', '4_large.1 transaction']);
    expect(await scenario.indexes()).toEqual(['large_pkey', 'small_x_idx']);
    expect(await scenario.steps()).toEqual([
      '1.0 applied',
      '2.0 applied',
      '3.0 pending',
      '4.0 pending',
      '4.1 applied',
    ]);
  });

  exhaustive.it(
    'runs inline on a table that the run itself created, however many rows it filled in',
    async () => {
      expect(await how({ '2_index.sql': 'create index concurrently on large (x);' })).toEqual([
        '1_tables.0 transaction',
        '2_index.0 inline',
      ]);
      expect(await scenario.indexes()).toEqual(['large_pkey', 'large_x_idx']);
    },
  );

  exhaustive.it('does not take a table for new because of CREATE TABLE IF NOT EXISTS', async () => {
    await scenario.run(tables);
    expect(
      await how({
        '2_index.sql': 'create table if not exists large (x int);\ncreate index concurrently on large (x);',
      }),
    ).toEqual(['2_index.0 transaction', '2_index.1 handed off']);
  });

  exhaustive.it('counts a table again that the run has filled', async () => {
    await scenario.run({ '1_tables.sql': 'create table grows (x int);' });
    const { applied } = await scenario.run({
      '1_tables.sql': 'create table grows (x int);',
      '2_fill.sql': 'insert into grows select i from generate_series(1, 500) i;',
      '3_index.sql': 'create index concurrently on grows (x);',
    });
    expect(applied.map(({ how }) => how)).toEqual(['transaction', 'handed off']);
  });

  exhaustive.it(
    'is handed off where its table cannot be counted, and the tables beside it are counted nevertheless',
    async () => {
      await scenario.run(tables);
      const other = new pg.Client({ connectionString: scenario.database.url });
      await other.connect();
      onTestFinished(() => other.end());
      await other.query('begin; lock table large in access exclusive mode');
      expect(
        await how(
          {
            '2_large.sql': 'create index concurrently on large (x);',
            '3_small.sql': 'create index concurrently on small (x);',
          },
          { lockTimeoutSeconds: 0.1 },
        ),
      ).toEqual(['2_large.0 handed off', '3_small.0 inline']);
    },
  );

  exhaustive.it('follows the strategy: inline, concurrent', async () => {
    await scenario.run(tables);
    expect(
      await how({ '2_large.sql': 'create index concurrently on large (x);' }, { indexStrategy: 'inline' }),
    ).toEqual(['2_large.0 inline']);
    expect(
      await how(
        {
          '2_large.sql': 'create index concurrently on large (x);',
          '3_small.sql': 'create index concurrently on small (x);',
          '4_new.sql': 'create table fresh (x int); create index concurrently on fresh (x);',
        },
        { indexStrategy: 'concurrent' },
      ),
    ).toEqual(['3_small.0 handed off', '4_new.0 transaction', '4_new.1 inline']);
  });

  it('is built by the loop, in a session that does not end with ours', async () => {
    await scenario.run(tables);
    const settled = await scenario.deploy({
      ...tables,
      '2_large.sql': 'create index concurrently large_x on large (x);',
    });
    expect(settled).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.indexes()).toEqual(['large_pkey', 'large_x']);
    expect(
      await scenario.query('select state, session, attempts, adopted, fault from migrations.index_build'),
    ).toEqual([{ state: 'done', session: 'loopback', attempts: 1, adopted: false, fault: null }]);
    expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied']);
    const { builds, migrations } = await scenario.status(tables);
    expect(builds).toMatchObject([{ index: 'large_x', rows: SMALL_TABLE_ROWS + 1, progress: undefined }]);
    expect(migrations.map(({ name, state }) => `${name} ${state}`)).toEqual([
      '1_tables applied',
      '2_large unknown',
    ]);
  });

  it('keeps its place behind a pending build of the same table, although it would be small by itself', async () => {
    await scenario.run(tables);
    await how({ '2_large.sql': 'create index concurrently large_x on large (x);' });
    await scenario.query('delete from large where id > 5');
    const files = {
      '2_large.sql': 'create index concurrently large_x on large (x);',
      '3_again.sql': 'drop index concurrently large_x; create index concurrently large_x on large (x desc);',
    };
    expect(await how(files)).toEqual(['3_again.0 handed off', '3_again.1 handed off']);
    expect(await scenario.loop({ ...tables, ...files })).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.query(`select pg_get_indexdef('large_x'::regclass) as definition`)).toEqual([
      { definition: 'CREATE INDEX large_x ON public.large USING btree (x DESC)' },
    ]);
  });
});

describe('a plain CREATE INDEX on a table that is not small', () => {
  const plain = {
    '2_before.sql': 'create table before ();',
    '3_plain.sql': 'create table also ();\ncreate unique index on large (x);',
  };

  it('stops the run before anything is touched, and says what to write instead', async () => {
    await scenario.run(tables);
    const { message, code } = await scenario.failure({ ...tables, ...plain });
    expect(code).toBe('plain-create-index');
    expect(message).toBe(
      [
        '3_plain.sql:2:1: CREATE INDEX on public.large, which holds more than 100 rows, would block every write to it until the index is built.',
        'Statement: create unique index on large (x)',
        'Applied: nothing by this run.',
        'Next: write CREATE INDEX CONCURRENTLY: it is built while writes continue; or, if the table may be blocked, put "-- migrate: allow plain-create-index <reason>" into the file.',
      ].join('\n'),
    );
    expect(await scenario.steps()).toEqual(['1.0 applied']);
    expect(await scenario.query(`select to_regclass('before') as before`)).toEqual([{ before: null }]);
  });

  exhaustive.it('runs where the file allows it, and on tables that are small or new', async () => {
    await scenario.run(tables);
    const { outcome } = await scenario.run({
      ...tables,
      '2_allowed.sql':
        '-- migrate: allow plain-create-index nobody writes at night\ncreate index on large (x);',
      '3_small.sql': 'create index on small (x);',
      '4_new.sql': `${largeTable('fresh')} create index on fresh (x);`,
      '5_new.sql': 'create index on fresh (x desc);',
    });
    expect(outcome).toBe('done');
    expect(await scenario.indexes()).toEqual([
      'fresh_pkey',
      'fresh_x_idx',
      'fresh_x_idx1',
      'large_pkey',
      'large_x_idx',
      'small_x_idx',
    ]);
  });

  exhaustive.it('is refused in the middle of a file whose own SET decides which table is meant', async () => {
    await scenario.run({
      '1_tables.sql': `create schema tenant; ${largeTable('tenant.orders')} create table orders (x int);`,
    });
    const error = await scenario.failure({
      '1_tables.sql': `create schema tenant; ${largeTable('tenant.orders')} create table orders (x int);`,
      '2_index.sql': 'set search_path = tenant;\ncommit;\ncreate index on orders (x);',
    });
    expect(error.message).toContain('CREATE INDEX on tenant.orders, which holds more than 100 rows');
  });
});

describe('tables that can not be looked up when the turn of an index operation comes', () => {
  exhaustive.it(
    'stop the run, which says why: a SET of the file that can not be carried out again',
    async () => {
      const own = await freshScenario();
      const { owner, name, adminQuery } = own.database;
      const role = `app_${name}`;
      await adminQuery(`alter role ${owner} createrole`);
      await own.run({ '1_large.sql': largeTable('large') });
      const error = await own.failure({
        '1_large.sql': largeTable('large'),
        '2_index.sql': `create role ${role}; grant ${role} to current_user; set role ${role}; reset role; drop role ${role};\ncreate index concurrently large_x on large (x);`,
      });
      expect(error.code).toBe('tables-unknown');
      expect(error.message).toMatch(
        /^2_index\.sql:2:1: The tables of this statement can't be looked up: .*SQLSTATE 22023/,
      );
      expect(error.details.next).toContain('the SET statements before it in the file can be carried out');
      expect(await own.steps()).toEqual(['1.0 applied', '2.0 applied']);
    },
  );

  exhaustive.it('or a name that the database’s encoding lacks', async () => {
    const own = await freshScenario();
    const { owner, name, adminQuery } = own.database;
    await adminQuery(
      `create database ${name}_latin owner ${owner} encoding 'LATIN1' locale 'C' template template0`,
    );
    onTestFinished(async () => void (await adminQuery(`drop database ${name}_latin with (force)`)));
    const url = own.database.url.replace(`/${name}`, `/${name}_latin`);
    const error = await own.failure(
      { '1_t.sql': 'create table t (x int);', '2_index.sql': 'create index concurrently "索引" on t (x);' },
      { url },
    );
    expect({ code: error.code, next: error.details.next }).toEqual({
      code: 'tables-unknown',
      next: expect.stringContaining("a character that the database's encoding lacks (show server_encoding)"),
    });
  });
});
