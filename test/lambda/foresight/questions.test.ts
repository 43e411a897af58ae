import { beforeEach, describe, expect, it } from 'vitest';
import { serverMajor } from '../../support/server-major.ts';
import { freshScenario, type Scenario, scenarioOn } from '../run/scenario.ts';

/** Our questions ask what Postgres would, of tables as they are, whoever may see what. In the tests 101 rows are many. */
let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true, longestBlockSeconds: 0 });
});

const rows = (many: number) => `select g, g % 5, 'n' || g from generate_series(1, ${many}) g`;
const orders = (many: number) => `create table orders (id int, tenant int, note text);
insert into orders ${rows(many)};`;
const forced = 'alter table orders enable row level security; alter table orders force row level security;';
const index = 'create index concurrently orders_note on orders (note);';

interface Measured {
  readonly it: string;
  /** By the superuser, for what an owner may not. */
  readonly first?: string;
  readonly tables: string;
  /** By the superuser, once the tables are there. */
  readonly last?: string;
  readonly file?: string;
  readonly how: 'inline' | 'handed off';
}

/** Which way an index goes hangs on how many rows its table holds, and on nothing else. */
const measured: readonly Measured[] = [
  {
    it: 'row security that shows the owner nothing',
    tables: `${orders(300)} ${forced}
create policy p on orders using (tenant = nullif(current_setting('app.tenant', true), '')::int);`,
    how: 'handed off',
  },
  {
    it: 'a policy that reads a setting which nobody has made',
    tables: `${orders(300)} ${forced} create policy p on orders using (tenant = current_setting('app.tenant')::int);`,
    how: 'handed off',
  },
  {
    it: 'a policy that raises an error of its own',
    tables: `${orders(300)} ${forced}
create function refuse() returns boolean language plpgsql as $$ begin raise sqlstate 'P0042' using message = 'no'; end $$;
create policy p on orders using (refuse());`,
    how: 'handed off',
  },
  {
    it: 'row security on a table that has never held a row',
    tables: `create table orders (id int, tenant int, note text); ${forced}`,
    how: 'inline',
  },
  {
    it: 'row security on a partitioned table',
    tables: `create table orders (id int, note text) partition by range (id);
create table orders_1 partition of orders for values from (0) to (1000); insert into orders select g, 'n' from generate_series(1, 300) g; ${forced}`,
    how: 'handed off',
  },
  {
    it: 'row security that is not forced on the owner',
    tables: `${orders(50)} alter table orders enable row level security; create policy p on orders using (false);`,
    how: 'inline',
  },
  {
    it: 'a materialized view that was never filled',
    tables: `create materialized view orders as ${rows(300).replace("'n' || g", "'n' as note")} with no data;`,
    how: 'inline',
  },
  {
    it: 'a materialized view that was',
    tables: `create materialized view orders as ${rows(300).replace("'n' || g", "'n' as note")};`,
    how: 'handed off',
  },
  {
    it: 'a small table from which a large one inherits: the index is not the child’s',
    tables: `${orders(50)} create table old () inherits (orders); insert into old ${rows(300)};`,
    how: 'inline',
  },
  {
    it: 'a large table from which an empty one inherits',
    tables: `${orders(300)} create table old () inherits (orders);`,
    how: 'handed off',
  },
  {
    it: 'a table that only the file’s role may read',
    first:
      'create role "reads_ROLE"; grant "reads_ROLE" to "OWNER"; grant create on schema public to "reads_ROLE"',
    tables: `set role "reads_ROLE"; ${orders(50)} reset role;`,
    last: 'alter role "OWNER" noinherit',
    file: `set role "reads_ROLE"; ${index}`,
    how: 'inline',
  },
];

describe('how large a table is', () => {
  it.each(measured)('of $it', async ({ first, tables, last, file = index, how }) => {
    const { name, owner } = scenario.database;
    const named = (sql: string) => sql.replaceAll('ROLE', name).replaceAll('OWNER', owner);
    if (first !== undefined) await scenario.database.adminQuery(named(first));
    await scenario.database.query(named(tables));
    if (last !== undefined) await scenario.database.adminQuery(named(last));
    const { applied } = await scenario.run({ '1_index.sql': named(file) });
    expect(applied.map((step) => step.how).filter((each) => each !== 'transaction')).toEqual([how]);
  });

  it('of a partitioned table is that of the partitions here: another server is not asked', async () => {
    await scenario.database.adminQuery(
      `create extension postgres_fdw; create server nowhere foreign data wrapper postgres_fdw options (host '127.0.0.1', port '1');
grant usage on foreign server nowhere to ${scenario.database.owner}; create user mapping for public server nowhere options (user 'x', password 'x')`,
    );
    await scenario.database.query(
      `create table orders (id int, note text) partition by range (id);
create table orders_1 partition of orders for values from (0) to (1000);
create foreign table orders_2 partition of orders for values from (1000) to (2000) server nowhere;
insert into orders select g, 'n' from generate_series(1, 50) g`,
    );
    expect((await scenario.run({ '1_index.sql': 'create index on orders (note);' })).outcome).toBe('done');
    await scenario.database.query(`insert into orders select g, 'n' from generate_series(51, 300) g`);
    const two = {
      '1_index.sql': 'create index on orders (note);',
      '2_index.sql': 'create index on orders (id);',
    };
    expect((await scenario.failure(two)).code).toBe('plain-create-index');
  });

  it('is said not to be known where it is what refuses a statement', async () => {
    await scenario.database.query(`${orders(300)} ${forced}`);
    expect((await scenario.failure({ '1_index.sql': 'create index on orders (note);' })).message).toContain(
      "CREATE INDEX on public.orders, which counts as large, since its rows can't be counted (row level security hides them from our role), would block every write",
    );
  });

  it('counts what inherits, where a statement rewrites that as well', async () => {
    await scenario.database.query(
      `create table base (id int); create table kid () inherits (base); insert into kid select generate_series(1, 300)`,
    );
    const files = { '1_type.sql': 'alter table base alter column id type bigint;' };
    expect((await scenario.failure(files)).code).toBe('lint-refused');
  });
});

interface Asked {
  readonly it: string;
  /** By the superuser. */
  readonly first?: string;
  readonly tables: string;
  readonly statement: string;
  /** Of Postgres itself, and so of ours before. */
  readonly answer: 'accepted' | 'refused';
  readonly since?: number;
}

const parent = 'create table base (id int, x int); create table kid () inherits (base);';
const insensitive =
  "create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";
/** An operator class of integers to which 1 and -1 are the same. */
const byAbsolute = `create function abs_lt(int, int) returns boolean language sql immutable as 'select abs($1) < abs($2)';
create function abs_eq(int, int) returns boolean language sql immutable as 'select abs($1) = abs($2)';
create function abs_gt(int, int) returns boolean language sql immutable as 'select abs($1) > abs($2)';
create function abs_le(int, int) returns boolean language sql immutable as 'select abs($1) <= abs($2)';
create function abs_ge(int, int) returns boolean language sql immutable as 'select abs($1) >= abs($2)';
create function abs_cmp(int, int) returns int language sql immutable as 'select btint4cmp(abs($1), abs($2))';
create operator <# (leftarg = int, rightarg = int, function = abs_lt, commutator = ># );
create operator <=# (leftarg = int, rightarg = int, function = abs_le);
create operator =# (leftarg = int, rightarg = int, function = abs_eq, commutator = =# );
create operator >=# (leftarg = int, rightarg = int, function = abs_ge);
create operator ># (leftarg = int, rightarg = int, function = abs_gt, commutator = <# );
create operator class abs_ops for type int using btree as operator 1 <#, operator 2 <=#, operator 3 =#, operator 4 >=#, operator 5 >#, function 1 abs_cmp(int, int);`;
const citext =
  'create schema extensions; create extension citext schema extensions; grant usage on schema extensions to public';

const asked: readonly Asked[] = [
  {
    it: 'a unique index and the same value in a child',
    tables: `${parent} insert into base values (1, 1); insert into kid values (1, 1);`,
    statement: 'create unique index on base (x);',
    answer: 'accepted',
  },
  {
    it: 'a primary key and the same value in a child',
    tables: `${parent} insert into base values (1, 1); insert into kid values (1, 1);`,
    statement: 'alter table base add primary key (id);',
    answer: 'accepted',
  },
  {
    it: 'a check that is not inherited',
    tables: `${parent} insert into kid values (1, 1);`,
    statement: 'alter table base add check (false) no inherit;',
    answer: 'accepted',
  },
  {
    it: 'a check that is',
    tables: `${parent} insert into kid values (1, -1);`,
    statement: 'alter table base add check (x > 0);',
    answer: 'refused',
  },
  {
    it: 'NOT NULL, which is inherited',
    tables: `${parent} insert into kid values (1, null);`,
    statement: 'alter table base alter column x set not null;',
    answer: 'refused',
  },
  {
    it: 'NOT NULL NO INHERIT',
    tables: `${parent} insert into kid values (1, null);`,
    statement: 'alter table base add constraint x_there not null x no inherit;',
    answer: 'accepted',
    since: 18,
  },
  {
    it: 'a foreign key and a child’s orphan',
    tables: `create table p (id int primary key); ${parent} insert into kid values (1, 9);`,
    statement: 'alter table base add foreign key (x) references p;',
    answer: 'accepted',
  },
  {
    it: 'a foreign key to what only a child holds',
    tables: `create table p (id int primary key); create table pk () inherits (p); insert into pk values (9);
create table c (x int); insert into c values (9);`,
    statement: 'alter table c add foreign key (x) references p;',
    answer: 'refused',
  },
  {
    it: 'a foreign key to what a partition holds',
    tables: `create table p (id int primary key) partition by range (id); create table p1 partition of p default;
insert into p values (9); create table c (x int); insert into c values (9);`,
    statement: 'alter table c add foreign key (x) references p;',
    answer: 'accepted',
  },
  {
    it: 'a foreign key of a partitioned table',
    tables: `create table p (id int primary key); create table c (x int) partition by range (x);
create table c1 partition of c default; insert into c values (9);`,
    statement: 'alter table c add foreign key (x) references p;',
    answer: 'refused',
  },
  {
    it: 'a foreign key whose type, and equality, is in a schema that is not searched',
    first: citext,
    tables: `create table p (name extensions.citext primary key); insert into p values ('Ada');
create table c (name extensions.citext); insert into c values ('ada');`,
    statement: 'alter table c add foreign key (name) references p;',
    answer: 'accepted',
  },
  {
    it: 'a foreign key to another unique key than the primary one',
    tables: `create table p (id int primary key, a int, b int, unique (a, b)); insert into p values (1, 2, 3);
create table c (b int, a int); insert into c values (3, 2);`,
    statement: 'alter table c add foreign key (b, a) references p (b, a);',
    answer: 'accepted',
  },
  {
    it: 'a collation by which A is a',
    tables: `${insensitive} create table t (name text collate ci); insert into t values ('a'), ('A');`,
    statement: 'create unique index on t (name);',
    answer: 'refused',
  },
  {
    it: 'a collation of the index’s own, by which it is not',
    tables: `${insensitive} create table t (name text collate ci); insert into t values ('a'), ('A');`,
    statement: 'create unique index on t (name collate "C");',
    answer: 'accepted',
  },
  {
    it: 'an expression of another collation',
    tables: `${insensitive} create table t (name text); insert into t values ('a'), ('A');`,
    statement: 'create unique index on t ((name collate ci));',
    answer: 'refused',
  },
  {
    it: 'an operator class by which the type’s own equality does not hold',
    first: citext,
    tables: `create table t (name extensions.citext); insert into t values ('a'), ('A');`,
    statement: 'create unique index on t (name text_ops);',
    answer: 'accepted',
  },
  {
    it: 'an operator class by which more is equal',
    first: byAbsolute,
    tables: 'create table t (a int, b int); insert into t values (1, 7), (-1, 7), (null, 7), (null, 7);',
    statement: 'create unique index on t (b, a abs_ops);',
    answer: 'refused',
  },
  {
    it: 'an operator class by which more is equal, and other columns that differ',
    first: byAbsolute,
    tables:
      'create table t (a int, b int); insert into t values (1, 7), (-1, 8), (2, 8), (null, 7), (null, 7);',
    statement: 'create unique index on t (b, a abs_ops);',
    answer: 'accepted',
  },
  {
    it: 'nulls that are the same, by an operator class',
    first: byAbsolute,
    tables: 'create table t (a int); insert into t values (null), (null);',
    statement: 'create unique index on t (a abs_ops) nulls not distinct;',
    answer: 'refused',
    since: 15,
  },
  {
    it: 'a partial index by a qualified column',
    tables: 'create table t (a int, live boolean); insert into t values (1, false), (1, true);',
    statement: 'create unique index on t (t.a) where t.live;'.replace('(t.a)', '(abs(t.a))'),
    answer: 'accepted',
  },
  {
    it: 'rows that row security hides',
    tables: `create table t (a int, b int); insert into t values (1, 2);
alter table t enable row level security; alter table t force row level security; create policy p on t using (false);`,
    statement: 'alter table t add unique (a);',
    answer: 'accepted',
  },
];

describe('what the data is asked', () => {
  const possible = asked.filter(({ since = 14 }) => since <= serverMajor);

  it.each(possible)('$it: $answer, as by Postgres', async ({ first, tables, statement, answer }) => {
    if (first !== undefined) await scenario.database.adminQuery(first);
    await scenario.database.query(tables);
    const byPostgres = await scenario.database.query(`begin; ${statement} rollback`).then(
      () => 'accepted',
      () => 'refused',
    );
    expect(byPostgres).toBe(answer);
    const files = { '1_test.sql': statement };
    // Such tables are worked through in a blink: what stops the run is what they hold.
    scenario = scenarioOn(scenario.database);
    if (answer === 'accepted') expect((await scenario.run(files)).outcome).toBe('done');
    else expect((await scenario.failure(files)).code).toBe('lint-refused');
  });

  it('of a foreign table is nothing: no constraint of it is checked', async () => {
    await scenario.database.adminQuery(
      `create extension file_fdw; create server files foreign data wrapper file_fdw;
create foreign table f (x int) server files options (program 'echo 1'); alter foreign table f owner to ${scenario.database.owner}`,
    );
    const files = {
      '1_test.sql': 'alter foreign table f add check (x > 5); alter table f alter column x set not null;',
    };
    expect((await scenario.run(files)).outcome).toBe('done');
  });
});
