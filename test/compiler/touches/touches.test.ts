import { describe, expect, it } from 'vitest';
import { statementsOf, type Touches } from '../../../lambda/migration/migration.ts';
import type { RelationName } from '../../../lambda/migration/relation-name.ts';
import { compileFiles, compileStatement } from '../compile-text.ts';

type Lists = Pick<Touches, 'creates' | 'changes' | 'writes' | 'upserts' | 'indexes'>;
type Names = Readonly<Partial<Record<keyof Lists, readonly string[]>>> & { opaque?: boolean };

function named(sql: string): Names {
  const { opaque, creates, changes, writes, upserts, indexes } = compileStatement(sql).statement.touches;
  const lists: Lists = { creates, changes, writes, upserts, indexes };
  const written = Object.entries(lists).flatMap(([list, relations]) =>
    relations.length === 0 ? [] : [[list, relations.map(dotted)] as const],
  );
  return { ...Object.fromEntries(written), ...(opaque ? { opaque } : {}) };
}

function dotted({ schema, name }: RelationName): string {
  return schema === undefined ? name : `${schema}.${name}`;
}

/** Which of them lock what is held against Postgres in another test; here, that nothing else is named. */
const CASES: readonly (readonly [string, Names])[] = [
  ['create table s.a (id int)', { creates: ['s.a'] }],
  [
    'create table a (id int references b, c int references s.d (id))',
    { creates: ['a'], changes: ['b', 's.d'] },
  ],
  ['create table a partition of p default', { creates: ['a'], changes: ['p'] }],
  ['create table a () inherits (p, s.q)', { creates: ['a'], changes: ['p', 's.q'] }],
  ['create table a (like b including all)', { creates: ['a'] }],
  ['create table a as select * from b', { creates: ['a'] }],
  ['create table a as execute b', { creates: ['a'], opaque: true }],
  ['select * into a from b', { creates: ['a'] }],
  ['create materialized view a as select * from b', { creates: ['a'] }],
  ['create foreign table a () server s', { creates: ['a'] }],
  [
    'create schema s create table a (id int references b) create index on a (id)',
    { creates: ['s.a'], changes: ['s.b', 's.a'] },
  ],
  ['create view a as select * from b', {}],
  ['create or replace view a as select * from b', { changes: ['a'] }],
  ['create index on s.a (x)', { changes: ['s.a'] }],
  ['create index concurrently on a (x)', { changes: ['a'] }],
  ['drop index a, s.b', { indexes: ['a', 's.b'] }],
  ['drop index concurrently a', { indexes: ['a'] }],
  ['reindex index s.i', { indexes: ['s.i'] }],
  ['reindex table a', { changes: ['a'] }],
  ['reindex schema s', { opaque: true }],
  ['alter index i rename to j', { indexes: ['i'] }],
  ['alter index i attach partition s.j', { indexes: ['i', 's.j'] }],
  ['alter index i depends on extension e', { indexes: ['i'] }],
  ['alter table s.a add constraint c unique using index i', { changes: ['s.a'], indexes: ['s.i'] }],
  ['alter table a cluster on i', { changes: ['a'], indexes: ['i'] }],
  ['alter table a replica identity using index i', { changes: ['a'], indexes: ['i'] }],
  ['alter table a add foreign key (x) references b', { changes: ['a', 'b'] }],
  ['alter table a attach partition b default', { changes: ['a', 'b'] }],
  ['alter table a rename to b', { changes: ['a'], indexes: ['a'] }],
  ['alter table a rename column x to y', { changes: ['a'] }],
  ['alter table all in tablespace t set tablespace u', { opaque: true }],
  ['cluster a using i', { changes: ['a'], indexes: ['i'] }],
  ['cluster', { opaque: true }],
  ['vacuum a, s.b', { changes: ['a', 's.b'] }],
  ['vacuum', { opaque: true }],
  ['analyze', { opaque: true }],
  ['truncate a, b', { changes: ['a', 'b'] }],
  ['truncate a cascade', { changes: ['a'], opaque: true }],
  ['refresh materialized view concurrently a', { changes: ['a'] }],
  ['drop table s.a, b', { changes: ['s.a', 'b'] }],
  ['drop materialized view a', { changes: ['a'] }],
  ['drop view a cascade', { changes: ['a'], opaque: true }],
  ['drop trigger t on s.a', { changes: ['s.a'] }],
  ['drop function f', {}],
  ['drop schema s', { opaque: true }],
  ['drop owned by r', { opaque: true }],
  ['create rule r as on insert to a do also insert into b values (1)', { changes: ['a'] }],
  ['create function f() returns int begin atomic insert into a values (1); end', {}],
  ['prepare p as insert into a values (1)', {}],
  ['execute p', { opaque: true }],
  ['call p()', { opaque: true }],
  ['do $$ begin end $$', { opaque: true }],
  ['comment on constraint c on s.a is null', { changes: ['s.a'] }],
  ['comment on index i is null', { indexes: ['i'] }],
  ['comment on function f is null', {}],
  ['grant select on a to b', {}],
  ['insert into s.a select * from b', { writes: ['s.a'] }],
  ['insert into a values (1) on conflict (x) do nothing', { writes: ['a'], upserts: ['a'] }],
  ['update a set x = 1 from b', { writes: ['a'] }],
  ['delete from a using b', { writes: ['a'] }],
  ['merge into a using b on true when matched then delete', { writes: ['a'], upserts: ['a'] }],
  ["copy a from '/x'", { writes: ['a'] }],
  ["copy a to '/x'", {}],
  ['with x as (delete from b returning *) insert into a select * from x', { writes: ['a', 'b'] }],
  [
    'with x as (insert into b values (1) on conflict do nothing returning *) select * from x',
    { writes: ['b'], upserts: ['b'] },
  ],
  ['explain analyze update a set x = 1', { writes: ['a'] }],
  ['select * from a for update', {}],
];

describe('what a statement touches', () => {
  it.each(CASES)('%s', (sql, expected) => {
    expect(named(sql)).toEqual(expected);
  });
});

describe('whose rows it reads or changes, by which columns', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['select b, count(c) from a where d > 0', ['a'], ['b', 'c', 'd']],
    ['select a from a', ['a'], ['a', '*']],
    ['select to_json(x) from s.a as x', ['s.a'], ['x', '*']],
    ['table a', ['a'], ['*']],
    ['update a set b = c.d from c where c.id = a.id', ['a', 'c'], ['b', 'd', 'id']],
    ['delete from a using b where b.id = a.c', ['a', 'b'], ['id', 'c']],
    ['insert into a (x) values (1)', [], []],
    ['insert into a select b.c from b', ['b'], ['c']],
    ['insert into a values (1) on conflict (x) do update set y = 1', ['a'], ['y']],
    ['merge into a using b on a.id = b.id when matched then update set x = 1', ['a', 'b'], ['id', 'x']],
    ['create table n as select x from a join b using (id)', ['a', 'b'], ['x', 'id']],
    ['select 1 from a natural join b', ['a', 'b'], ['*']],
    ["copy a to '/x'", ['a'], ['*']],
    ['create view v as select x from a', [], []],
    ['select count(*) from a', ['a'], []],
    ['create materialized view v as select x from a', ['a'], ['x']],
    ['create materialized view v as select x from a with no data', [], []],
    ['create table v as select x from a with no data', [], []],
    ['alter table a add column x int', [], []],
  ])('%s', (sql, relations, columns) => {
    const { rows } = compileStatement(sql).statement.touches;
    expect(rows?.relations.map(dotted).sort() ?? []).toEqual([...relations].sort());
    expect([...(rows?.columns ?? [])].sort()).toEqual([...columns].sort());
  });
});

describe('what the folder shows beside the text', () => {
  const TABLES = `
    create table parent (id int) partition by range (id);
    create table child partition of parent for values from (0) to (10);
    create table s.grandchild partition of child default;
    create table rest (id int);
    alter table parent attach partition rest default;
    create table pointer (id int references target);
    alter table child rename to renamed;
  `;

  it.each([
    ['alter table parent add column x int', ['parent', 'child', 'rest', 'renamed', 's.grandchild']],
    ['create index on parent (id)', ['parent', 'child', 'rest', 'renamed', 's.grandchild']],
    ['create index on only parent (id)', ['parent']],
    ['truncate only parent', ['parent']],
    ['alter table renamed add column x int', ['renamed', 's.grandchild']],
    ['create table another partition of renamed for values in (1)', ['renamed', 's.grandchild']],
    ['drop table pointer', ['pointer', 'target']],
    ['alter table target alter column id type bigint', ['target', 'pointer']],
    ['alter table target add column x int', ['target']],
    ['truncate pointer', ['pointer']],
  ])('%s', (sql, changes) => {
    const { migrations } = compileFiles({ '1_tables.sql': TABLES, '2_test.sql': sql });
    const [statement] = migrations[1]?.steps.flatMap(statementsOf) ?? [];
    expect(statement?.touches.changes.map(dotted)).toEqual(changes);
  });

  it.each<[string, readonly string[]]>([
    ['alter table child add column x int', ['parent']],
    ['drop table s.grandchild', ['parent', 'child', 'renamed']],
    ['alter table parent add column x int', []],
    ['alter table target add column x int', []],
  ])('the tables of whose rows it changes a part: %s', (sql, tables) => {
    const { migrations } = compileFiles({ '1_tables.sql': TABLES, '2_test.sql': sql });
    const [statement] = migrations[1]?.steps.flatMap(statementsOf) ?? [];
    expect([...(statement?.touches.partOf ?? [])].map(dotted).sort()).toEqual([...tables].sort());
  });

  it.each<[string, readonly string[], readonly string[]]>([
    ['select n from seen', ['a', 'seen'], ['n', 'x', 'y']],
    ['select count(*) from over_it', ['a', 'over_it', 'seen'], ['n', 'x', 'y']],
    ['insert into b select n from s.seen', ['a', 's.seen'], ['n', 'x', 'y']],
    ['create view another as select n from seen', [], []],
    ['select n from b', ['b'], ['n']],
  ])('whose rows it reads through a view: %s', (sql, relations, columns) => {
    const { migrations } = compileFiles({
      '1_views.sql': `create table a (x int, y int); create table b (n int);
create view seen as select x as n from a where y > 0;
create recursive view over_it (n) as select n from seen;`,
      '2_test.sql': sql,
    });
    const [statement] = migrations[1]?.steps.flatMap(statementsOf) ?? [];
    expect([...(statement?.touches.rows?.relations ?? [])].map(dotted).sort()).toEqual([...relations]);
    expect([...(statement?.touches.rows?.columns ?? [])].sort()).toEqual([...columns]);
  });
});
