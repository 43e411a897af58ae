import { expect, it } from 'vitest';
import { freshScenario } from '../../run/scenario.ts';

interface Form {
  /** Makes the tables; `t` is the one that is walked. */
  readonly tables: string;
  readonly statement: string;
  /** @default `t` */
  readonly compared?: readonly string[];
}

const ROWS = 700;
const rows = `generate_series(1, ${ROWS}) g`;

const forms: Readonly<Record<string, Form>> = {
  'a key of two columns with different collations': {
    tables: `create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create table t (a text collate "C", b text collate ci, n int, primary key (a, b));
insert into t select (array['a', 'B', 'ä', 'Ä', ''])[1 + g % 5], 'x' || g, g from ${rows};`,
    statement: 'update t set n = n + 1',
  },
  'a text key whose collation takes cases for equal': {
    tables: `create collation ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
create table t (a text collate ci primary key, n int);
insert into t select case when g % 2 = 0 then 'Key' else 'kEY' end || g, g from ${rows};`,
    statement: 'update t set n = n + 1',
  },
  'a key of uuid': {
    tables: `create table t (a uuid primary key, n int); insert into t select md5(g::text)::uuid, g from ${rows};`,
    statement: 'update t set n = n + 1',
  },
  'a key of timestamptz with both infinities': {
    tables: `create table t (a timestamptz primary key, n int);
insert into t select '2024-03-31 00:30+00'::timestamptz + g * interval '7 min', g from ${rows};
insert into t values ('infinity', 0), ('-infinity', 0), ('0044-03-15 12:00:00 BC', 0), ('294276-12-31 23:59:59', 0);`,
    statement: 'update t set n = n + 1',
  },
  'a key of numeric with NaN and infinities': {
    tables: `create table t (a numeric primary key, n int);
insert into t select g / 7.0, g from ${rows}; insert into t values ('NaN', 0), ('Infinity', 0), ('-Infinity', 0), (1e100, 0);`,
    statement: 'update t set n = n + 1',
  },
  'a key of float8 with NaN': {
    tables: `create table t (a float8 primary key, n int);
insert into t select g / 7.0::float8, g from ${rows}; insert into t values ('NaN', 0), ('Infinity', 0), ('-Infinity', 0), ('1e-300', 0);`,
    statement: 'update t set n = n + 1',
  },
  'a key of bytea, interval and bit': {
    tables: `create table t (a bytea, b interval, c bit varying(40), n int, primary key (a, b, c));
insert into t select decode(lpad(to_hex(g % 9), 4, '0'), 'hex'), make_interval(mins => g % 50), g::bit(12), g from ${rows};`,
    statement: 'update t set n = n + 1',
  },
  'a key of an enum, a domain and an array': {
    tables: `create type mood as enum ('sad', 'ok', 'a "quoted" one'); create domain code as text check (value <> 'no');
create table t (a mood, b code, c int[], d timestamptz[], n int, primary key (a, b, c, d));
insert into t select (enum_range(null::mood))[1 + g % 3], 'c' || g % 20, array[g, null, g % 3], array['2024-01-01 12:00+00', 'infinity']::timestamptz[], g from ${rows};`,
    statement: 'update t set n = n + 1',
  },
  'a key of jsonb and of a composite type': {
    tables: `create type pair as (a int, b timestamptz);
create table t (a jsonb, b pair, n int, primary key (a, b));
insert into t select to_jsonb('x' || g % 9), row(g, '2024-01-01'::timestamptz + g * interval '1 h')::pair, g from ${rows};`,
    statement: 'update t set n = n + 1',
  },
  'a key of a range, char(n) and "char"': {
    tables: `create table t (a int4range, b char(5), c "char", n int, primary key (a, b, c));
insert into t select int4range(g % 11, 20), (g % 70)::text, chr(65 + g % 20)::"char", g from ${rows};`,
    statement: 'update t set n = n + 1',
  },
  'names that have to be quoted': {
    tables: `create schema "Sch""ema"; create table "Sch""ema"."T a.b" ("Id ""x" int, "SELECT" int, primary key ("Id ""x"));
insert into "Sch""ema"."T a.b" select g, g from ${rows};`,
    statement: 'update "Sch""ema"."T a.b" set "SELECT" = "SELECT" + 1 where "Id ""x" % 3 = 0',
    compared: ['"Sch""ema"."T a.b"'],
  },
  'partitions by list with a default one, below each other': {
    tables: `create table t (id int, k text, n int, primary key (id, k)) partition by list (k);
create table t_a partition of t for values in ('a') partition by range (id);
create table t_a1 partition of t_a for values from (minvalue) to (100);
create table t_a2 partition of t_a default;
create table t_rest partition of t default;
insert into t select g, (array['a', 'b', 'c'])[1 + g % 3], g from ${rows};`,
    statement: 'update t as x set n = x.n + 1 where x.n > 10',
  },
  'generated and identity columns': {
    tables: `create table t (id int generated always as identity primary key, n int, twice int generated always as (n * 2) stored);
insert into t (n) select g from ${rows};`,
    statement: 'update t set n = twice + 1',
  },
  'triggers that write elsewhere, and change the row': {
    tables: `create table t (id int primary key, n int, at text); create table seen (id int);
create function noted() returns trigger language plpgsql as
  'begin insert into public.seen values (new.id); new.at := ''trigger''; return new; end';
create trigger noted before update on t for each row execute function noted();
insert into t select g, g from ${rows};`,
    statement: 'update t set n = n + 1 where id % 2 = 0',
    compared: ['t', 'seen'],
  },
  'INSERT … SELECT with ON CONFLICT': {
    tables: `create table t (id int primary key, n int); create table into_it (id int primary key, n int);
insert into t select g, g from ${rows}; insert into into_it select g, 0 from generate_series(1, 100) g;`,
    statement:
      'insert into into_it (id, n) select id, n from t on conflict (id) do update set n = excluded.n + 1',
    compared: ['into_it'],
  },
  'INSERT … SELECT with a join and a CTE': {
    tables: `create table t (id int primary key, n int); create table other (id int primary key, m int); create table into_it (id int, s int);
insert into t select g, g from ${rows}; insert into other select g, g * 2 from ${rows};`,
    statement:
      'with o as (select id, m from other where m > 20) insert into into_it select t.id, t.n + o.m from t join o using (id) where t.n % 2 = 0',
    compared: ['into_it'],
  },
  'DELETE USING': {
    tables: `create table t (id int primary key, n int); create table other (id int primary key, gone bool);
insert into t select g, g from ${rows}; insert into other select g, g % 3 = 0 from ${rows};`,
    statement: 'delete from t using other o where o.id = t.n and o.gone returning t.id',
  },
  'UPDATE FROM with several matches that agree': {
    tables: `create table t (id int primary key, n int); create table other (id int, m int);
insert into t select g, null from ${rows}; insert into other select g, g * 2 from ${rows}, generate_series(1, 3);`,
    statement: 'update t set n = o.m from other o where o.id = t.id and n is null',
  },
  'a CTE, a sub-select and RETURNING': {
    tables: `create table t (id int primary key, n int); create table other (id int primary key, m int);
insert into t select g, g from ${rows}; insert into other select g, g * 2 from ${rows};`,
    statement:
      'with big as (select id from other where m > 500) update t set n = (select m from other where other.id = t.id) where id in (select id from big) returning id, n',
  },
  'row-level security for its owner': {
    tables: `create table t (id int primary key, n int); insert into t select g, g from ${rows};
alter table t enable row level security; alter table t force row level security;
create policy even on t using (id % 2 = 0);`,
    statement: 'update t set n = n + 1',
    compared: ['(select * from t) as t'],
  },
  'deferred constraints': {
    tables: `create table t (id int primary key, n int unique deferrable initially deferred, p int references t (id) deferrable initially deferred);
insert into t select g, g, null from ${rows};`,
    statement: `update t set p = ${ROWS} + 1 - id where p is null`,
  },
  'no key, walked by blocks': {
    tables: `create table t (n int, m int, filler text) with (fillfactor = 10); insert into t select g, null, repeat('x', 300) from ${rows};`,
    statement: 'update t set m = n * 2 where m is null',
  },
  'child tables by inheritance': {
    tables: `create table t (id int primary key, n int); create table child (primary key (id)) inherits (t);
insert into t select g, g from ${rows}; insert into child select g, g from ${rows};`,
    statement: 'update t set n = n + 1',
  },
  'two columns of a row and a sub-select at once': {
    tables: `create table t (id int primary key, a int, b text); insert into t select g, null, null from ${rows};`,
    statement:
      "update t set (a, b) = (select t.id * 2, 'x' || t.id) where (a, b) is not distinct from (null, null) -- the last",
  },
};

it.each(Object.entries(forms))(
  'a backfill makes the rows that its statement would: %s',
  async (_, { tables, statement, compared = ['t'] }) => {
    const contents = async (sql: string): Promise<unknown> => {
      const scenario = await freshScenario({ dblink: true });
      const files = { '1_tables.sql': tables };
      await scenario.deploy(files);
      expect(await scenario.deploy({ ...files, '2_fill.sql': sql })).toEqual({
        outcome: 'valid',
        message: '',
      });
      if (sql.startsWith('-- migrate: backfill'))
        expect(
          await scenario.query(
            'select state, (select count(*) > 1 from migrations.backfill) or (select sum(batches) > 1 from migrations.backfill) as batches from migrations.work',
          ),
        ).toEqual([{ state: 'done', batches: true }]);
      const read: unknown[] = [];
      for (const table of compared)
        read.push(await scenario.query(`select x::text from (select * from ${table}) x order by 1`));
      return read;
    };
    const [whole, filled] = [
      await contents(`-- migrate: allow unbounded-write tried here\n${statement}\n;`),
      await contents(`-- migrate: backfill batch 1ms\n${statement}\n;`),
    ];
    expect(filled).toEqual(whole);
  },
);
