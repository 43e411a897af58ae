import { beforeEach, describe, expect, it } from 'vitest';
import { freshScenario, type Scenario } from '../../run/scenario.ts';
import { base } from './orders.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

const builds = () =>
  scenario
    .query<{ build: string }>(
      `select concat_ws(' ', operation, table_name, index_name, state, case when adopted then 'adopted' end, attempts) as build
       from migrations.index_build order by id`,
    )
    .then((rows) => rows.map(({ build }) => build));

const valid = { outcome: 'valid', message: '' };

describe('partitions that have the index already', () => {
  const tree = `create table ev (id int, note text, day int) partition by range (id);
create table ev1 partition of ev for values from (0) to (200);
create table ev2 partition of ev for values from (200) to (400);
create table ev3 partition of ev for values from (400) to (600) partition by list (day);
create table ev3a (note text, day int, id int); alter table ev3 attach partition ev3a for values in (1);
create table ev3b partition of ev3 default;
insert into ev select g, 'n' || g, g % 2 from generate_series(1, 599) g;`;
  const onEach = async () => {
    const rows = await scenario.query<{ line: string }>(
      `select t.relname || ': ' || string_agg(x.relname || case when h.inhrelid is null and t.relname <> 'ev' then ' alone' else '' end
                                              || case when i.indisvalid then '' else ' INVALID' end, ', ' order by x.relname) as line
         from pg_index i join pg_class t on t.oid = i.indrelid join pg_class x on x.oid = i.indexrelid
         left join pg_inherits h on h.inhrelid = i.indexrelid
        where t.relname like 'ev%' group by t.relname order by t.relname`,
    );
    return rows.map(({ line }) => line);
  };

  it.each<readonly [what: string, byHand: string, inFile: string, indexes: readonly string[]]>([
    [
      'some of them',
      'create index h1 on ev1 (note); create index h3 on ev3a (note)',
      'create index concurrently ev_note on ev (note);',
      ['ev: ev_note', 'ev1: h1', 'ev2: ev2_ev_note', 'ev3: ev3_ev_note', 'ev3a: h3', 'ev3b: ev3b_ev_note'],
    ],
    [
      'one that is divided itself, with all below it',
      'create index h3 on ev3 (note)',
      'create index concurrently ev_note on ev (note);',
      [
        'ev: ev_note',
        'ev1: ev1_ev_note',
        'ev2: ev2_ev_note',
        'ev3: h3',
        'ev3a: ev3a_note_idx',
        'ev3b: ev3b_note_idx',
      ],
    ],
    [
      'in another order, which Postgres lets pass as well',
      'create index h1 on ev1 (note desc)',
      'create index concurrently ev_note on ev (note);',
      [
        'ev: ev_note',
        'ev1: h1',
        'ev2: ev2_ev_note',
        'ev3: ev3_ev_note',
        'ev3a: ev3a_ev_note',
        'ev3b: ev3b_ev_note',
      ],
    ],
    [
      'an expression over qualified columns, of a part',
      "create index h2 on ev2 (lower(note)) where note <> ''",
      "create index concurrently ev_note on ev (lower(ev.note)) where ev.note <> '';",
      [
        'ev: ev_note',
        'ev1: ev1_ev_note',
        'ev2: h2',
        'ev3: ev3_ev_note',
        'ev3a: ev3a_ev_note',
        'ev3b: ev3b_ev_note',
      ],
    ],
  ])('keep it: %s', async (_, byHand, inFile, indexes) => {
    await scenario.query(tree);
    await scenario.query(byHand);
    expect(await scenario.deploy({ '1_i.sql': inFile })).toEqual(valid);
    expect(await onEach()).toEqual(indexes);
  });

  it.each([
    ['another column', 'create index h1 on ev1 (day)'],
    ['another collation', 'create index h1 on ev1 (note collate "C")'],
    ['another operator class', 'create index h1 on ev1 (note text_pattern_ops)'],
    ['a part of the rows', 'create index h1 on ev1 (note) where id > 5'],
    ['a unique key', 'create unique index h1 on ev1 (note)'],
    ['more columns', 'create index h1 on ev1 (note) include (day)'],
    ['another method', 'create index h1 on ev1 using hash (note)'],
  ])('get another where theirs is one of %s', async (_, byHand) => {
    await scenario.query(tree);
    await scenario.query(byHand);
    expect(await scenario.deploy({ '1_i.sql': 'create index concurrently ev_note on ev (note);' })).toEqual(
      valid,
    );
    expect((await onEach())[1]).toBe('ev1: ev1_ev_note, h1 alone');
  });

  it('never lose it: where another partition fails, and where a retry succeeds', async () => {
    await scenario.query(`create table ev (id int, x int) partition by range (id);
create table ev1 partition of ev for values from (0) to (200);
create table ev2 partition of ev for values from (200) to (400);
insert into ev select g, 1000 - greatest(g, 2) from generate_series(1, 399) g; create index h2 on ev2 (x, id)`);
    await scenario.query('create unique index h2u on ev2 (id, x)');
    const files = { '1_i.sql': 'create unique index concurrently ev_x on ev (id, x);' };
    await scenario.query('insert into ev1 values (5, 995)');
    expect((await scenario.deploy(files)).outcome).toBe('failed');
    expect(await onEach()).toEqual(['ev2: h2 alone, h2u alone']);
    await scenario.query('delete from ev1 where id = 5');
    expect(await scenario.deploy(files)).toEqual(valid);
    expect(await onEach()).toEqual(['ev: ev_x', 'ev1: ev1_ev_x', 'ev2: h2 alone, h2u']);
  });
});

describe('an index that is there already', () => {
  it.each(['', 'if not exists '])(
    'of the same definition, written otherwise, is adopted (%s)',
    async (exists) => {
      await scenario.run(base);
      await scenario.query(
        `create index by_hand on orders using btree (customer asc nulls last, lower(note)) where ((customer) >= (4))`,
      );
      expect(
        await scenario.deploy({
          ...base,
          '2_i.sql': `create index concurrently ${exists}by_hand on public.orders (customer, lower(note)) where customer >= 4;`,
        }),
      ).toEqual(valid);
      expect(await builds()).toEqual(['create orders by_hand done adopted 0']);
    },
  );

  /** By hand on the left, in a file on the right: Postgres writes both down alike. */
  const alike: readonly (readonly [what: string, byHand: string, inFile: string])[] = [
    [
      'columns with their table',
      '(lower(note)) where customer > 3',
      '(lower(orders.note)) where orders.customer > 3',
    ],
    [
      'columns with their schema',
      '(lower(note)) where customer > 3',
      '(lower(public.orders.note)) where public.orders.customer > 3',
    ],
    ['names in quotes', '(lower(note))', '(LOWER("orders"."note"))'],
    [
      'a type and a collation that look like a column',
      '((note::text) collate "C")',
      '((orders.note::text) collate "C")',
    ],
    ['how a function is called', '(btrim(note))', '((trim(both from note)))'],
    ['how a time zone is taken', "(timezone('UTC', at))", "((orders.at at time zone 'UTC'))"],
    ['how a type is cast', '((id::bigint))', '(int8(id))'],
    ['what is the default', '(customer)', 'using btree (customer asc nulls last)'],
    ['an operator class', '(note text_pattern_ops)', '(note text_pattern_ops)'],
    ['the whole row', '((orders is null))', '((orders.* is null))'],
    ['a function of the whole row', '(customer_of(orders))', '(customer_of(orders))'],
    [
      'a function of the whole row with its schema',
      '(customer_of(orders), id)',
      '(customer_of(public.orders.*),  id)',
    ],
    [
      'columns beside the key, and a fill factor',
      '(customer) include (note) with (fillfactor = 70)',
      '(customer) INCLUDE (note) WITH (fillfactor=70)',
    ],
  ];

  it.each(alike)('that differs from the file’s in %s alone is adopted', async (_, byHand, inFile) => {
    await scenario.run(base);
    await scenario.query(`create index by_hand on orders ${byHand}`);
    const file = `create index concurrently by_hand on orders ${inFile};`;
    expect(await scenario.deploy({ ...base, '2_i.sql': file })).toEqual(valid);
    expect(await builds()).toEqual(['create orders by_hand done adopted 0']);
  });

  it.each(alike)('and so it is without the right to temporary tables: %s', async (_, byHand, inFile) => {
    await scenario.run(base);
    await scenario.query(`create index by_hand on orders ${byHand}`);
    const { name, owner } = scenario.database;
    await scenario.database.adminQuery(
      `alter database ${name} owner to postgres; revoke all on database ${name} from public; grant connect on database ${name} to ${owner}`,
    );
    const file = `create index concurrently by_hand on orders ${inFile};`;
    expect(await scenario.deploy({ ...base, '2_i.sql': file })).toEqual(valid);
    expect(await builds()).toEqual(['create orders by_hand done adopted 0']);
  });

  it.each(['', 'if not exists '])(
    'of another definition is a conflict that shows both, and stays (%s)',
    async (exists) => {
      await scenario.run(base);
      await scenario.query('create index by_hand on orders (customer desc)');
      const { outcome, message } = await scenario.deploy({
        ...base,
        '2_i.sql': `create unique index concurrently ${exists}by_hand on orders (customer, id);`,
      });
      expect(outcome).toBe('failed');
      expect(message).toContain(
        'Wanted: CREATE UNIQUE INDEX by_hand ON public.orders USING btree (customer, id)\nFound:  CREATE INDEX by_hand ON public.orders USING btree (customer DESC)',
      );
      expect(await scenario.indexes()).toEqual(['by_hand', 'orders_pkey']);
    },
  );

  it('by that name on another table, or as a table, is a conflict', async () => {
    await scenario.run(base);
    await scenario.query('create index taken on sums (customer); create table also_taken ()');
    const { message } = await scenario.deploy({
      ...base,
      '2_i.sql': 'create index concurrently taken on orders (customer);',
      '3_i.sql': 'create index concurrently also_taken on orders (customer);',
    });
    expect(message).toContain('Found:  CREATE INDEX taken ON public.sums USING btree (customer)');
    expect(message).toContain('a relation named also_taken that is no index');
  });

  it('and INVALID is never hidden by IF NOT EXISTS: it is dropped and built', async () => {
    await scenario.run(base);
    await scenario.database.adminQuery(`create index broken on orders (customer);
      update pg_index set indisvalid = false where indexrelid = 'broken'::regclass`);
    expect(
      await scenario.deploy({
        ...base,
        '2_i.sql': 'create index concurrently if not exists broken on orders (customer);',
      }),
    ).toEqual(valid);
    expect(await scenario.indexes()).toEqual(['broken', 'orders_pkey']);
    expect(await builds()).toEqual(['create orders broken done 1']);
  });
});
