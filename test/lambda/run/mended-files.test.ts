import { beforeEach, describe, expect, it } from 'vitest';
import { freshScenario, type Scenario } from './scenario.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

const file = (sql: string) => ({ '1_file.sql': sql });
/** Large, with a value that stands twice. */
const twice =
  'create table t (id int, x int); insert into t select g, greatest(g, 2) from generate_series(1, 300) g;';
const unique = 'create unique index concurrently t_x on t (x);';
const cleanUp = 'delete from t where id = 1;';

interface Fixed {
  readonly it: string;
  /** It fails, or a build of it does. */
  readonly before: string;
  readonly after: string;
  /** Of the database in the end. */
  readonly relations: readonly string[];
  readonly steps: number;
}

/** By the kind of step that failed, and by what came in its place. */
const fixed: readonly Fixed[] = [
  {
    it: 'a transaction step by another',
    before: 'create table a (); commit; select 1 / 0;',
    after: 'create table a (); commit; create table b ();',
    relations: ['a', 'b'],
    steps: 2,
  },
  {
    it: 'a transaction step by more of them',
    before: 'create table a (); commit; select 1 / 0;',
    after: 'create table a (); commit; create table b (); commit; create table c ();',
    relations: ['a', 'b', 'c'],
    steps: 3,
  },
  {
    it: 'a transaction step by none',
    before: 'create table a (); commit; select 1 / 0;',
    after: 'create table a ();',
    relations: ['a'],
    steps: 1,
  },
  {
    it: 'the second of three by fewer',
    before: 'create table a (); commit; select 1 / 0; commit; create table c ();',
    after: 'create table a (); commit; create table c ();',
    relations: ['a', 'c'],
    steps: 2,
  },
  {
    it: 'a transaction step that is one with what was applied',
    before: 'create table a (); commit; select 1 / 0;',
    after: 'create table a (); create table b ();',
    relations: ['a', 'b'],
    steps: 1,
  },
  {
    it: 'what comes before it, under the settings of what was applied',
    before: 'create schema app; set search_path = app; create table a (); commit; select 1 / 0;',
    after:
      'create schema app; set search_path = app; create table a (); create table b (); commit; create table c ();',
    relations: ['app.a', 'app.b', 'app.c'],
    steps: 2,
  },
  {
    it: 'a statement of its own by a transaction step',
    before: 'create table a (); vacuum nothing;',
    after: 'create table a (); create table b ();',
    relations: ['a', 'b'],
    steps: 1,
  },
  {
    it: 'a statement of its own by two others, and more',
    before: 'create table a (); vacuum nothing; create table b ();',
    after: 'create table a (); vacuum a; analyze a; vacuum a; create table b ();',
    relations: ['a', 'b'],
    steps: 5,
  },
  {
    it: 'an index in its plain form by one that can be',
    before:
      'create table a (x int); insert into a values (1), (1); create unique index concurrently a_x on a (x); create table b ();',
    after:
      'create table a (x int); insert into a values (1), (1); create index concurrently a_x on a (x); create table b ();',
    relations: ['a', 'a_x', 'b'],
    steps: 3,
  },
  {
    it: 'an index in its plain form by a clean-up before it',
    before:
      'create table a (x int); insert into a values (1), (1); create unique index concurrently a_x on a (x);',
    after:
      'create table a (x int); insert into a values (1), (1); delete from a where ctid = $$(0,1)$$; create unique index concurrently a_x on a (x);',
    relations: ['a', 'a_x'],
    steps: 2,
  },
];

/** Of builds that failed in the loop; the table is there before, so that it is large and not new. */
const builds: readonly Fixed[] = [
  {
    it: 'its statement',
    before: unique,
    after: 'create index concurrently t_x on t (x);',
    relations: ['t', 't_x'],
    steps: 1,
  },
  {
    it: 'a clean-up before it',
    before: unique,
    after: `${cleanUp} ${unique}`,
    relations: ['t', 't_x'],
    steps: 2,
  },
  {
    it: 'a clean-up that is one with what was applied before it',
    before: `create table a (); ${unique}`,
    after: `create table a (); ${cleanUp} ${unique}`,
    relations: ['a', 't', 't_x'],
    steps: 2,
  },
  {
    it: 'a clean-up before it, where what comes after it is applied',
    before: `${unique} create table b (); vacuum t;`,
    after: `${cleanUp} ${unique} create table b (); vacuum t;`,
    relations: ['b', 't', 't_x'],
    steps: 4,
  },
  {
    it: 'a clean-up of its own kind of step',
    before: `create table a (); ${unique} create table b ();`,
    after: `create table a (); commit; ${cleanUp} commit; vacuum t; ${unique} create table b ();`,
    relations: ['a', 'b', 't', 't_x'],
    steps: 5,
  },
  {
    it: 'a clean-up that changes the table itself',
    before: unique,
    after: `alter table t add column y int; ${cleanUp} ${unique}`,
    relations: ['t', 't_x'],
    steps: 2,
  },
  {
    it: 'a statement of its own in its place',
    before: `${unique} create table b ();`,
    after: 'vacuum t; create table b ();',
    relations: ['b', 't'],
    steps: 2,
  },
  {
    it: 'nothing in its place',
    before: `create table a (); ${unique} create table b ();`,
    after: 'create table a (); commit; create table b ();',
    relations: ['a', 'b', 't'],
    steps: 2,
  },
  {
    it: 'another setting for the same statement',
    before: `create function f(x int) returns int language plpgsql immutable as
  $$ begin if current_setting('app.fails', true) = 'yes' then raise 'no'; end if; return x; end $$;
set app.fails = 'yes'; create index concurrently t_f on t (f(x)); create table b ();`,
    after: `create function f(x int) returns int language plpgsql immutable as
  $$ begin if current_setting('app.fails', true) = 'yes' then raise 'no'; end if; return x; end $$;
set app.fails = 'yes'; set app.fails = 'no'; create index concurrently t_f on t (f(x)); create table b ();`,
    relations: ['b', 't', 't_f'],
    steps: 3,
  },
  {
    it: 'a clean-up before a backfill, of rows that it fills',
    before: `alter table t add y int;
-- migrate: backfill
update t set y = 1 / (id - 1) where y is null;
create table b ();`,
    after: `alter table t add y int; ${cleanUp}
-- migrate: backfill
update t set y = 1 / (id - 1) where y is null;
create table b ();`,
    relations: ['b', 't'],
    steps: 3,
  },
  {
    it: 'two others in the place of two that failed',
    before: `${unique} create unique index concurrently t_x2 on t (x, (id < 3)); create table b ();`,
    after:
      'create index concurrently t_x on t (x); create index concurrently t_id on t (id); create table b ();',
    relations: ['b', 't', 't_id', 't_x'],
    steps: 3,
  },
];

async function relations(): Promise<readonly string[]> {
  const rows = await scenario.query<{ name: string }>(
    `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname in ('public', 'app') and c.relkind in ('r', 'i') order by 1`,
  );
  return rows.map(({ name }) => name);
}

/** What a file is from then on: the one that was applied, whichever way it came to be. */
async function isApplied(sql: string, steps: number): Promise<void> {
  const states = await scenario.query(
    `select distinct state, steps, (select count(*)::int from migrations.step) as rows from migrations.step`,
  );
  expect(states).toEqual([{ state: 'applied', steps, rows: steps }]);
  const { applied } = await scenario.run(file(sql));
  expect(applied).toEqual([]);
  const [planned] = scenario.events.filter(({ kind }) => kind === 'planned').slice(-1);
  expect(planned).toMatchObject({ plan: { pending: [], reformatted: [], amended: [] } });
  expect((await scenario.failure(file(`${sql}\ncommit; create table more ();`))).code).toBe('drift');
}

describe('a file that stopped within is fixed', () => {
  it.each(fixed)('$it', async ({ before, after, relations: expected, steps }) => {
    expect((await scenario.failure(file(before))).code).toBe('statement-failed');
    expect((await scenario.run(file(after))).outcome).toBe('done');
    expect(await relations()).toEqual(expected);
    await isApplied(after, steps);
  });

  it('and fixed again, where the first fixing failed too', async () => {
    await scenario.failure(file('create table a (); commit; select 1 / 0;'));
    await scenario.failure(file('create table a (); commit; create table b (); commit; select 2 / 0;'));
    const last = 'create table a (); commit; create table b (); create table c ();';
    expect((await scenario.run(file(last))).outcome).toBe('done');
    expect(await relations()).toEqual(['a', 'b', 'c']);
    await isApplied(last, 2);
  });

  it.each([
    [
      'by new steps between those that are applied',
      'create table a (); commit; vacuum a; create table b ();',
    ],
    [
      'by other statements in the place of those that are applied',
      'create table z (); commit; create table b ();',
    ],
    ['without those that are applied', 'create table b ();'],
    [
      'with those that are applied divided otherwise',
      'create table a (); commit; create table a2 (); create table b ();',
    ],
  ])('but not %s: that is drift', async (_, after) => {
    await scenario.failure(
      file('create table a (); create table a2 (); commit; create table b (); commit; select 1 / 0;'),
    );
    expect((await scenario.failure(file(after))).code).toBe('drift');
  });
});

describe('a file whose build failed is fixed: it gets', () => {
  beforeEach(async () => {
    await scenario.query(twice);
  });

  it.each(builds)('$it', async ({ before, after, relations: expected, steps }) => {
    expect((await scenario.deploy(file(before))).outcome).toBe('failed');
    expect(await scenario.deploy(file(after))).toEqual({ outcome: 'valid', message: '' });
    expect(await relations()).toEqual(expected);
    expect(await scenario.indexes()).toEqual(expected.filter((name) => /^t_/.test(name)));
    await isApplied(after, steps);
  });

  it('the data fixed instead, and nothing in the file', async () => {
    await scenario.deploy(file(unique));
    await scenario.query(cleanUp);
    expect(await scenario.deploy(file(unique))).toEqual({ outcome: 'valid', message: '' });
    await isApplied(unique, 1);
  });
});

/** Whatever kind of step failed: each fails because of a row that the clean-up removes, or in any case. */
describe('a file is fixed in which there failed', () => {
  const world = `${twice} alter table t add constraint c check (id <> 1) not valid, add y int;
create domain d as int; create table td (v d); insert into td select id from t; alter domain d add constraint dc check (value <> 1) not valid;
create table p (id int, x int) partition by range (id);
create table p1 partition of p for values from (0) to (150); create table p2 partition of p for values from (150) to (1000);
insert into p select id, 1 from t; insert into p values (1, 1);
create materialized view m as select id, 1 / (id - 1) as q from t with no data;
create table pk (id int primary key); insert into pk select id from t;
create function fail_with_one() returns void language plpgsql as $$ begin if exists (select from t where id = 1) then raise 'one'; end if; end $$;`;
  const clean = `${cleanUp} delete from td where v = 1; delete from p where id = 1;`;
  const kinds = [
    { it: 'a transaction', sql: 'select fail_with_one();' },
    { it: 'a transaction of the author’s', sql: 'begin; create table b (); select fail_with_one(); commit;' },
    { it: 'a statement of its own', sql: 'vacuum nothing;', always: true },
    { it: 'a DO block that commits', sql: 'do $$ begin commit; perform fail_with_one(); end $$;' },
    { it: 'a unique index', sql: unique },
    { it: 'a unique index on partitions', sql: 'create unique index concurrently p_x on p (id, x);' },
    { it: 'a validation', sql: 'alter table t validate constraint c;' },
    { it: 'a validation of a domain', sql: 'alter domain d validate constraint dc;' },
    { it: 'a refresh', sql: 'refresh materialized view m;' },
    { it: 'a backfill', sql: '-- migrate: backfill\nupdate t set y = 1 / (id - 1) where y is null;' },
    { it: 'a hand-off', sql: '-- migrate: hand-off\nupdate t set y = 1 / (id - 1);' },
    { it: 'a drop of an index', sql: 'drop index concurrently pk_pkey;', always: true },
  ];
  const whole = (middle: string) => `create table a (); commit;\n${middle}\ncommit; create table z ();`;
  /** `by hand`: nothing in the file removes the row. */
  const fixes: readonly (readonly [it: string, (sql: string) => string, 'by hand' | ''])[] = [
    ['the data', whole, 'by hand'],
    ['a comment', (sql) => whole(`-- a comment\n${sql}`), 'by hand'],
    ['other line endings', (sql) => whole(sql).replaceAll('\n', '\r\n'), 'by hand'],
    ['a clean-up before it', (sql) => whole(`${clean}\n${sql}`), ''],
    ['steps before it', (sql) => whole(`commit; ${clean} commit; vacuum t;\n${sql}`), ''],
    ['another step', () => whole('create table b ();'), ''],
    ['more steps', () => whole('create table b (); commit; create table c (); commit; vacuum t;'), ''],
    ['no step', () => whole('commit;'), ''],
  ];
  beforeEach(async () => {
    await scenario.query(world);
  });

  /** Nothing is left to be done, and the ledger has just the steps that the files have. */
  const isSettled = async (files: Readonly<Record<string, string>>) => {
    expect(await scenario.deploy(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await relations()).toEqual(expect.arrayContaining(['a', 'z']));
    const rows = await scenario.query<{ state: string; steps: number; rows: number }>(
      'select state, steps, count(*) over (partition by version)::int as rows from migrations.step',
    );
    expect(rows.filter((row) => row.state !== 'applied' || row.rows !== row.steps)).toEqual([]);
    expect((await scenario.run(files)).applied).toEqual([]);
    expect(scenario.events.findLast(({ kind }) => kind === 'planned')).toMatchObject({
      plan: { pending: [], reformatted: [], amended: [], unknown: [] },
    });
    expect((await scenario.indexes()).filter((name) => name.includes('INVALID'))).toEqual([]);
  };
  const fails = async (sql: string) => {
    const outcome = await scenario.deploy(file(whole(sql))).then(
      (settled) => settled.outcome,
      () => 'failed',
    );
    expect(outcome).toBe('failed');
  };

  describe.each(kinds)('$it', ({ sql, always }) => {
    const able = fixes.filter(([, fix]) => always !== true || !fix(sql).includes(sql));
    it.each(able)('by %s', async (_, fix, byHand) => {
      await fails(sql);
      if (byHand !== '') await scenario.query(clean);
      await isSettled(file(fix(sql)));
    });

    it.runIf(always !== true)('by a file of its own, after older code was deployed again', async () => {
      await fails(sql);
      expect((await scenario.deploy({})).outcome).toBe('valid');
      await scenario.query(clean);
      const [, isApplied] = await scenario.steps();
      await isSettled(
        isApplied === undefined
          ? { '1_renamed.sql': 'create table a ();', '2_rest.sql': `${sql}\ncommit; create table z ();` }
          : { '1_renamed.sql': whole('commit;'), '2_rest.sql': sql },
      );
    });
  });
});
