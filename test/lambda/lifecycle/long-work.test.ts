import { Duration } from 'aws-cdk-lib';
import { expect, it, vi } from 'vitest';
import { serverMajor } from '../../support/server-major.ts';
import { eventually, newLifeCycle } from './life-cycle.ts';

vi.setConfig({ testTimeout: 300_000 });

/** Of each invocation's time the function keeps ten seconds for its answer. */
const LIFE_SECONDS = 16;
const ROWS = 500;

/** `slow()` takes as long as `pace` says. */
const prepared = {
  '1_tables.sql': `create table pace (seconds float8);
insert into pace values (0);
create function slow(x int) returns int language plpgsql immutable as
  $$ begin perform pg_catalog.pg_sleep(p.seconds) from public.pace p; return x; end $$;
create domain amount as int;
${[
  'checked',
  'referring',
  'referred',
  'present',
  'refreshed',
  'renewed',
  'vacuumed',
  'analyzed',
  'clustered',
  'written',
  'filled',
  'paid',
]
  .map(
    (name) => `create table ${name} (id int primary key, x ${name === 'paid' ? 'amount' : 'int'}, note text);
insert into ${name} select g, g, repeat('x', 1500) from generate_series(1, ${ROWS}) g;`,
  )
  .join('\n')}
alter table vacuumed set (autovacuum_enabled = false);
delete from analyzed where id > 250;
create statistics slowly on (public.slow(x)), id from analyzed;
create index clustered_slow on clustered (public.slow(x));
create materialized view fresh as select id, public.slow(x) as x from refreshed;
create materialized view new as select id, public.slow(x) as x from renewed;
create unique index new_id on new (id);
create table parts (id int, x int) partition by range (id);
create table parts_1 partition of parts for values from (0) to (1000);
insert into parts select g, g from generate_series(1, ${ROWS}) g;
alter table referring add constraint refers foreign key (x) references referred not valid;
${serverMajor >= 18 ? 'alter table present add constraint there not null x not valid;' : ''}`,
};

/** Each kind: what is deployed, whose locks are held until it has taken longer than a function lives, what it comes to. */
const kinds: Readonly<Record<string, { sql: string; held?: string; becomes: string }>> = {
  'validate checked': {
    sql: `alter table checked add constraint fine check (slow(x) > 0) not valid;
alter table checked validate constraint fine;`,
    becomes: "(select convalidated from pg_constraint where conname = 'fine')",
  },
  'validate referring': {
    sql: 'alter table referring validate constraint refers;',
    held: 'lock table referred in exclusive mode',
    becomes: "(select convalidated from pg_constraint where conname = 'refers')",
  },
  ...(serverMajor >= 18 && {
    'validate present': {
      sql: 'alter table present validate constraint there;',
      held: 'lock table present in share mode',
      becomes: "(select convalidated from pg_constraint where conname = 'there')",
    },
  }),
  'validate-domain amount': {
    sql: `alter domain amount add constraint positive check (public.slow(value) > 0) not valid;
alter domain amount validate constraint positive;`,
    becomes: "(select convalidated from pg_constraint where conname = 'positive')",
  },
  'refresh fresh': {
    sql: 'refresh materialized view fresh;',
    becomes: `(select count(*) = ${ROWS} from fresh where x = 0)`,
  },
  'refresh-concurrently new': {
    sql: 'refresh materialized view concurrently new;',
    becomes: `(select count(*) = ${ROWS} from new where x = 0)`,
  },
  'vacuum vacuumed': {
    sql: `set vacuum_cost_delay = '100ms';
set vacuum_cost_limit = 1;
vacuum vacuumed;`,
    becomes: "(select relallvisible > 0 from pg_class where relname = 'vacuumed')",
  },
  'analyze analyzed': {
    sql: 'analyze analyzed;',
    becomes: 'exists (select from pg_stats_ext_exprs)',
  },
  'cluster clustered': {
    sql: 'cluster clustered using clustered_pkey;',
    becomes: "(select indisclustered from pg_index where indexrelid = 'clustered_pkey'::regclass)",
  },
  'detach parts': {
    sql: 'alter table parts detach partition parts_1 concurrently;',
    held: 'select from parts',
    becomes: "not (select relispartition from pg_class where relname = 'parts_1')",
  },
  'statement written': {
    sql: `-- migrate: allow unbounded-write tried here
-- migrate: hand-off
update written set x = slow(x) + 1;`,
    becomes: '(select bool_and(x = id + 1) from written)',
  },
  'backfill filled': {
    sql: `-- migrate: backfill
update filled set x = slow(x) + 1 where id <= 200;`,
    becomes: '(select bool_and(x = id + (id <= 200)::int) from filled)',
  },
};

/** Once the queue is empty it is alone: nothing can be told of what a statement under hand-off changes. */
const last = 'statement written';

it('a statement of each kind deploys though it takes longer than a function lives, and the deploy waits through what a step needs', async () => {
  const life = await newLifeCycle();
  await life.deploy(prepared, { props: { lint: false } });
  await life.database.query(
    `update pace set seconds = 0.045; update refreshed set x = 0; update renewed set x = 0`,
  );
  const files: Record<string, string> = { ...prepared };
  const names = Object.keys(kinds).filter((name) => name !== last);
  for (const [at, name] of [...names, last].entries())
    files[`${10 + at}_${name.replace(' ', '_')}.sql`] = kinds[name]?.sql ?? '';
  files['90_needs_rows.sql'] = 'alter table filled alter column x set not null;';
  const holders = await Promise.all(
    Object.values(kinds).map(async ({ held }) => {
      const session = await life.session();
      if (held !== undefined) await session.query(`begin; ${held}`);
      return session;
    }),
  );

  const deploying = life.deploy(files, {
    props: { maxConcurrentTables: 20, dataCheckTimeout: Duration.seconds(0), lint: false },
    timeoutSeconds: LIFE_SECONDS,
    // The work takes its real time, and must not take the simulated hour's.
    betweenQuestions: 300,
  });
  await eventually(async () => {
    const [row] = await life.database.query<{ left: number }>(
      `select count(*)::int as left from migrations.work
        where started_at is null or started_at > now() - interval '${LIFE_SECONDS} s'`,
    );
    const [{ work } = { work: 0 }] = await life.database.query<{ work: number }>(
      'select count(*)::int as work from migrations.work',
    );
    return work === names.length + 1 && row?.left === 0;
  });
  for (const session of holders) await session.query('commit');

  expect(await deploying).toMatchObject({ status: 'UPDATE_COMPLETE' });
  await life.aws.stepFunctions.settled();
  // The statement under hand-off is the last: what is after it waited for it.
  expect(await life.steps()).toEqual((await life.steps()).map((line) => line.replace(/\S+$/, 'applied')));
  expect(
    await life.database.query(
      `select operation || ' ' || table_name as name, state, attempts, turns > 1 as several,
              extract(epoch from finished_at - started_at) > ${LIFE_SECONDS} as long
         from migrations.work order by id`,
    ),
  ).toEqual(
    [...names, last].map((name) => ({ name, state: 'done', attempts: 1, several: true, long: true })),
  );
  for (const [name, { becomes }] of Object.entries(kinds))
    expect(await life.database.query(`select ${becomes} as done`), name).toEqual([{ done: true }]);
});
