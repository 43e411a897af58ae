import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { textOf } from '../../../lambda/migration/row-values.ts';
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
    it: 'a foreign key that is null in part',
    tables:
      'create table p (a int, b int, primary key (a, b)); create table c (a int, b int); insert into c values (1, null);',
    statement: 'alter table c add foreign key (a, b) references p;',
    answer: 'accepted',
  },
  {
    it: 'a foreign key of MATCH FULL that is null in part',
    tables:
      'create table p (a int, b int, primary key (a, b)); create table c (a int, b int); insert into c values (1, null);',
    statement: 'alter table c add foreign key (a, b) references p match full;',
    answer: 'refused',
  },
  {
    it: 'a foreign key of MATCH FULL that is null in all',
    tables: `create table p (a int, b int, primary key (a, b)); insert into p values (1, 2);
create table c (a int, b int); insert into c values (null, null), (1, 2);`,
    statement: 'alter table c add foreign key (a, b) references p match full;',
    answer: 'accepted',
  },
  {
    it: 'a null that the same statement fills, by a type of another name',
    tables: 'create table t (x int); insert into t values (null);',
    statement: `alter table t alter x type text using coalesce(x::text, ''), alter x set not null;`,
    answer: 'accepted',
  },
  {
    it: 'a null that an UPDATE of a view fills before',
    tables: 'create table t (x int); insert into t values (null); create view v as select x from t;',
    statement: 'update v set x = 0; alter table t alter x set not null;',
    answer: 'accepted',
  },
  {
    it: 'a null that an UPDATE of a view of the file fills',
    tables: 'create table t (x int); insert into t values (null);',
    statement: 'create view v as select x from t; update v set x = 0; alter table t alter x set not null;',
    answer: 'accepted',
  },
  {
    it: 'a null that an UPDATE of the partition fills',
    tables: `create table t (id int, x int) partition by range (id); create table t1 partition of t default; insert into t values (1, null);`,
    statement: 'update t1 set x = 0; alter table t alter x set not null;',
    answer: 'accepted',
  },
  {
    it: 'a null that a trigger fills',
    tables: `create table t (x int); insert into t values (null); create table o (a int);
create function fills() returns trigger language plpgsql as $$ begin update t set x = 0; return new; end $$;
create trigger fills after insert on o for each row execute function fills();`,
    statement: 'insert into o values (1); alter table t alter x set not null;',
    answer: 'accepted',
  },
  {
    it: 'a value twice of which a foreign key’s CASCADE deletes one',
    tables: `create table p (id int primary key); insert into p values (1), (2);
create table t (id int references p on delete cascade, x int); insert into t values (1, 7), (2, 7);`,
    statement: 'delete from p where id = 2; alter table t add unique (x);',
    answer: 'accepted',
  },
  {
    it: 'a null beside which another table is written, which refers to it and is referred to',
    tables: `create table t (id int primary key, x int); insert into t values (1, null);
create table o (t int references t, id int primary key); create table oo (o int references o);`,
    statement: 'insert into o values (1, 1); update o set id = 2; alter table t alter x set not null;',
    answer: 'refused',
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

interface Unanswered {
  readonly it: string;
  readonly tables: string;
  readonly statement: string;
  readonly seconds?: number;
  readonly because: string;
}

const hidden = 'alter table t enable row level security; alter table t force row level security;';
const policy = 'query would be affected by row-level security policy for table "t", SQLSTATE 42501';

/** Where Postgres has no answer for us, it is said why, and the statement is Postgres's own affair. */
const unanswered: readonly Unanswered[] = [
  {
    it: 'nulls under row security',
    tables: `create table t (a int); insert into t values (1); ${hidden}`,
    statement: 'alter table t alter column a set not null;',
    because: `Whether rows of t have no a, which is to become NOT NULL, can't be told beforehand: ${policy}.`,
  },
  {
    it: 'duplicates under row security',
    tables: `create table t (a int, b int); insert into t values (1, 1); ${hidden}`,
    statement: 'alter table t add constraint k unique (a, b);',
    because: `Whether values of (a, b) occur in more than one row of t can't be told beforehand: ${policy}.`,
  },
  {
    it: 'orphans under row security of the table that is referred to',
    tables: `create table t (a int primary key); create table kid (t int); ${hidden}`,
    statement: 'alter table kid add foreign key (t) references t;',
    because: `Whether rows of kid refer by t to rows missing from t can't be told beforehand: ${policy}.`,
  },
  {
    it: 'a check whose function takes longer than there is time',
    tables: `create table t (a int); insert into t values (1);
create function slow(a int) returns boolean language plpgsql as $$ begin perform pg_sleep(1); return true; end $$;`,
    statement: 'alter table t add constraint c check (slow(a));',
    seconds: 0.1,
    because: "Whether rows of t violate the check c can't be told beforehand: looking took more than 0.1 s.",
  },
  {
    it: 'a check whose function writes, which a question may not',
    tables: `create table t (a int); insert into t values (1); create table seen (a int);
create function sees(a int) returns boolean language plpgsql as $$ begin insert into seen values (a); return true; end $$;`,
    statement: 'alter table t add constraint c check (sees(a));',
    because:
      "Whether rows of t violate the check c can't be told beforehand: cannot execute INSERT in a read-only transaction, SQLSTATE 25006.",
  },
  {
    it: 'an expression that only this session can compute',
    tables: `create table t (a int); insert into t values (1);
create function known(a int) returns int language plpgsql immutable as $$ begin if current_setting('transaction_read_only') = 'on' then raise sqlstate 'P0042' using message = 'not now'; end if; return a; end $$;`,
    statement: 'create unique index on t (known(a));',
    because:
      "Whether values of (known(a)) occur in more than one row of t can't be told beforehand: not now, SQLSTATE P0042.",
  },
];

describe('a question that has no answer is said to have none, by plan and run, which continues', () => {
  it.each(unanswered)('$it', async ({ tables, statement, seconds: dataCheckSeconds = 5, because }) => {
    scenario = scenarioOn(scenario.database);
    await scenario.database.query(tables);
    const files = { '1_test.sql': statement };
    const { findings, refused } = await scenario.plan(files, { dataCheckSeconds });
    expect(findings.map(({ verdict, what }) => ({ verdict, what }))).toEqual([
      { verdict: 'show', what: because },
    ]);
    expect(refused).toBeUndefined();
    expect((await scenario.run(files, { dataCheckSeconds })).outcome).toBe('done');
    const said = scenario.events.flatMap((event) => (event.kind === 'linted' ? event.findings : []));
    expect(said.map(({ what }) => textOf(what, 'shown'))).toEqual([because]);
  });

  it('what an earlier file makes is no such question', async () => {
    scenario = scenarioOn(scenario.database);
    await scenario.run({
      '1_t.sql': 'create table t (a int);',
      '2_later.sql': `create function f(a int) returns int immutable language sql as 'select a'; alter table t add column b int;
commit; create unique index on t (f(a)); alter table t add check (f(b) > 0);`,
    });
    expect(scenario.events.filter(({ kind }) => kind === 'linted')).toEqual([]);
  });
});

describe('a table that only a pending file lets us look up is judged when its turn comes', () => {
  const role = () => `deployer_${scenario.database.name}`;
  const files = (last: string) => ({
    '1_role.sql': `create role ${role()}; grant ${role()} to current_user; alter table big owner to ${role()};`,
    '2_last.sql': `set role ${role()};\ncommit;\n${last}`,
  });
  beforeEach(async () => {
    await scenario.database.query('create table big (x int); insert into big select generate_series(1, 300)');
    await scenario.database.adminQuery(
      `alter role ${scenario.database.owner} createrole; grant all on schema public to public`,
    );
  });
  afterEach(async () => {
    await scenario.database.adminQuery(`drop owned by ${role()} cascade; drop role ${role()}`);
  });

  it.each([
    ['a plain CREATE INDEX', 'create index big_x on big (x);', 'plain-create-index'],
    ['what the data is against', 'alter table big add unique (x), add check (x > 1);', 'lint-refused'],
  ])('%s', async (_, last, code) => {
    const error = await scenario.failure(files(last));
    expect(error.code).toBe(code);
    expect(error.message).toContain('\nApplied: 1_role … 2_last by this run (2 files)\n');
    expect((await scenario.steps()).at(-1)).not.toMatch(/^2\.1/);
  });
});

/** 300 rows are many here, and no time at all is what others may be kept waiting. */
const people = (columns: string, values: string, more = '') =>
  `create table people (${columns}); insert into people select ${values} from generate_series(1, 300) g; ${more}`;

const ids = (columns = 'id int', more = '') =>
  `create table ids (${columns}) partition by range (id); ${people(columns, 'g', more)}`;
const attach = 'alter table ids attach partition people for values from (1) to (1000);';

interface Retyped {
  readonly it: string;
  readonly tables: string;
  readonly statement: string;
  readonly answer: 'accepted' | 'refused';
}

/** Whether a statement reads the table, or rewrites it, is Postgres's own decision. */
const retyped: readonly Retyped[] = [
  {
    it: 'varchar made longer',
    tables: people('name varchar(50)', "'n' || g"),
    statement: 'alter table people alter column name type varchar(100);',
    answer: 'accepted',
  },
  {
    it: 'varchar made longer under an index and a unique key',
    tables: people('name varchar(50) unique', "'n' || g", 'create index on people (lower(name));'),
    statement: 'alter table people alter column name type varchar(100);',
    answer: 'refused',
  },
  {
    it: 'varchar made longer under a unique key',
    tables: people(
      'name varchar(50) unique',
      "'n' || g",
      'create index on people (name) where name is not null;',
    ),
    statement: 'alter table people alter column name type varchar(100);',
    answer: 'refused',
  },
  {
    it: 'varchar made longer under plain indexes',
    tables: people('name varchar(50) unique', "'n' || g", 'create index on people (name);'),
    statement: 'alter table people alter column name type varchar(100);',
    answer: 'accepted',
  },
  {
    it: 'varchar made longer under a check, which is checked again',
    tables: people('name varchar(50) check (name <> $$$$)', "'n' || g"),
    statement: 'alter table people alter column name type varchar(100);',
    answer: 'refused',
  },
  {
    it: 'varchar made shorter',
    tables: people('name varchar(50)', "'n' || g"),
    statement: 'alter table people alter column name type varchar(40);',
    answer: 'refused',
  },
  {
    it: 'varchar made text, two columns at once',
    tables: people('name varchar(50), nick varchar', "'n' || g, 'n'"),
    statement: 'alter table people alter column name type text, alter column nick type text;',
    answer: 'accepted',
  },
  {
    it: 'a number of more digits',
    tables: people('price numeric(10, 2)', 'g'),
    statement: 'alter table people alter column price type numeric(12, 2);',
    answer: 'accepted',
  },
  {
    it: 'a number of more decimals',
    tables: people('price numeric(10, 2)', 'g'),
    statement: 'alter table people alter column price type numeric(12, 3);',
    answer: 'refused',
  },
  {
    it: 'int made bigint',
    tables: people('id int', 'g'),
    statement: 'alter table people alter column id type bigint;',
    answer: 'refused',
  },
  {
    it: 'timestamp made timestamptz, under the time zone UTC',
    tables: people('at timestamp', 'now()'),
    statement: "set time zone 'UTC'; alter table people alter column at type timestamptz;",
    answer: 'accepted',
  },
  {
    it: 'timestamp made timestamptz, under another',
    tables: people('at timestamp', 'now()'),
    statement: "set time zone 'Asia/Tokyo';\ncommit;\nalter table people alter column at type timestamptz;",
    answer: 'refused',
  },
  {
    it: 'a domain without a check, and back',
    tables: `create domain label as text; ${people('name text, nick label', "'n', 'n'")}`,
    statement: 'alter table people alter column name type label, alter column nick type text;',
    answer: 'accepted',
  },
  {
    it: 'a domain with a check',
    tables: `create domain label as text check (value <> ''); ${people('name text', "'n'")}`,
    statement: 'alter table people alter column name type label;',
    answer: 'refused',
  },
  {
    it: 'USING that changes nothing, with the column qualified',
    tables: people('name varchar(50)', "'n' || g"),
    statement: 'alter table people alter column name type text using people.name::text;',
    answer: 'accepted',
  },
  {
    it: 'USING that computes',
    tables: people('name varchar(50)', "'n' || g"),
    statement: 'alter table people alter column name type text using upper(name);',
    answer: 'refused',
  },
  {
    it: 'a type of one’s own over another',
    tables: `create type mood as enum ('glad', 'sad'); ${people('mood mood', "'glad'")}`,
    statement: 'alter table people alter column mood type text;',
    answer: 'refused',
  },
  {
    it: 'a new column that exists',
    tables: people('id int, token uuid', 'g, null'),
    statement: 'alter table people add column if not exists token uuid default gen_random_uuid();',
    answer: 'accepted',
  },
  {
    it: 'a new column that does not',
    tables: people('id int', 'g'),
    statement: 'alter table people add column if not exists token uuid default gen_random_uuid();',
    answer: 'refused',
  },
  {
    it: 'a new column that exists until the same run drops it',
    tables: people('id int, token uuid', 'g, null'),
    statement:
      'alter table people drop column token; alter table people add column if not exists token uuid default gen_random_uuid();',
    answer: 'refused',
  },
  {
    it: 'a new unique column that exists',
    tables: people('id int, token uuid', 'g, null'),
    statement: 'alter table people add column if not exists token uuid unique references people (token);',
    answer: 'accepted',
  },
  {
    it: 'an index that exists',
    tables: people('id int', 'g', 'create index people_id on people (id);'),
    statement:
      'create table if not exists people (id int); create index if not exists people_id on people (id);',
    answer: 'accepted',
  },
  {
    it: 'a unique index that exists, and is another, over duplicates',
    tables: people('id int', '1', 'create index people_id on people (id);'),
    statement: 'create unique index if not exists people_id on people (id);',
    answer: 'accepted',
  },
  {
    it: 'an index that does not exist',
    tables: people('id int', 'g'),
    statement: 'create index if not exists people_id on people (id);',
    answer: 'refused',
  },
  {
    it: 'an index that exists until the same run drops it',
    tables: people('id int', 'g', 'create index people_id on people (id);'),
    statement: 'drop index people_id; create index if not exists people_id on people (id);',
    answer: 'refused',
  },
  {
    it: 'an index whose name a table has',
    tables: people('id int', 'g', 'create table people_id ();'),
    statement: 'create index if not exists people_id on people (id);',
    answer: 'accepted',
  },
  {
    it: 'NOT NULL that the column has',
    tables: people('id int primary key, name text not null', "g, 'n'"),
    statement: 'alter table people alter id set not null, alter name set not null;',
    answer: 'accepted',
  },
  {
    it: 'NOT NULL that a check shows',
    tables: people(
      '"my id" int, name text',
      "g, 'n'",
      'alter table people add check ("my id" is not null and name is not null);',
    ),
    statement: 'alter table people alter "my id" set not null;',
    answer: 'accepted',
  },
  {
    it: 'NOT NULL that a check shows which is NOT VALID',
    tables: people('id int', 'g', 'alter table people add check (id is not null) not valid;'),
    statement: 'alter table people alter id set not null;',
    answer: 'refused',
  },
  {
    it: 'NOT NULL that a check shows of one of two columns',
    tables: people(
      'id int, name text',
      "g, 'n'",
      'alter table people add check (id is not null or name is not null);',
    ),
    statement: 'alter table people alter id set not null;',
    answer: 'refused',
  },
  {
    it: 'a partition that a check shows to fit',
    tables: ids('id int', 'alter table people add check (id is not null and id >= 1 and id < 900);'),
    statement: attach,
    answer: 'accepted',
  },
  {
    it: 'a partition that NOT NULL and a check show to fit, in another schema and under other names',
    tables: `create schema app; create table app."My ids" ("my id" int not null) partition by list ("my id");
${people('"my id" int not null', '7', 'alter table people add check ("my id" = 7);')}`,
    statement:
      'set search_path = app, public; alter table "My ids" attach partition people for values in (7);',
    answer: 'accepted',
  },
  {
    it: 'a partition that a check shows to fit which is NOT VALID',
    tables: ids(
      'id int',
      'alter table people add check (id is not null and id >= 1 and id < 900) not valid;',
    ),
    statement: attach,
    answer: 'refused',
  },
  {
    it: 'a partition that may hold nulls',
    tables: ids('id int', 'alter table people add check (id >= 1 and id < 900);'),
    statement: attach,
    answer: 'refused',
  },
  {
    it: 'a partition whose check allows more than the bound',
    tables: ids('id int not null', 'alter table people add check (id < 2000);'),
    statement: attach,
    answer: 'refused',
  },
  {
    it: 'a partition of a partition, whose check is about the lower bound only',
    tables: `create table all_ids (id int, kind int) partition by list (kind);
create table ids partition of all_ids for values in (1) partition by range (id);
${people('id int not null, kind int not null', 'g, 1', 'alter table people add check (id >= 1 and id < 900);')}`,
    statement: attach,
    answer: 'refused',
  },
  {
    it: 'a partition of a partition, whose checks are about both bounds',
    tables: `create table all_ids (id int, kind int) partition by list (kind);
create table ids partition of all_ids for values in (1) partition by range (id);
${people('id int not null, kind int not null', 'g, 1', 'alter table people add check (id >= 1 and id < 900), add check (kind = 1);')}`,
    statement: attach,
    answer: 'accepted',
  },
  {
    it: 'LOGGED what is logged, in its tablespace, by its access method',
    tables: people('id int', 'g'),
    statement: 'alter table people set logged, set tablespace pg_default, set access method heap;',
    answer: 'accepted',
  },
  {
    it: 'the types of two columns, one statement after the other',
    tables: people('name varchar(50), nick varchar(50)', "'n', 'n'"),
    statement:
      'alter table people alter column name type varchar(60); alter table people alter column nick type varchar(60);',
    answer: 'accepted',
  },
  {
    it: 'the type of one column, twice',
    tables: people('name varchar(50)', "'n'"),
    statement:
      'alter table people alter column name type int using 1; alter table people alter column name type varchar(60);',
    answer: 'refused',
  },
  {
    it: 'UNLOGGED what is logged',
    tables: people('id int', 'g'),
    statement: 'alter table people set unlogged;',
    answer: 'refused',
  },
  {
    it: 'UNLOGGED what is unlogged',
    tables: people('id int', 'g').replace('create', 'create unlogged'),
    statement: 'alter table people set unlogged;',
    answer: 'accepted',
  },
  {
    it: 'LOGGED what is unlogged',
    tables: people('id int', 'g').replace('create', 'create unlogged'),
    statement: 'alter table people set logged;',
    answer: 'refused',
  },
  {
    it: 'LOGGED what is logged until the same run changes it',
    tables: people('id int', 'g'),
    statement: 'set lock_timeout = 100; alter table people set unlogged; alter table people set logged;',
    answer: 'refused',
  },
  {
    it: 'the tablespace of a partitioned table, which holds no row',
    tables: `create table ids (id int) partition by range (id); create table ids_1 partition of ids for values from (0) to (1000); insert into ids select generate_series(1, 300);`,
    statement: 'alter table ids set tablespace pg_default;',
    answer: 'accepted',
  },
  {
    it: 'CLUSTER ON and SET STORAGE, which rewrite nothing',
    tables: people('id int primary key, name text', "g, 'n'"),
    statement:
      'alter table people cluster on people_pkey; alter table people alter name set storage external, alter name set compression pglz;',
    answer: 'accepted',
  },
  {
    it: 'an index of that name in another schema',
    tables: `create schema app; ${people('id int', 'g')} create table app.t (id int); create index people_id on app.t (id);`,
    statement: 'create index if not exists people_id on people (id);',
    answer: 'refused',
  },
];

describe('what a statement would really do', () => {
  it.each(retyped)('$it: $answer', async ({ tables, statement, answer }) => {
    await scenario.database.query(tables);
    const files = { '1_test.sql': statement };
    if (answer === 'accepted') expect((await scenario.run(files)).outcome).toBe('done');
    else expect((await scenario.failure(files)).code).toMatch(/^(lint-refused|plain-create-index)$/);
  });

  it.each([
    ['varchar(100)', 'moment'],
    ['varchar(40)', 'rewrite'],
  ])('a plan shows what it is: type %s takes a %s', async (type, work) => {
    await scenario.database.query(people('name varchar(50), nick varchar(50)', "'n', 'n'"));
    const { files } = await scenario.plan({
      '1_type.sql': `alter table people alter column name type ${type}, alter column nick type varchar(60);`,
    });
    expect(files[0]?.steps[0]?.tables.map(({ table, work: planned }) => [table, planned])).toEqual([
      ['public.people', work],
    ]);
  });

  it('is found out without the right to make temporary tables, in the ledger’s schema', async () => {
    await scenario.database.query(people('name varchar(50)', "'n' || g"));
    await scenario.run({});
    const { name, owner } = scenario.database;
    await scenario.database.adminQuery(
      `alter database ${name} owner to postgres; revoke all on database ${name} from public; grant connect on database ${name} to ${owner}`,
    );
    const files = { '1_type.sql': 'alter table people alter column name type text;' };
    expect((await scenario.run(files)).outcome).toBe('done');
  });

  it.each([
    ['name varchar(50)', 'varchar(40)', 'rewrites the whole of public.people and its indexes'],
    ['name varchar(50) check (name <> $$$$)', 'text', 'checks every row of public.people again'],
    [
      'name varchar(50) check (name <> $$$$), unique (name), exclude (lower(name) with =)',
      'text',
      'builds indexes of public.people anew',
    ],
  ])('a refusal says what it is, once Postgres was asked: %s made %s', async (columns, type, does) => {
    await scenario.database.query(people(columns, "'n' || g"));
    const files = { '1_type.sql': `alter table people alter column name type ${type};` };
    expect((await scenario.failure(files)).message.split('. public.people holds')[0]).toBe(
      `1_type.sql:1:1: Turning name into ${type} ${does}, while nobody else can read or write it; and running code may not expect the new type`,
    );
  });

  it('and where it can’t be found out, the statement is refused and the finding says why', async () => {
    await scenario.database.query(people('name varchar(50)', "'n' || g"));
    const { owner } = scenario.database;
    await scenario.database.adminQuery(
      `create function closed() returns event_trigger language plpgsql as $$ begin if session_user = '${owner}' then raise 'closed'; end if; end $$;
create event trigger closed on ddl_command_start when tag in ('CREATE TABLE', 'ALTER TABLE') execute function closed()`,
    );
    const files = { '1_type.sql': 'alter table people alter column name type text;' };
    const plan = await scenario.plan(files);
    expect(plan.findings[0]?.what).toContain("Postgres can't be asked now: closed, SQLSTATE P0001.");
  });

  it('an INVALID index that CREATE INDEX IF NOT EXISTS would pass over stops the run, and plan says so', async () => {
    await scenario.database.query(people('id int', 'g / 2'));
    await scenario.database
      .query('create unique index concurrently people_id on people (id)')
      .catch(() => undefined);
    const files = { '1_index.sql': 'create unique index if not exists people_id on people (id);' };
    const error = await scenario.failure(files);
    expect(error.message.split('\n')).toEqual([
      '1_index.sql:1:1: the index people_id exists and is INVALID, left by an interrupted build: CREATE INDEX IF NOT EXISTS would skip it, and no query would use it.',
      'Statement: create unique index if not exists people_id on people (id)',
      'Applied: nothing by this run.',
      'Next: write CREATE INDEX CONCURRENTLY, which drops the INVALID index and builds it again; or drop it by hand, if nobody is building it: drop index concurrently "people_id"; then run again.',
    ]);
    expect((await scenario.plan(files)).refused).toBe(error.message);
  });
});

describe('where a pending file makes what an index stands on, a plan says which way it goes as the run does', () => {
  const grown = 'insert into few select g from generate_series(1, 300) g;';
  it.each([
    [
      'a role',
      'create role "made_ROLE"; grant all on schema public to "made_ROLE"; grant "made_ROLE" to "OWNER"; alter table people owner to "made_ROLE";',
      'set role "made_ROLE"; create index concurrently on people (id);',
      'hand-off',
    ],
    ['a name', 'alter table people rename to folk;', 'create index concurrently on folk (id);', 'hand-off'],
    [
      'a schema',
      'create schema app; alter table people set schema app;',
      'create index concurrently on app.people (id);',
      'hand-off',
    ],
    [
      'an index',
      'create index concurrently people_id on people (id);',
      'reindex index concurrently people_id;',
      'hand-off',
    ],
    ['rows', grown, 'create index concurrently on few (id);', 'by size'],
    ['rows, unseen', `do $$ begin ${grown} end $$;`, 'create index concurrently on few (id);', 'by size'],
    [
      'rows, by a function',
      `create function fill() returns void language sql as $$ ${grown} $$; select fill();`,
      'create index concurrently on few (id);',
      'by size',
    ],
    [
      'a table, by a function',
      `create function make() returns void language plpgsql as $$ begin execute 'create table made as select * from people'; end $$; select make();`,
      'create index concurrently on made (id);',
      'by size',
    ],
  ])('%s', async (_, before, index, planned) => {
    const { name, owner } = scenario.database;
    await scenario.database.adminQuery(`alter role "${owner}" createrole`);
    await scenario.database.query(`${people('id int', 'g')} create table few (id int)`);
    const named = (sql: string) => sql.replaceAll('ROLE', name).replaceAll('OWNER', owner);
    const files = { '1_before.sql': named(before), '2_index.sql': named(index) };
    const { files: plans } = await scenario.plan(files);
    const step = plans[1]?.steps.at(-1);
    expect(step?.bySize ? 'by size' : step?.how).toBe(planned);
    expect(await scenario.deploy(files)).toEqual({ outcome: 'valid', message: '' });
    const applied = scenario.events.flatMap((event) => (event.kind === 'applied' ? event.steps : []));
    expect(applied.at(-1)?.how).toBe('handed off');
  });

  it('and a plain index on a table that a file renames is refused', async () => {
    await scenario.database.query(people('id int', 'g'));
    const files = {
      '1_rename.sql': 'alter table people rename to folk;',
      '2_index.sql': 'create index on folk (id);',
    };
    expect((await scenario.failure(files)).code).toBe('plain-create-index');
  });
});

describe('the settings before a statement count for what is asked about it', () => {
  const inSchema = (columns: string, values: string) =>
    `create schema app; create table people (id int); create table app.${people(columns, values).replace('create table ', '').replace('insert into ', 'insert into app.')}`;
  const expectCode = async (files: Readonly<Record<string, string>>, code: string) => {
    const outcome = await scenario.run(files).then(
      ({ outcome }) => outcome as string,
      (error: { code?: string }) => error.code,
    );
    expect(outcome).toBe(code);
  };

  it.each([
    ['set search_path = app;', 'create index on people (id);', 'plain-create-index'],
    [
      "select pg_catalog.set_config('search_path', 'app', false);",
      'create index on people (id);',
      'plain-create-index',
    ],
    ['begin; set local search_path = app;', 'create index on people (id); commit;', 'plain-create-index'],
    ['set search_path = app;', 'alter table people alter column id set not null;', 'lint-refused'],
    ['create table z (); set search_path = app;', 'create index on people (id);', 'plain-create-index'],
    [
      'set search_path = app; create table z ();',
      'alter table people alter column id set not null;',
      'lint-refused',
    ],
    ['set search_path = app; set search_path = public;', 'create index on people (id);', 'done'],
    ['set search_path = app;', 'create table other (id int); create index on other (id);', 'done'],
  ])('a search path: %s %s', async (set, sql, code) => {
    await scenario.database.query(inSchema('id int', 'nullif(g, 1)'));
    await expectCode({ '1_file.sql': `${set}\n${sql}` }, code);
  });

  it('a role, which alone may read the table', async () => {
    const { name, owner } = scenario.database;
    await scenario.database.adminQuery(
      `create role "holds_${name}"; grant "holds_${name}" to "${owner}"; grant create on schema public to "holds_${name}"`,
    );
    await scenario.database.query(
      `set role "holds_${name}"; create table people (id int); insert into people select generate_series(1, 50); reset role`,
    );
    await scenario.database.adminQuery(`alter role "${owner}" noinherit`);
    if (serverMajor >= 16)
      await scenario.database.adminQuery(`grant "holds_${name}" to "${owner}" with inherit false`);
    await expectCode({ '1_file.sql': `set role "holds_${name}"; create index on people (id);` }, 'done');
  });
});
