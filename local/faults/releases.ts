import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileMigrations } from '../../compiler/steps/compile-migrations.ts';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';

/** Deployed before anything goes wrong: tables that hold rows, so that their indexes are handed off. */
const FIRST_DEPLOY: Readonly<Record<string, string>> = {
  '1_tables.sql': `create table log (what text);
create table orders (id int primary key, customer int, note text);
insert into orders select i, i % 10, 'note ' || i from generate_series(1, 300) i;
create index orders_note on orders (note);
create table items (id int primary key, code int);
insert into items select i, i from generate_series(1, 300) i;
create table amounts (id int primary key, amount int);
insert into amounts select i, i from generate_series(1, 3000) i;
create table events (at int, what text) partition by range (at);
create table events_1 partition of events for values from (0) to (200);
create table events_2 partition of events for values from (200) to (1000);
insert into events select i, 'x' from generate_series(1, 400) i;
create materialized view totals as select sum(amount) as total from amounts;
create function slowly(x int) returns int immutable language plpgsql
  as 'begin perform pg_catalog.pg_sleep(0.004); return x; end';`,
};

/** The deploy that is disturbed: every kind of step and of work, on five tables side by side and in order, and steps that wait. */
const SECOND_DEPLOY: Readonly<Record<string, string>> = {
  '2_columns.sql': `insert into log values ('columns');
alter table orders add column paid boolean not null default false;
create type kind as enum ('a');
alter type kind add value 'b';
insert into log values (('b'::kind)::text);`,
  '3_indexes.sql': `create index concurrently orders_customer on orders (customer) where customer > 3;
insert into log values ('between');
create unique index concurrently items_code on items (code);`,
  '4_replace.sql': `drop index concurrently orders_note;
create index concurrently orders_note on orders (note, id desc);`,
  '5_partitioned.sql': 'create index concurrently events_at on events (at);',
  '6_fill.sql': `-- migrate: backfill batch 20ms
update amounts set amount = amount + 1;`,
  '7_waits.sql': `insert into log values ('waited');
alter table items add constraint items_code_key unique using index items_code;
alter table amounts alter column amount set not null;
insert into log select 'filled ' || sum(amount) from amounts;`,
  '8_long.sql': `alter table amounts add constraint amounts_there check (amount > 0) not valid;
alter table amounts validate constraint amounts_there;
refresh materialized view totals;
analyze items;`,
  '9_once.sql': `-- migrate: hand-off
insert into log select 'once, ' || count(*) from amounts;`,
};

/** A step, a build and a batch that last long enough to be disturbed halfway. */
const SLOW_DEPLOY: Readonly<Record<string, string>> = {
  '2_step.sql': `insert into log values ('before');
select pg_sleep(0.3);
insert into log values ('after');`,
  '3_slow.sql': 'create index concurrently orders_slow on orders (slowly(customer));',
  '4_fill.sql': `-- migrate: backfill
update items set code = slowly(code) + 1 where id <= 100;`,
  '5_validation.sql': `alter table orders add constraint orders_slow check (slowly(customer) >= 0) not valid;
alter table orders validate constraint orders_slow;`,
  '6_refresh.sql': `create materialized view slow_totals as select sum(slowly(customer)) as total from orders where id <= 100 with no data;
refresh materialized view slow_totals;`,
  '7_upkeep.sql': `create statistics slow_statistics on (slowly(customer)), id from orders;
commit;
analyze orders;`,
  '8_once.sql': `-- migrate: hand-off
insert into log select 'once' from (select sum(slowly(customer)) from orders where id <= 100) as slow where sum >= 0;`,
};

export interface Releases {
  readonly first: CompiledMigrations;
  readonly second: CompiledMigrations;
  readonly slow: CompiledMigrations;
}

export async function compileReleases(): Promise<Releases> {
  return {
    first: await compile(FIRST_DEPLOY),
    second: await compile({ ...FIRST_DEPLOY, ...SECOND_DEPLOY }),
    slow: await compile({ ...FIRST_DEPLOY, ...SLOW_DEPLOY }),
  };
}

async function compile(files: Readonly<Record<string, string>>): Promise<CompiledMigrations> {
  const directory = await mkdtemp(join(tmpdir(), 'faults-'));
  try {
    await mkdir(directory, { recursive: true });
    for (const [file, sql] of Object.entries(files)) await writeFile(join(directory, file), sql);
    return await compileMigrations(directory);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
