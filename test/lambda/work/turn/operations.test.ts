import { beforeEach, describe, expect, it } from 'vitest';
import { serverMajor } from '../../../support/server-major.ts';
import { freshScenario, type Scenario } from '../../run/scenario.ts';
import { turnOf } from './building.ts';
import { base } from './orders.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

const LONG = `${'a_name_of_more_than_sixty_three_bytes_'.repeat(2)}end`;

const definitions = () =>
  scenario
    .query<{ definition: string }>(
      `select pg_get_indexdef(i.indexrelid) || case when indisvalid then '' else ' INVALID' end as definition
       from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
      where n.nspname in ('public', 'Other Schema') order by c.relname collate "C"`,
    )
    .then((rows) => rows.map(({ definition }) => definition.replace(/^CREATE /, '')));

const builds = () =>
  scenario
    .query<{ build: string }>(
      `select concat_ws(' ', operation, table_name, index_name, state, case when adopted then 'adopted' end, attempts) as build
       from migrations.index_build order by id`,
    )
    .then((rows) => rows.map(({ build }) => build));

async function deploy(sql: string) {
  await scenario.run(base);
  return scenario.deploy({ ...base, '2_indexes.sql': sql });
}

const pkey = 'UNIQUE INDEX orders_pkey ON public.orders USING btree (id)';
const valid = { outcome: 'valid', message: '' };

it.each([
  [
    'without a name',
    'create index concurrently on orders (customer)',
    'INDEX orders_customer_idx ON public.orders USING btree (customer)',
  ],
  [
    'if not exists',
    'create index concurrently if not exists o_x on orders (note)',
    'INDEX o_x ON public.orders USING btree (note)',
  ],
  [
    'a name over 63 bytes',
    `create index concurrently ${LONG} on orders (note)`,
    `INDEX ${LONG.slice(0, 63)} ON public.orders USING btree (note)`,
  ],
  [
    'quoted names in another schema',
    'create index concurrently "An ""Index""" on "Other Schema"."Some Table" ("A Column" desc nulls last)',
    'INDEX "An ""Index""" ON "Other Schema"."Some Table" USING btree ("A Column" DESC NULLS LAST)',
  ],
  [
    'an operator class',
    'create index concurrently o_x on orders (note text_pattern_ops, id)',
    'INDEX o_x ON public.orders USING btree (note text_pattern_ops, id)',
  ],
  [
    'a collation',
    'create index concurrently o_x on orders (note collate "C")',
    'INDEX o_x ON public.orders USING btree (note COLLATE "C")',
  ],
  [
    'include',
    'create unique index concurrently o_x on orders (id) include (note)',
    'UNIQUE INDEX o_x ON public.orders USING btree (id) INCLUDE (note)',
  ],
  [
    'nulls not distinct',
    'create unique index concurrently o_x on orders (id, at) nulls not distinct',
    'UNIQUE INDEX o_x ON public.orders USING btree (id, at) NULLS NOT DISTINCT',
  ],
  [
    'with',
    'create index concurrently o_x on orders (note) with (fillfactor = 70)',
    "INDEX o_x ON public.orders USING btree (note) WITH (fillfactor='70')",
  ],
  [
    'tablespace',
    'create index concurrently o_x on orders (note) tablespace pg_default',
    'INDEX o_x ON public.orders USING btree (note)',
  ],
  [
    'an expression',
    "create index concurrently o_x on orders ((lower(note) || 'x'), (id + 1))",
    "INDEX o_x ON public.orders USING btree (((lower(note) || 'x'::text)), ((id + 1)))",
  ],
  [
    'a predicate',
    "create index concurrently o_x on orders (customer) where note <> 'it''s; --' and customer > 3",
    "INDEX o_x ON public.orders USING btree (customer) WHERE ((note <> 'it''s; --'::text) AND (customer > 3))",
  ],
  [
    'another access method',
    'create index concurrently o_x on orders using gin (tags)',
    'INDEX o_x ON public.orders USING gin (tags)',
  ],
  [
    'brin, and a comment',
    'create index concurrently o_x on orders using brin (id) /* here */ with (pages_per_range = 4) -- and there',
    "INDEX o_x ON public.orders USING brin (id) WITH (pages_per_range='4')",
  ],
  [
    'a materialized view',
    'create unique index concurrently o_x on sums (customer, count)',
    'UNIQUE INDEX o_x ON public.sums USING btree (customer, count)',
  ],
  [
    'a search path of its own',
    'set search_path = "Other Schema"; create index concurrently o_x on "Some Table" (id)',
    'INDEX o_x ON "Other Schema"."Some Table" USING btree (id)',
  ],
])('CREATE INDEX CONCURRENTLY: %s', async (_, sql, definition) => {
  if (serverMajor < 15 && sql.includes('nulls not distinct')) {
    const { outcome, message } = await deploy(sql);
    expect(outcome).toBe('failed');
    expect(message).toContain('syntax error at or near "nulls" (SQLSTATE 42601)');
    return;
  }
  expect(await deploy(sql)).toEqual(valid);
  expect((await definitions()).sort()).toEqual([definition, pkey].sort());
  expect(await builds()).toHaveLength(1);
  // The same again finds it done, and adopts it as its own definition.
  await scenario.query(
    "update migrations.index_build set state = 'pending', attempts = 0, attempt_outcome = null; update migrations.step set state = 'pending' where version = '2' and state = 'applied'",
  );
  expect(await scenario.loop({ ...base, '2_indexes.sql': sql })).toEqual(valid);
  expect((await builds())[0]).toContain('done adopted 0');
});

describe('DROP INDEX CONCURRENTLY', () => {
  it('of several names drops each; one that is not there is done at once', async () => {
    await scenario.run({
      '1_tables.sql': `${base['1_tables.sql']} create index a on orders (note); create index b on orders (customer); create index c on "Other Schema"."Some Table" (id);`,
    });
    const files = {
      '1_tables.sql': `${base['1_tables.sql']} create index a on orders (note); create index b on orders (customer); create index c on "Other Schema"."Some Table" (id);`,
      '2_drop.sql':
        'drop index concurrently if exists a, missing; drop index concurrently b; drop index concurrently "Other Schema".c;',
    };
    expect(await scenario.deploy(files)).toEqual(valid);
    expect(await definitions()).toEqual([pkey]);
  });

  it('and CREATE under the same name in one file: in that order', async () => {
    const first = { '1_tables.sql': `${base['1_tables.sql']} create index a on orders (note);` };
    await scenario.run(first);
    const files = {
      ...first,
      '2_again.sql': 'drop index concurrently a; create unique index concurrently a on orders (note, id);',
    };
    expect(await scenario.deploy(files)).toEqual(valid);
    expect(await definitions()).toEqual(['UNIQUE INDEX a ON public.orders USING btree (note, id)', pkey]);
    expect(await builds()).toEqual(['drop orders a done 1', 'create orders a done 1']);
  });

  it('of an index that a constraint needs fails with what Postgres says, and nothing is lost', async () => {
    const { outcome, message } = await deploy('drop index concurrently orders_pkey;');
    expect(outcome).toBe('failed');
    expect(message).toContain(
      'cannot drop index orders_pkey because constraint orders_pkey on table orders requires it (SQLSTATE 2BP01)',
    );
    expect(await definitions()).toEqual([pkey]);
  });
});

describe('REINDEX CONCURRENTLY', () => {
  const oids = async () =>
    new Map(
      (
        await scenario.query<{ name: string; oid: number }>(
          `select c.relname as name, c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.relkind = 'i' and n.nspname in ('public', 'Other Schema')`,
        )
      ).map(({ name, oid }) => [name, oid]),
    );

  it.each([
    ['reindex index concurrently orders_note', ['orders_note']],
    ['reindex table concurrently orders', ['orders_note', 'orders_pkey']],
    ['reindex (verbose) table concurrently orders', ['orders_note', 'orders_pkey']],
    ['reindex schema concurrently public', ['orders_note', 'orders_pkey']],
    ['reindex schema concurrently "Other Schema"', ['some_id']],
  ])('%s', async (sql, replaced) => {
    const first = {
      '1_tables.sql': `${base['1_tables.sql']} create index orders_note on orders (note); create index some_id on "Other Schema"."Some Table" (id);`,
    };
    await scenario.run(first);
    const before = await oids();
    expect(await scenario.deploy({ ...first, '2_reindex.sql': `${sql};` })).toEqual(valid);
    const after = await oids();
    expect([...before.keys()].filter((name) => before.get(name) !== after.get(name)).sort()).toEqual(
      replaced,
    );
    expect(after.size).toBe(before.size);
    expect((await definitions()).filter((line) => line.includes('INVALID'))).toEqual([]);
  });

  it.each([
    [
      'reindex table concurrently events',
      ['events_1_at_idx', 'events_1_pkey', 'events_2_at_idx', 'events_2_pkey'],
    ],
    ['reindex index concurrently events_at', ['events_1_at_idx', 'events_2_at_idx']],
  ])('of what is partitioned, part by part: %s', async (sql, replaced) => {
    const first = {
      '1_tables.sql': `create table events (at int primary key) partition by range (at);
create table events_1 partition of events for values from (0) to (1000);
create table events_2 partition of events for values from (1000) to (2000);
insert into events select i from generate_series(1, 1900) i;
create index events_at on events (at);`,
    };
    await scenario.run(first);
    const before = await oids();
    expect(await scenario.deploy({ ...first, '2_reindex.sql': `${sql};` })).toEqual(valid);
    const after = await oids();
    expect([...before.keys()].filter((name) => before.get(name) !== after.get(name)).sort()).toEqual(
      replaced,
    );
    expect((await builds()).length).toBe(2);
  });

  it('drops the _ccnew that an interrupted one has left, of its own index only', async () => {
    const first = {
      '1_tables.sql': `${base['1_tables.sql']} create index orders_note on orders (note); create index other on orders (customer);`,
    };
    await scenario.run(first);
    for (const name of ['orders_note', 'other']) {
      await scenario.database.adminQuery(`create index ${name}_ccnew on orders (note);
        update pg_index set indisvalid = false where indexrelid = '${name}_ccnew'::regclass`);
    }
    expect(
      await scenario.deploy({ ...first, '2_reindex.sql': 'reindex index concurrently orders_note;' }),
    ).toEqual(valid);
    expect(await scenario.indexes()).toEqual(['orders_note', 'orders_pkey', 'other', 'other_ccnew INVALID']);
  });
});

describe('on a partitioned table', () => {
  const partitioned = {
    '1_tables.sql': `create table events (at int, kind int, what text) partition by range (at);
create table events_1 partition of events for values from (0) to (100);
create table events_2 partition of events for values from (100) to (1000) partition by list (kind);
create table events_2a partition of events_2 for values in (0, 1);
create table "events 2 b" partition of events_2 default;
insert into events select i, i % 3, 'x' from generate_series(1, 900) i;`,
  };

  it('CREATE INDEX CONCURRENTLY builds each partition, nested ones too, and the whole becomes valid', async () => {
    await scenario.run(partitioned);
    expect(
      await scenario.deploy({
        ...partitioned,
        '2_index.sql':
          'create unique index concurrently events_at on events (at, kind); create index concurrently on events (what);',
      }),
    ).toEqual(valid);
    const rows = await scenario.query<{ line: string }>(
      `select c.relname || case when i.indisvalid then '' else ' INVALID' end || ' < ' || p.relname as line
         from pg_inherits h join pg_class c on c.oid = h.inhrelid join pg_class p on p.oid = h.inhparent join pg_index i on i.indexrelid = c.oid order by 1`,
    );
    expect(rows.map(({ line }) => line)).toEqual([
      'events 2 b_events_at < events_2_events_at',
      'events 2 b_events_what_idx < events_2_events_what_idx',
      'events_1_events_at < events_at',
      'events_1_events_what_idx < events_what_idx',
      'events_2_events_at < events_at',
      'events_2_events_what_idx < events_what_idx',
      'events_2a_events_at < events_2_events_at',
      'events_2a_events_what_idx < events_2_events_what_idx',
    ]);
    expect(await scenario.indexes()).toContain('events_at');
    expect((await scenario.indexes()).filter((line) => line.includes('INVALID'))).toEqual([]);
  });

  it('takes in partitions that were created, and does without those that were detached, while it was built', async () => {
    await scenario.run(partitioned);
    const files = { ...partitioned, '2_index.sql': 'create index concurrently events_at on events (at);' };
    await scenario.run(files);
    // The first turn of the loop makes the parents and hands the partitions off.
    await turnOf(scenario.database, { table: 'events' });
    await scenario.query(`create table events_3 partition of events for values from (1000) to (2000);
      create table loose (at int, kind int, what text); insert into loose select i, 0, '' from generate_series(2001, 2500) i;
      alter table events attach partition loose for values from (2000) to (3000);
      alter table events detach partition events_1;`);
    expect(await scenario.loop(files)).toEqual(valid);
    const rows = await scenario.query<{ name: string }>(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'events_at'::regclass order by 1`,
    );
    expect(rows.map(({ name }) => name)).toEqual(['events_2_events_at', 'events_3_at_idx', 'loose_at_idx']);
    expect((await scenario.indexes()).filter((line) => line.includes('INVALID'))).toEqual([]);
  });

  it('a foreign partition makes it impossible, and the error says what to write instead', async () => {
    await scenario.run(partitioned);
    await scenario.database.adminQuery(`create extension file_fdw; create server files foreign data wrapper file_fdw;
      create foreign table far partition of events for values from (5000) to (6000) server files options (filename '/dev/null')`);
    const { outcome, message } = await scenario.deploy({
      ...partitioned,
      '2_index.sql': 'create index concurrently events_at on events (at);',
    });
    expect(outcome).toBe('failed');
    expect(message).toContain('the partition public.far is a foreign table');
    expect((await scenario.indexes()).filter((line) => line.includes('INVALID'))).toEqual([]);
  });

  it('one that is detached after the others have theirs: it fails without an INVALID index, and a retry succeeds', async () => {
    const two = {
      '1_tables.sql': `create table events (at int) partition by range (at);
create table events_1 partition of events for values from (0) to (300);
create table events_2 partition of events for values from (300) to (1000);
insert into events select i from generate_series(1, 900) i;`,
    };
    await scenario.run(two);
    const files = { ...two, '2_index.sql': 'create index concurrently events_at on events (at);' };
    await scenario.run(files);
    await turnOf(scenario.database, { table: 'events' });
    await turnOf(scenario.database, { table: 'events_1' });
    await turnOf(scenario.database, { table: 'events_2' });
    await scenario.query(
      `alter index events_at attach partition events_1_events_at; alter table events detach partition events_2`,
    );
    const { message } = await scenario.loop(files);
    expect(message).toContain('a partition was detached while the index was built');
    expect((await scenario.indexes()).filter((line) => line.includes('INVALID'))).toEqual([]);
    expect(await scenario.deploy(files)).toEqual(valid);
    expect(await scenario.indexes()).toContain('events_at');
  });

  it('one partition that fails fails the whole, which leaves no INVALID index; a retry keeps what was built', async () => {
    const first = {
      '1_tables.sql': `${partitioned['1_tables.sql']} insert into events select 500, 0, 'twice' from generate_series(1, 2);`,
    };
    await scenario.run(first);
    const files = {
      ...first,
      '2_index.sql': 'create unique index concurrently events_at on events (at, kind);',
    };
    const { outcome, message } = await scenario.deploy(files, { dataCheckSeconds: 0 });
    expect(outcome).toBe('failed');
    expect(message).toContain(
      'the build on the partition public.events_2a failed: could not create unique index',
    );
    expect(message).toContain('Key (at, kind)=(500, 0) is duplicated.');
    expect((await scenario.indexes()).filter((line) => line.includes('INVALID'))).toEqual([]);
    await scenario.query(`delete from events where what = 'twice'`);
    expect(await scenario.deploy(files)).toEqual(valid);
    expect(await scenario.indexes()).toContain('events_at');
    expect((await scenario.indexes()).filter((line) => line.includes('INVALID'))).toEqual([]);
  });
});
