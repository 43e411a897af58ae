import pg from 'pg';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { takeTurn } from '../../../../lambda/work/turn/turn.ts';
import { exhaustive, firstOf } from '../../../support/exhaustive.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { serverMajor } from '../../../support/server-major.ts';
import { operatorOf } from '../../actions/operator.ts';
import { type Files, freshScenario, largeTable, type Scenario } from '../../run/scenario.ts';
import { askedOf, deployLongOne } from './short-lives.ts';

let scenario: Scenario;
beforeEach(async () => {
  scenario = await freshScenario({ dblink: true });
});

const messages = { '1_messages.sql': largeTable('messages') };

/** What was handed off: operation, table, what of it, and state, in order. */
async function work(): Promise<string[]> {
  const rows = await scenario.query<{ line: string }>(
    `select format('%s %s %s %s', operation, table_name, index_name, state) as line from migrations.work order by id`,
  );
  return rows.map(({ line }) => line);
}

const isValidated = async (name: string): Promise<boolean> => {
  const [row] = await scenario.query<{ convalidated: boolean }>(
    'select convalidated from pg_constraint where conname = $1',
    [name],
  );
  return row?.convalidated ?? false;
};

describe('VALIDATE CONSTRAINT', () => {
  const check = {
    ...messages,
    '2_positive.sql': `alter table messages add constraint positive check (x > 0) not valid;
alter table messages validate constraint positive;
create table after_it (id int);`,
  };

  it('of a large table is handed off, in a step of its own, and holds up nobody who does not need it', async () => {
    await scenario.deploy(messages);
    await scenario.run(check);
    expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied', '2.1 pending', '2.2 applied']);
    expect(await work()).toEqual(['validate messages positive pending']);
    expect(await scenario.loop(check)).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied', '2.1 applied', '2.2 applied']);
    expect(await isValidated('positive')).toBe(true);
  });

  exhaustive.it('of a new or a small table, or within BEGIN and COMMIT, runs in its place', async () => {
    await scenario.run(check);
    expect(await work()).toEqual([]);
    await scenario.run({
      ...check,
      '3_small.sql':
        'create table small (x int); alter table small add constraint c check (x > 0) not valid;',
    });
    await scenario.run({
      ...check,
      '3_small.sql':
        'create table small (x int); alter table small add constraint c check (x > 0) not valid;',
      '4_small.sql': 'alter table small validate constraint c;',
      '5_own.sql': `begin; alter table messages add constraint own check (x > 0) not valid;
alter table messages validate constraint own; commit;`,
    });
    expect(await work()).toEqual([]);
    expect([await isValidated('c'), await isValidated('own')]).toEqual([true, true]);
  });

  exhaustive.it('that somebody has done meanwhile is found done', async () => {
    await scenario.deploy(messages);
    await scenario.run(check);
    await scenario.query('alter table messages validate constraint positive');
    await scenario.loop(check);
    const { builds } = await scenario.status(check);
    expect(builds).toMatchObject([{ operation: 'validate', state: 'done', adopted: true, attempts: 0 }]);
  });

  exhaustive.it('waits for what changes the table to come after it: SET NOT NULL', async () => {
    await scenario.deploy(messages);
    const files = {
      ...messages,
      '2_x.sql': `alter table messages add constraint x_there check (x is not null) not valid;
alter table messages validate constraint x_there;
alter table messages alter column x set not null;
alter table messages drop constraint x_there;`,
    };
    const { outcome, waiting } = await scenario.run(files);
    expect(outcome).toBe('waiting');
    expect(waiting?.because).toContain('it changes the table messages');
    await scenario.loop(files);
    expect((await scenario.steps()).every((line) => line.endsWith('applied'))).toBe(true);
  });

  it('that meets rows which violate the constraint fails at once, counts and names them, and leaves it NOT VALID', async () => {
    await scenario.deploy(messages);
    const files = {
      ...messages,
      '2_small.sql': `-- migrate: allow check-violations tried here
alter table messages add constraint small check (x <= 497) not valid;
alter table messages validate constraint small;`,
    };
    await scenario.run(files, { dataCheckSeconds: 0 });
    const settled = await scenario.loop(files);
    expect(settled.outcome).toBe('failed');
    expect(settled.message).toContain(
      'small on public.messages (2_small.sql:3) failed after 1 attempt: check constraint "small" of relation "messages" is violated by some row (SQLSTATE 23514); 3 rows of public.messages violate it, such as (id) = (498), (499), (500). The constraint stays NOT VALID',
    );
    expect(await isValidated('small')).toBe(false);
    await expect(scenario.query('insert into messages values (900, 900)')).rejects.toThrow('violates check');
  });

  exhaustive.it('of a foreign key names the rows without their other', async () => {
    const tables = { ...messages, '2_authors.sql': largeTable('authors') };
    await scenario.deploy(tables);
    await scenario.query('delete from authors where id in (7, 9)');
    const files = {
      ...tables,
      '3_key.sql': `alter table messages add constraint by_author foreign key (x) references authors (id) not valid;
alter table messages validate constraint by_author;`,
    };
    await scenario.run(files, { dataCheckSeconds: 0 });
    expect((await scenario.loop(files)).message).toContain(
      '2 rows of public.messages violate it, such as (id) = (7), (9).',
    );
    await scenario.query('insert into authors values (7, 7), (9, 9)');
    await scenario.deploy(files);
    expect(await isValidated('by_author')).toBe(true);
  });

  it.runIf(serverMajor >= 18)(
    'of a NOT NULL constraint is handed off, and names the rows that are null',
    async () => {
      await scenario.deploy(messages);
      await scenario.query('update messages set x = null where id in (3, 4)');
      const files = {
        ...messages,
        '2_x.sql': `-- migrate: allow not-null-violations tried here
alter table messages add constraint x_there not null x not valid;
alter table messages validate constraint x_there;
create table after_it (id int);`,
      };
      await scenario.run(files, { dataCheckSeconds: 0 });
      expect(await work()).toEqual(['validate messages x_there pending']);
      expect((await scenario.loop(files)).message).toContain(
        'column "x" of relation "messages" contains null values (SQLSTATE 23502); 2 rows of public.messages violate it, such as (id) = (3), (4). The constraint stays NOT VALID',
      );
      expect(await isValidated('x_there')).toBe(false);
      await expect(scenario.query('insert into messages (id) values (900)')).rejects.toThrow(
        'null value in column "x"',
      );
      await scenario.query('update messages set x = 0 where x is null');
      await scenario.deploy(files);
      expect(await isValidated('x_there')).toBe(true);
    },
  );

  exhaustive.it(
    'of a domain is done by the tables that have a column of it, and counts and names the values against it',
    async () => {
      const files = {
        ...messages,
        '2_domain.sql': `create domain positive as int; create domain "Very" as positive;
alter table messages add y positive default 1; create table few (z "Very");`,
      };
      await scenario.deploy(files);
      await scenario.query(
        'update messages set y = -1 where id in (3, 4); insert into few values (0), (null)',
      );
      const all = {
        ...files,
        '3_check.sql': `alter domain positive add constraint above_zero check (value > 0) not valid;
alter domain positive validate constraint above_zero;`,
      };
      await scenario.run(all);
      expect(await work()).toEqual(['validate-domain positive above_zero pending']);
      expect((await scenario.loop(all)).message).toContain(
        '(SQLSTATE 23514); 3 values of public.positive violate it, such as public.few (ctid) = ((0,1)); public.messages (id) = (3), (4). The constraint stays NOT VALID',
      );
      expect(await isValidated('above_zero')).toBe(false);
      await scenario.query('update messages set y = 1; truncate few');
      await scenario.deploy(all);
      expect(await isValidated('above_zero')).toBe(true);
    },
  );
});

describe('REFRESH MATERIALIZED VIEW', () => {
  const views = {
    ...messages,
    '2_views.sql': `create materialized view totals as select sum(x) as total, 1 as one from messages with no data;
create unique index on totals (one);`,
  };

  it('is handed off by the tables under the view, however small the view itself', async () => {
    await scenario.deploy(messages);
    const files = { ...views, '3_fill.sql': 'refresh materialized view totals;' };
    await scenario.run(files);
    expect(await work()).toEqual(['refresh totals  pending']);
    await scenario.loop(files);
    expect(await scenario.query('select total::int from totals')).toEqual([{ total: 125_250 }]);
    const again = { ...files, '4_again.sql': 'refresh materialized view concurrently totals;' };
    await scenario.query('update messages set x = 0');
    await scenario.deploy(again);
    expect(await work()).toEqual(['refresh totals  done', 'refresh-concurrently totals  done']);
    expect(await scenario.query('select total::int from totals')).toEqual([{ total: 0 }]);
  });

  exhaustive.it('of a new view is done before an index that its file builds on it', async () => {
    await scenario.deploy(messages);
    const files = {
      ...messages,
      '2_views.sql': `create materialized view seen as select x from messages with no data;
refresh materialized view seen;
create unique index concurrently seen_x on seen (x);
create table counted as select count(*)::int as rows from seen;`,
    };
    expect((await scenario.run(files)).waiting?.because).toContain('it reads seen');
    expect(await work()).toEqual(['refresh seen  pending', 'create seen seen_x pending']);
    await scenario.loop(files);
    expect((await scenario.steps()).every((line) => line.endsWith('applied'))).toBe(true);
    expect(await scenario.indexes()).toContain('seen_x');
    expect(await scenario.query('select * from counted')).toEqual([{ rows: 500 }]);
  });

  exhaustive.it('of a view over small tables runs in its place', async () => {
    const files = {
      '1_few.sql': `create table few (x int); insert into few values (1);
create materialized view seen as select x from few with no data;`,
    };
    await scenario.deploy(files);
    await scenario.run({ ...files, '2_fill.sql': 'refresh materialized view seen;' });
    expect(await work()).toEqual([]);
    expect(await scenario.query('select x from seen')).toEqual([{ x: 1 }]);
  });
});

describe('a plan says of a refresh what the run does', () => {
  const how = async (files: Files): Promise<string[]> =>
    (await scenario.plan(files)).files.flatMap(({ steps }) =>
      steps.filter(({ statements }) => statements[0] === 'RefreshMatViewStmt').map((step) => step.how),
    );
  const over = (table: string): Files => ({
    '2_view.sql': `create materialized view seen as with all_of_it as (select x from ${table}) select * from all_of_it with no data;
refresh materialized view seen;`,
  });
  const small = { '1_small.sql': 'create table small (x int); insert into small values (1);' };

  it.each(
    firstOf(1, [
      ['a large table', messages, over('messages'), 'hand-off', 'refresh seen  pending'],
      ['a small one', small, over('small'), 'transaction', undefined],
    ]),
  )('over %s: of a new view, and of one that is there', async (_, table, view, expected, handedOff) => {
    await scenario.deploy(table);
    expect(await how({ ...table, ...view })).toEqual([expected]);
    await scenario.run({ ...table, ...view });
    expect(await work()).toEqual(handedOff === undefined ? [] : [handedOff]);
    await scenario.loop({ ...table, ...view });
    const again = { ...table, ...view, '3_again.sql': 'refresh materialized view seen;' };
    expect(await how(again)).toEqual([expected]);
  });

  exhaustive.it('and, where CREATE runs the query, how it would not hold up the deploy', async () => {
    await scenario.deploy(messages);
    const { findings } = await scenario.plan(
      {
        ...messages,
        '2_view.sql':
          'create materialized view seen as select m.x from messages m join messages n using (id);',
      },
      { longestBlockSeconds: 0 },
    );
    expect(findings).toEqual([
      {
        rule: 'view-filled-at-once',
        verdict: 'show',
        file: '2_view.sql',
        line: 1,
        column: 1,
        what: expect.stringMatching(
          /^The query of seen runs within the deploy, which waits for it\. public\.messages holds more than 100 rows \(\d+ kB\): that would take about 0\.0 s\.$/,
        ),
        next: `write instead:
    create materialized view seen as select m.x from messages m join messages n using (id)
    with no data;
    refresh materialized view seen;
or, if the deploy may wait, put "-- migrate: allow view-filled-at-once <reason>" into the file.`,
      },
    ]);
  });
});

describe('progress that Postgres does not tell', () => {
  exhaustive.it('is the time so far, and the size of what is gone through', async () => {
    const slow = {
      ...messages,
      '2_slow.sql': `create function slow(x int) returns int language plpgsql immutable as
  $$ begin perform pg_sleep(0.02); return x; end $$;
alter table messages add constraint slow check (slow(x) > 0) not valid;`,
    };
    await scenario.deploy(slow);
    const files = { ...slow, '3_validate.sql': 'alter table messages validate constraint slow;' };
    await scenario.run(files);
    const asked = await askedOf(scenario, files);
    const table = { schema: 'public', table: 'messages' };
    await takeTurn({ ...asked, table, turn: 1, deadline: undefined });
    const { builds } = await scenario.status(files);
    expect(builds[0]?.progress).toMatchObject({
      phase: expect.stringMatching(/^validate of \d+ kB is under way$/),
      fraction: undefined,
    });
    expect(builds[0]?.progress?.secondsElapsed).toBeGreaterThan(0);
    await scenario.loop(files);
    expect(await isValidated('slow')).toBe(true);
  });
});

describe('upkeep', () => {
  it.each(
    firstOf(1, [
      ['vacuum', 'vacuum messages;', 'vacuum messages  done'],
      ['VACUUM FULL', 'vacuum full messages;', 'vacuum-full messages  done'],
      ['ANALYZE', 'analyze messages;', 'analyze messages  done'],
      ['CLUSTER', 'cluster messages using messages_pkey;', 'cluster messages  done'],
    ]),
  )('%s of a large table is handed off', async (_, sql, expected) => {
    await scenario.deploy(messages);
    const files = {
      ...messages,
      '2_upkeep.sql': `-- migrate: allow vacuum-full tried here\n-- migrate: allow cluster tried here\n${sql}`,
    };
    const { builds } = await scenario.run(files);
    expect(builds).toHaveLength(1);
    expect(await scenario.loop(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await work()).toEqual([expected]);
  });

  const parted = {
    '1_parted.sql': `create table parted (id int) partition by range (id);
create table low partition of parted for values from (0) to (1000);
insert into parted select i from generate_series(1, 500) i;`,
  };
  const detached = { ...parted, '2_detach.sql': 'alter table parted detach partition low concurrently;' };

  exhaustive.it('DETACH PARTITION CONCURRENTLY is handed off', async () => {
    await scenario.deploy(parted);
    await scenario.deploy(detached);
    expect(await work()).toEqual(['detach parted low done']);
    expect(await scenario.query('select count(*)::int from parted')).toEqual([{ count: 0 }]);
  });
});

describe('DETACH PARTITION CONCURRENTLY that was cut off after its first half', () => {
  const parted = {
    '1_parted.sql': `create table parted (id int) partition by range (id);
create table low partition of parted for values from (0) to (1000);
insert into parted select i from generate_series(1, 500) i;`,
  };
  const files = { ...parted, '2_detach.sql': 'alter table parted detach partition low concurrently;' };

  const pending = async (): Promise<boolean | undefined> => {
    const [row] = await scenario.query<{ pending: boolean }>(
      "select inhdetachpending as pending from pg_inherits where inhrelid = 'low'::regclass",
    );
    return row?.pending;
  };

  exhaustive.it('is ended by FINALIZE', async () => {
    await scenario.deploy(parted);
    const reader = new pg.Client({ connectionString: scenario.database.url });
    await reader.connect();
    onTestFinished(() => reader.end());
    // The second half waits for whoever has seen the partition.
    await reader.query('begin; select count(*) from parted');
    await scenario.run(files);
    const asked = await askedOf(scenario, files);
    expect(
      await takeTurn({
        ...asked,
        table: { schema: 'public', table: 'parted' },
        turn: 1,
        deadline: undefined,
      }),
    ).toMatchObject({
      outcome: 'wait',
    });
    await expectEventually(pending, { what: 'the first half to be done' });
    await scenario.database.adminQuery(
      `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like 'migrations build %'`,
    );
    await expectEventually(
      async () =>
        (
          await scenario.query(
            "select from migrations.work where attempt_outcome #>> '{fault,sqlstate}' is not null",
          )
        ).length === 1,
      { what: 'the cut to be recorded' },
    );
    await reader.query('commit');
    expect(await pending()).toBe(true);

    expect(await scenario.loop(files)).toEqual({ outcome: 'valid', message: '' });
    expect(await work()).toEqual(['detach parted low done']);
    expect(await scenario.query('select attempts from migrations.work')).toEqual([{ attempts: 2 }]);
    expect(await pending()).toBeUndefined();
    expect(await scenario.query('select count(*)::int from low')).toEqual([{ count: 500 }]);
  });
});

describe('a statement under hand-off', () => {
  const files = {
    ...messages,
    '2_fill.sql': `-- migrate: allow unbounded-write tried here
-- migrate: hand-off
update messages set x = x + 1;`,
    '3_after.sql': 'create table after_it (id int);',
  };

  it('runs once in the loop, and what comes after it waits', async () => {
    await scenario.deploy(messages);
    const { waiting } = await scenario.run(files);
    expect(waiting).toMatchObject({ file: '3_after.sql' });
    await scenario.loop(files);
    expect(await work()).toEqual(['statement messages 2_fill.sql:3 done']);
    expect(await scenario.query('select sum(x)::int from messages')).toEqual([{ sum: 125_750 }]);
    expect((await scenario.steps()).every((line) => line.endsWith('applied'))).toBe(true);
  });

  exhaustive.it(
    'in a session of ours, without dblink, means the tables of its author’s search path',
    async () => {
      scenario = await freshScenario();
      await scenario.deploy(messages);
      expect(await scenario.deploy(files)).toEqual({ outcome: 'valid', message: '' });
      expect(await scenario.query('select sum(x)::int from messages')).toEqual([{ sum: 125_750 }]);
      expect(await scenario.query('select distinct session from migrations.work')).toEqual([
        { session: 'attached' },
      ]);
    },
  );

  exhaustive.it('that fails says so in Postgres’s words, and has changed nothing', async () => {
    await scenario.deploy(messages);
    const bad = {
      ...messages,
      '2_bad.sql': "-- migrate: hand-off\ndo $$ begin update messages set x = 0; raise 'not today'; end $$;",
    };
    await scenario.run(bad);
    expect((await scenario.loop(bad)).message).toContain('not today (SQLSTATE P0001)');
    expect(await scenario.query('select sum(x)::int from messages')).toEqual([{ sum: 125_250 }]);
  });

  exhaustive.it('that is marked as cancelled while it runs commits nothing', async () => {
    await scenario.deploy(messages);
    const slow = {
      ...messages,
      '2_slow.sql': `-- migrate: hand-off
with slow as materialized (select pg_sleep(4)) update messages set x = 0 from slow;`,
    };
    await scenario.run(slow);
    const table = { schema: 'public', table: 'messages' };
    const turn = { ...(await askedOf(scenario, slow)), table, turn: 1, deadline: undefined };
    expect(await takeTurn(turn)).toMatchObject({ outcome: 'wait' });
    // As cancel does, before it has found the session.
    await scenario.query("update migrations.work set state = 'cancelled'");
    await expectEventually(
      async () =>
        (await scenario.query("select from migrations.work where attempt_outcome ->> 'kind' is not null"))
          .length === 1,
      { what: 'the end of the statement' },
    );
    expect(await scenario.query('select sum(x)::int from messages')).toEqual([{ sum: 125_250 }]);
  });

  exhaustive.it('that has committed before it is cancelled is taken for done', async () => {
    await scenario.deploy(messages);
    await scenario.run(files);
    await scenario.query(`begin; update messages set x = x + 1;
update migrations.work set state = 'building', attempts = 1, session = 'loopback', started_at = now(),
  attempt_outcome = '{"kind": "succeeded"}'; commit`);
    await operatorOf(scenario).act({ action: 'cancel', index: '2_fill.sql:3' }, files);
    expect(await work()).toEqual(['statement messages 2_fill.sql:3 done']);
    await scenario.loop(files);
    expect(await scenario.query('select sum(x)::int from messages')).toEqual([{ sum: 125_750 }]);
  });

  exhaustive.it(
    'whose session was lost says nothing in its next attempt, which may be left alone',
    async () => {
      scenario = await freshScenario();
      await scenario.deploy(messages);
      await scenario.query('create sequence tries; create table seen (level text)');
      const talks = {
        ...messages,
        '2_talks.sql': `-- migrate: hand-off
do $$ begin
  raise notice 'hello';
  if nextval('tries') = 1 then perform pg_terminate_backend(pg_backend_pid()); end if;
  insert into seen values (current_setting('client_min_messages'));
end $$;`,
      };
      expect(await scenario.deploy(talks)).toEqual({ outcome: 'valid', message: '' });
      expect(scenario.events.filter(({ kind }) => kind === 'notice')).toMatchObject([{ message: 'hello' }]);
      expect(await scenario.query('table seen')).toEqual([{ level: 'error' }]);
    },
  );

  // dblink would receive them at some kilobytes per look, and keep them all.
  it.each(
    firstOf(1, [
      [
        "insert into messages select 1000 + g from generate_series(1, 100000) g returning *, repeat('x', 400)",
      ],
      ["select seen(g::int), repeat('x', 400) from generate_series(1, 100000) g"],
      ['with seen as (select seen(g::int) from generate_series(1, 100000) g) table seen'],
      ['delete from messages using generate_series(1, 100000) g where id = g returning g'],
      ['select pg_sleep(0.1), 1, 2'],
    ]),
  )('discards its rows where it runs: %s', async (statement) => {
    await scenario.deploy(messages);
    await scenario.query(
      `create table seen (x int);
       create function seen(x int) returns int language sql as 'insert into seen values (x) returning x'`,
    );
    const rows = { ...messages, '2_rows.sql': `-- migrate: hand-off\n${statement};` };
    expect(await scenario.deploy(rows)).toEqual({ outcome: 'valid', message: '' });
    expect(await scenario.query('select session, attempts from migrations.work')).toEqual([
      { session: 'loopback', attempts: 1 },
    ]);
    if (statement.includes('seen(')) {
      expect(await scenario.query('select count(*)::int from seen')).toEqual([{ count: 100_000 }]);
    }
    if (statement.startsWith('insert')) {
      expect(await scenario.query('select count(*)::int from messages')).toEqual([{ count: 100_500 }]);
    }
  });
});

it('what takes longer than the function lives deploys', () => deployLongOne('any statement'));
