import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { statementsOf, type Touches } from '../../../lambda/migration/migration.ts';
import type { RelationName } from '../../../lambda/migration/relation-name.ts';
import { createDatabase, type FreshDatabase } from '../../support/fresh-database.ts';
import { compileFiles } from '../compile-text.ts';
import { isNewerThanServer, NEWER_REFUSED } from '../syntax/newer-syntax.ts';

const SETUP = `
  create table a (id int primary key, x int, note text);
  create index a_x on a (x);
  create unique index a_note on a (note);
  alter table a add constraint a_check check (x > 0) not valid;
  create table b (id int primary key, a_id int, x int);
  create index b_x on b (x);
  create table parent (id int not null) partition by range (id);
  create index parent_id on parent (id);
  create table child partition of parent for values from (0) to (10);
  create index only_id on only parent (id desc);
  create index child_id on child (id desc);
  create table rest partition of parent default;
  create table stray (id int not null);
  create index stray_id on stray (id);
  create table ancestor (id int);
  create table heir (y int) inherits (ancestor);
  create view view_1 as select id from a;
  create materialized view mat as select id, x from a;
  create unique index mat_id on mat (id);
  create sequence seq;
  create function fire() returns trigger language plpgsql as $$ begin return new; end $$;
  create trigger tr before insert on a for each row execute function fire();
  create rule ru as on delete to b do nothing;
  create policy po on a;
  create statistics st on id, x from a;
  create publication pub for table b;
  create domain small as int;
  create table s (v small);
  create schema sub;
  create table sub.t (id int primary key);
  create table pointer (t_id int references sub.t, constraint late foreign key (t_id) references sub.t not valid);
  create table grandchild_parent partition of parent for values from (100) to (200) partition by range (id);
  create table grandchild partition of grandchild_parent for values from (100) to (150);
`;

/** Statements that run in a transaction, so that their locks can be read before it ends. */
const STATEMENTS = [
  'alter table a add column y int',
  'alter table a drop column note',
  'alter table a alter column x set not null',
  'alter table b alter column x type bigint',
  'alter table a alter column x set statistics 100',
  'alter table a validate constraint a_check',
  'alter table a set (fillfactor = 70)',
  'alter table a rename to a2',
  'alter table a_x rename to a_x2',
  'alter table a rename column x to y',
  'alter table a rename constraint a_check to a_check2',
  'alter table a set schema sub',
  'alter table a enable row level security',
  'alter table a disable trigger tr',
  'alter table a cluster on a_x',
  'alter table b replica identity using index b_pkey',
  'alter table a replica identity full',
  'alter table b add constraint b_fk foreign key (a_id) references a (id)',
  'alter table b add constraint b_fk foreign key (a_id) references a (id) not valid',
  'alter table b add foreign key (a_id) references sub.t',
  'alter table a drop constraint a_pkey',
  'alter table only a add unique (x)',
  'alter table a add constraint a_note unique using index a_note',
  'alter table heir no inherit ancestor',
  'alter table stray inherit ancestor',
  'alter table parent attach partition stray for values from (10) to (20)',
  'alter table parent detach partition child',
  'alter index parent_id rename to parent_id2',
  'alter index only_id attach partition child_id',
  'alter table parent add column y int',
  'alter table parent add constraint positive check (id > 0)',
  'alter table parent rename column id to id2',
  'alter table ancestor add column z int',
  'alter table ancestor rename column id to id2',
  'alter table pointer drop constraint pointer_t_id_fkey',
  'alter table pointer drop column t_id',
  'alter table pointer validate constraint late',
  'alter table pointer alter constraint late deferrable',
  'alter table pointer alter column t_id type bigint',
  'alter table pointer disable trigger all',
  'alter table sub.t alter column id type bigint',
  'alter table sub.t drop constraint t_pkey cascade',
  'alter table sub.t add column y int',
  'alter index a_x rename to a_x2',
  'alter index a_x set (fillfactor = 70)',
  'alter index if exists a_x set tablespace pg_default',
  'alter view view_1 rename to view_2',
  'alter materialized view mat rename to mat2',
  'alter materialized view mat set (fillfactor = 70)',
  'create index on a (id)',
  'create index on parent (id)',
  'create index on only parent (id)',
  'create index on ancestor (id)',
  'create unique index on sub.t (id)',
  'reindex table a',
  'reindex index a_x',
  'cluster a using a_x',
  'analyze a',
  'analyze parent',
  'analyze ancestor',
  'reindex table pointer',
  'analyze a, b (x)',
  'drop table a cascade',
  'drop table b',
  'drop table parent',
  'drop table grandchild_parent',
  'drop table pointer',
  'drop table heir',
  'drop table if exists pointer, b',
  'drop index a_x',
  'drop index if exists a_x, b_x',
  'drop view view_1',
  'drop materialized view mat',
  'drop trigger tr on a',
  'drop rule ru on b',
  'drop policy po on a',
  'drop schema sub cascade',
  'drop function fire cascade',
  'drop domain small cascade',
  'truncate b',
  'truncate parent',
  'truncate only ancestor',
  'truncate ancestor',
  'truncate pointer',
  'truncate a, b',
  'refresh materialized view mat',
  'refresh materialized view concurrently mat',
  'lock table a in share mode',
  'lock table a, b',
  'lock table parent',
  'lock table ancestor',
  'create trigger tr2 after insert on a for each row execute function fire()',
  'create trigger tr4 after insert on parent for each row execute function fire()',
  'create or replace trigger tr before insert on a for each row execute function fire()',
  'create constraint trigger ct after insert on b from a for each row execute function fire()',
  'create rule ru2 as on update to a do nothing',
  'create policy po2 on a',
  'alter policy po on a using (true)',
  'alter trigger tr on a rename to tr3',
  'create statistics st2 on id, x from b',
  'alter statistics st set statistics 10',
  'create publication pub2 for table a',
  'alter publication pub add table a',
  'alter publication pub drop table b',
  'create publication pub3 for tables in schema sub',
  "comment on table a is 'x'",
  "comment on column sub.t.id is 'x'",
  "comment on index a_x is 'x'",
  "comment on constraint a_check on a is 'x'",
  "comment on trigger tr on a is 'x'",
  "comment on policy po on a is 'x'",
  "comment on rule ru on b is 'x'",
  "comment on view view_1 is 'x'",
  "comment on materialized view mat is 'x'",
  "comment on function fire() is 'x'",
  'create table c (id int references a)',
  'create table c (id int, foreign key (id) references sub.t (id))',
  'create table c partition of parent for values from (50) to (60)',
  'create table c () inherits (ancestor)',
  'create table c (like a including all)',
  'create table c as select * from a',
  'create materialized view c as select * from a',
  'create table if not exists a (id int references b)',
  'select * into c from a',
  'create view c as select * from a',
  'create or replace view view_1 as select id from a',
  'create schema c create table t (id int references sub.t)',
  'alter schema sub rename to sub2',
  'alter domain small add check (value > 0)',
  'alter domain small set not null',
  'alter sequence seq owned by a.id',
  'grant select on a to public',
  'create extension if not exists btree_gist',
  'insert into a values (1, 1)',
  'insert into a values (1, 1) on conflict do nothing',
  'update a set x = 1',
  'delete from b',
  'with gone as (delete from b returning *) insert into a select id, x from gone',
  'merge into a using b on a.id = b.id when matched then delete',
  'select * from a for update',
  'explain analyze update a set x = 1',
  "copy a to program 'cat >/dev/null'",
  'do $$ begin truncate a; end $$',
];

/** What they reach is not in their text, so they wait for every build. */
const OPAQUE: ReadonlySet<string> = new Set([
  'drop table a cascade',
  'drop schema sub cascade',
  'drop function fire cascade',
  'drop domain small cascade',
  'alter schema sub rename to sub2',
  'alter domain small add check (value > 0)',
  'alter domain small set not null',
  'do $$ begin truncate a; end $$',
]);

/** Lock modes that conflict with that of an index build, SHARE UPDATE EXCLUSIVE. */
const CONFLICTING = `
  'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'
`;

describe('a statement that would meet an index build says so', () => {
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
    await database.drop();
  });

  /** Tables that existed before and that the statement locks as a build does, or more. */
  async function lockedBy(sql: string): Promise<readonly string[]> {
    await client.query('begin');
    try {
      const { rows: before } = await client.query<{ oid: number; name: string }>(`
        select oid, relnamespace::regnamespace::text || '.' || relname as name
        from pg_class where relkind in ('r', 'm', 'p') and relnamespace in ('public'::regnamespace, 'sub'::regnamespace)
      `);
      await client.query(sql);
      const { rows } = await client.query<{ relation: number }>(
        `select distinct relation from pg_locks where pid = pg_backend_pid() and mode in (${CONFLICTING}) and granted`,
      );
      const locked = new Set(rows.map(({ relation }) => relation));
      return before.filter(({ oid }) => locked.has(oid)).map(({ name }) => name);
    } finally {
      await client.query('rollback');
    }
  }

  function touchesOf(sql: string): Touches {
    const [, migration] = compileFiles({ '1_setup.sql': SETUP, '2_test.sql': sql }).migrations;
    const [statement] = migration?.steps.flatMap(statementsOf) ?? [];
    if (statement === undefined) throw new Error(`No statement: ${sql}`);
    return statement.touches;
  }

  async function tableOfIndex({ schema, name }: RelationName): Promise<string> {
    const { rows } = await client.query<{ name: string }>(
      `select relnamespace::regnamespace::text || '.' || relname as name
       from pg_index join pg_class on oid = indrelid where indexrelid = to_regclass($1)`,
      [schema === undefined ? name : `${schema}.${name}`],
    );
    return rows[0]?.name ?? '';
  }

  async function foreseen({ changes, indexes }: Touches): Promise<ReadonlySet<string>> {
    const ofIndexes = await Promise.all(indexes.map(tableOfIndex));
    return new Set([...changes.map(({ schema = 'public', name }) => `${schema}.${name}`), ...ofIndexes]);
  }

  it.each(STATEMENTS)('%s', async (sql) => {
    const touches = touchesOf(sql);
    if (isNewerThanServer(sql)) {
      await expect(lockedBy(sql)).rejects.toMatchObject({ code: expect.toBeOneOf([...NEWER_REFUSED]) });
      return;
    }
    const locked = await lockedBy(sql);
    expect(touches.opaque).toBe(OPAQUE.has(sql));
    if (touches.opaque) return;
    const names = await foreseen(touches);
    expect(locked.filter((name) => !names.has(name))).toEqual([]);
  });
});
