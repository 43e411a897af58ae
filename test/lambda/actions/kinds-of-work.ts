import { largeTable } from '../run/scenario.ts';

/** One kind of work, and what a person may do to it. Its table is `t`. */
export interface KindOfWork {
  /** `1_t.sql`. */
  readonly tables: string;
  /** `2_work.sql`, with one statement that is handed off, the last. */
  readonly work: string;
  /** `2_work.down.sql`. */
  readonly undo: string;
  /** By which an action names it. */
  readonly name: string;
  /** As messages name it. */
  readonly described: string;
  /** Holds it where it is under way; ends with the session. */
  readonly held: string;
  /** Whether it is done, in one expression. */
  readonly done: string;
  /** A file that waits for it. */
  readonly needsIt: string;
  /** Before or after it was handed off: makes it fail. `mends` lets it succeed. */
  readonly breaks: { readonly when: 'before' | 'after'; readonly sql: string };
  readonly mends: string;
  readonly fails: string;
}

const LOCKED = 'lock table t in share row exclusive mode';
const needsTable = 'alter table t add column later int;';

const validated = (name: string) =>
  `(select bool_or(convalidated) from pg_constraint where conname = '${name}')`;

const view = (of: string) => `${largeTable('t')}
create materialized view seen as select ${of} from t;`;
const readsView = 'create table later as select count(*) from seen;';

const renamed = {
  breaks: { when: 'after', sql: 'alter table t rename to moved' },
  mends: 'alter table moved rename to t',
} as const;

export const kindsOfWork: Readonly<Record<string, KindOfWork>> = {
  'an index build': {
    tables: largeTable('t'),
    work: 'create unique index concurrently t_x on t (x);',
    undo: 'drop index concurrently if exists t_x;',
    name: 't_x',
    described: 't_x on public.t',
    held: LOCKED,
    done: "coalesce((select indisvalid from pg_index where indexrelid = to_regclass('t_x')), false)",
    needsIt: needsTable,
    breaks: { when: 'before', sql: 'update t set x = 1 where id = 2' },
    mends: 'update t set x = id',
    fails: 'could not create unique index "t_x"',
  },
  'the validation of a CHECK': {
    tables: largeTable('t'),
    work: `-- migrate: allow check-violations tried here
alter table t add constraint positive check (x > 0) not valid;
alter table t validate constraint positive;`,
    undo: 'alter table t drop constraint if exists positive;',
    name: 'positive',
    described: 'positive on public.t',
    held: LOCKED,
    done: validated('positive'),
    needsIt: needsTable,
    breaks: { when: 'before', sql: 'update t set x = -1 where id = 3' },
    mends: 'update t set x = id',
    fails: 'check constraint "positive" of relation "t" is violated by some row',
  },
  'the validation of a FOREIGN KEY': {
    tables: `${largeTable('t')}
${largeTable('other')}`,
    work: `alter table t add constraint refers foreign key (x) references other (id) not valid;
alter table t validate constraint refers;`,
    undo: 'alter table t drop constraint if exists refers;',
    name: 'refers',
    described: 'refers on public.t',
    held: LOCKED,
    done: validated('refers'),
    needsIt: needsTable,
    breaks: { when: 'before', sql: 'delete from other where id = 7' },
    mends: 'insert into other values (7, 7)',
    fails: 'insert or update on table "t" violates foreign key constraint "refers"',
  },
  'the validation of a domain': {
    tables: `create domain number as int;
create table t (id int primary key, x number);
insert into t select g, g from generate_series(1, 500) g;`,
    work: `alter domain number add constraint positive check (value > 0) not valid;
alter domain number validate constraint positive;`,
    undo: 'alter domain number drop constraint if exists positive;',
    name: 'positive',
    described: 'positive on public.number',
    held: LOCKED,
    done: validated('positive'),
    needsIt: 'alter domain number set default 1;',
    breaks: { when: 'before', sql: 'update t set x = -1 where id = 3' },
    mends: 'update t set x = id',
    fails: 'column "x" of table "t" contains values that violate the new constraint',
  },
  'a refresh': {
    tables: view('id, 100 / x as y'),
    work: 'refresh materialized view seen;',
    undo: 'refresh materialized view seen with no data;',
    name: 'seen',
    described: 'REFRESH of public.seen',
    held: 'analyze seen',
    done: "(select state = 'done' from migrations.work)",
    needsIt: readsView,
    breaks: { when: 'before', sql: 'update t set x = 0 where id = 3' },
    mends: 'update t set x = id',
    fails: 'division by zero',
  },
  'a refresh CONCURRENTLY': {
    tables: `${view('x')}
create unique index seen_x on seen (x);`,
    work: 'refresh materialized view concurrently seen;',
    undo: 'refresh materialized view seen;',
    name: 'seen',
    described: 'REFRESH CONCURRENTLY of public.seen',
    held: 'analyze seen',
    done: "(select state = 'done' from migrations.work)",
    needsIt: readsView,
    breaks: { when: 'before', sql: 'update t set x = 1 where id = 3' },
    mends: 'update t set x = id',
    fails: 'new data for materialized view "seen" contains duplicate rows',
  },
  VACUUM: {
    tables: largeTable('t'),
    work: 'vacuum t;',
    undo: 'select 1;',
    name: 't',
    described: 'VACUUM of public.t',
    held: LOCKED,
    done: "(select state = 'done' from migrations.work)",
    needsIt: needsTable,
    ...renamed,
    fails: 'relation "t" does not exist',
  },
  CLUSTER: {
    tables: largeTable('t'),
    work: '-- migrate: allow cluster tried here\ncluster t using t_pkey;',
    undo: 'alter table t set without cluster;',
    name: 't',
    described: 'CLUSTER of public.t',
    held: LOCKED,
    done: "(select indisclustered from pg_index where indexrelid = 't_pkey'::regclass)",
    needsIt: needsTable,
    breaks: { when: 'after', sql: 'alter index t_pkey rename to moved' },
    mends: 'alter index moved rename to t_pkey',
    fails: 'index "t_pkey" for table "t" does not exist',
  },
  'DETACH PARTITION CONCURRENTLY': {
    tables: `create table t (id int, x int) partition by range (id);
create table part partition of t for values from (0) to (1000);
insert into t select g, g from generate_series(1, 500) g;`,
    work: 'alter table t detach partition part concurrently;',
    undo: `do $$ begin
  if not (select relispartition from pg_class where relname = 'part') then
    alter table t attach partition part for values from (0) to (1000);
  end if;
end $$;`,
    name: 'part',
    described: 'part on public.t',
    held: LOCKED,
    done: "not coalesce((select relispartition from pg_class where relname = 'part'), false)",
    needsIt: needsTable,
    breaks: { when: 'after', sql: 'alter table part rename to moved' },
    mends: 'alter table moved rename to part',
    fails: 'relation "part" does not exist',
  },
  'a statement under hand-off': {
    tables: `${largeTable('t')}
alter table t add column y int;`,
    work: `-- migrate: allow unbounded-write tried here
-- migrate: hand-off
update t set y = 100 / x + coalesce(y, 0);`,
    undo: '-- migrate: allow unbounded-write tried here\nupdate t set y = null;',
    name: '2_work.sql:3',
    described: '2_work.sql:3 on public.t',
    held: LOCKED,
    done: '(select bool_and(y = 100 / x) from t)',
    needsIt: 'create table later (id int);',
    breaks: { when: 'before', sql: 'update t set x = 0 where id = 3' },
    mends: 'update t set x = id',
    fails: 'division by zero',
  },
  'a backfill': {
    tables: `${largeTable('t')}
alter table t add column y int;`,
    work: `-- migrate: backfill batch 5ms
update t set y = 100 / x + coalesce(y, 0);`,
    undo: '-- migrate: allow unbounded-write tried here\nupdate t set y = null;',
    name: 'y',
    described: 'y on public.t',
    held: LOCKED,
    done: '(select bool_and(y = 100 / x) from t)',
    needsIt: needsTable,
    breaks: { when: 'before', sql: 'update t set x = 0 where id = 3' },
    mends: 'update t set x = id where x = 0',
    fails: 'division by zero',
  },
};
