import { largeTable } from '../../run/scenario.ts';

/** Tables that are large here, of each kind that work is done on. */
export const tables = {
  '1_large.sql': `${largeTable('large')}
create table parted (id int, x int) partition by range (id);
create table parted_a partition of parted for values from (0) to (1000);
insert into parted select i, i from generate_series(1, 500) i;
create index large_old on large (x);
alter table large add constraint positive check (x > 0) not valid;
create materialized view seen as select x from large;
create table lines (id int, x int) partition by range (id);
create table lines_a partition of lines for values from (0) to (1000);
insert into lines select i, i from generate_series(1, 500) i;
create domain number as int;
create table heap (id int primary key, x number, y int);
insert into heap select i, i from generate_series(1, 500) i;
alter domain number add constraint above check (value > 0) not valid;`,
};

/** Each of them handed off. */
export const work = {
  ...tables,
  '2_work.sql': `set statement_timeout = '1h';
create index concurrently i on large (x);
create unique index concurrently u on large (id);
create index concurrently p on parted (x);
drop index concurrently large_old;
reindex index concurrently large_pkey;
alter table large validate constraint positive;
refresh materialized view seen;
vacuum large;
-- migrate: hand-off
analyze large;
alter table lines detach partition lines_a concurrently;
alter domain number validate constraint above;
-- migrate: backfill
update heap set y = x where y is null;
-- migrate: hand-off
comment on table large is 'done';`,
};

/** `operation index` of each build, in their order. */
export const builds = [
  'create i',
  'create u',
  'create p',
  'drop large_old',
  'reindex large_pkey',
  'validate positive',
  'refresh ',
  'vacuum ',
  'analyze ',
  'detach lines_a',
  'validate-domain above',
  'backfill y',
  'statement 2_work.sql:17',
];
