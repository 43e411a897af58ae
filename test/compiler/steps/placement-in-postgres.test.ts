import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statementsOf } from '../../../lambda/migration/migration.ts';
import { createDatabase, type FreshDatabase } from '../../support/fresh-database.ts';
import { compileFiles, compileStatement } from '../compile-text.ts';
import { isNewerThanServer, NEWER_REFUSED } from '../syntax/newer-syntax.ts';

/** active_sql_transaction: "… cannot run inside a transaction block". */
const REFUSED_IN_TRANSACTION = '25001';

const SETUP = `
  create table plain (id int primary key, x int);
  create table parted (id int primary key) partition by range (id);
  create table part_1 partition of parted for values from (0) to (10);
  create table part_2 partition of parted for values from (10) to (20);
  create index plain_x on plain (x);
  create index parted_id on parted (id);
  create materialized view view_1 as select 1 as a;
  create unique index view_1_a on view_1 (a);
  create type mood as enum ('a');
  create publication pub;
  create subscription sub connection 'host=127.0.0.1 port=1 dbname=none' publication pub with (connect = false);
  create subscription sub_on connection 'host=127.0.0.1 port=1 dbname=none' publication pub, pub_3 with (connect = false);
  alter subscription sub_on enable;
  create procedure commits() language plpgsql as $$ begin commit; end $$;
  create procedure calls() language plpgsql as $$ begin call commits(); end $$;
`;

const REFUSED = [
  'create database d1',
  'drop database if exists d2',
  "create tablespace t1 location '/nowhere'",
  'drop tablespace t1',
  "alter system set work_mem = '5MB'",
  'alter database postgres set tablespace pg_default',
  'vacuum',
  'vacuum plain',
  'vacuum (analyze) plain',
  'vacuum full plain',
  'cluster',
  'reindex schema public',
  'reindex database',
  'reindex system',
  'reindex (verbose) schema public',
  'discard all',
  'alter table parted detach partition part_1 concurrently',
  "create subscription s1 connection 'host=127.0.0.1' publication pub",
  "create subscription s1 connection 'host=127.0.0.1' publication pub with (create_slot = true)",
  'alter subscription sub_on refresh publication',
  'alter subscription sub_on set publication pub',
  'alter subscription sub_on add publication pub_2',
  'alter subscription sub_on drop publication pub_3',
  'drop subscription sub',
  "commit prepared 'x'",
  "rollback prepared 'x'",
];

const REFUSED_INDEX_OPERATIONS = [
  'create index concurrently on plain (x)',
  'create unique index concurrently if not exists i1 on plain (x)',
  'drop index concurrently plain_x',
  'drop index concurrently if exists none',
  'reindex index concurrently plain_x',
  'reindex table concurrently plain',
  'reindex (concurrently) table plain',
  'reindex (concurrently on, verbose) index plain_x',
  'reindex schema concurrently public',
  'reindex database concurrently',
];

const ALLOWED = [
  'create index on plain (x)',
  'drop index plain_x',
  'reindex table plain',
  'reindex (concurrently off) table plain',
  'reindex (concurrently false) index plain_x',
  'cluster plain using plain_pkey',
  'analyze',
  'analyze plain',
  'refresh materialized view concurrently view_1',
  "alter type mood add value 'b'",
  "alter type mood rename value 'a' to 'z'",
  'alter table parted detach partition part_1',
  'alter database postgres connection limit -1',
  'discard temp',
  'discard plans',
  'checkpoint',
  'lock table plain',
  'declare c cursor for select 1',
  'savepoint a',
  'truncate plain',
  'listen a',
  "notify a, 'b'",
  "create subscription s1 connection 'host=127.0.0.1' publication pub with (connect = false)",
  "create subscription s1 connection 'host=127.0.0.1' publication pub with (create_slot = false, connect = false)",
  'alter subscription sub disable',
  'alter subscription sub set publication pub with (refresh = false)',
  'alter subscription sub set (binary = true)',
  "copy plain to program 'cat >/dev/null'",
  'do $$ begin perform 1; end $$',
  'create role placement_role',
  'drop table plain',
];

describe('what the compiler puts into a transaction is what Postgres takes there', () => {
  let database: FreshDatabase;
  let client: pg.Client;

  beforeAll(async () => {
    database = await createDatabase();
    await database.adminQuery(SETUP);
    client = new pg.Client({ connectionString: database.adminUrl });
    await client.connect();
  });

  afterAll(async () => {
    await client.end();
    for (const name of ['sub', 'sub_on']) {
      await database.adminQuery(`alter subscription ${name} disable`);
      await database.adminQuery(`alter subscription ${name} set (slot_name = none)`);
      await database.adminQuery(`drop subscription ${name}`);
    }
    await database.drop();
  });

  /** The SQLSTATE with which Postgres refuses it within a transaction, if it does. */
  async function runInTransaction(sql: string): Promise<string | undefined> {
    await client.query('begin');
    try {
      await client.query(sql);
      return undefined;
    } catch (error) {
      return (error as pg.DatabaseError).code;
    } finally {
      await client.query('rollback');
    }
  }

  async function expectRefusal(sql: string, code: string): Promise<void> {
    const answer = await runInTransaction(sql);
    if (isNewerThanServer(sql)) expect(NEWER_REFUSED).toContain(answer);
    else expect(answer).toBe(code);
  }

  it.each(REFUSED)('an autocommit step: %s', async (sql) => {
    expect(compileStatement(sql).step.kind).toBe('autocommit');
    await expectRefusal(sql, REFUSED_IN_TRANSACTION);
  });

  it.each(REFUSED_INDEX_OPERATIONS)('an index operation: %s', async (sql) => {
    expect(compileStatement(sql).step.kind).toBe('index-operation');
    await expectRefusal(sql, REFUSED_IN_TRANSACTION);
  });

  it.each(ALLOWED)('a transaction step: %s', async (sql) => {
    expect(compileStatement(sql).step.kind).toBe('transaction');
    expect(await runInTransaction(sql)).toBeUndefined();
  });

  const PARTITIONED = 'create table parted (id int primary key) partition by range (id)';
  const COMMITS = 'create procedure commits() language plpgsql as $$ begin commit; end $$';
  const CALLS = 'create procedure calls() language plpgsql as $$ begin call commits(); end $$';

  it.each([
    { sql: 'cluster parted using parted_pkey', before: PARTITIONED, code: REFUSED_IN_TRANSACTION },
    { sql: 'reindex table parted', before: PARTITIONED, code: REFUSED_IN_TRANSACTION },
    { sql: 'call commits()', before: COMMITS, code: '2D000' },
    { sql: 'call public.calls()', before: `${COMMITS}; ${CALLS}`, code: '2D000' },
    { sql: 'do $$ begin call commits(); end $$', before: COMMITS, code: '2D000' },
    { sql: 'do $$ begin for i in 1..2 loop commit; end loop; end $$', before: '', code: '2D000' },
    { sql: "do language plpgsql 'begin rollback; end'", before: '', code: '2D000' },
    { sql: 'do $$ declare x no_such_type; begin commit and chain; end $$', before: '', code: '42704' },
  ])('an autocommit step for what the folder itself tells: $sql', async ({ sql, before, code }) => {
    const [, migration] = compileFiles({ '1_before.sql': before, '2_test.sql': sql }).migrations;
    expect(migration?.steps.map(({ kind }) => kind)).toEqual(['autocommit']);
    expect(migration?.steps.flatMap(statementsOf).map(({ text }) => text)).toEqual([sql]);
    await expectRefusal(sql, code);
  });
});
