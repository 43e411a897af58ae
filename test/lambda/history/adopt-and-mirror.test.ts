import { describe, expect, it, onTestFinished } from 'vitest';
import { performAction } from '../../../lambda/actions/perform-action.ts';
import { planRun } from '../../../lambda/foresight/plan-run.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { type Files, freshScenario } from '../run/scenario.ts';
import { A, B, C, handOverStories, recorded, requestOf, says, sha256, TOOLS, type Tool } from './tools.ts';

// each-tool.test.ts has the others.
handOverStories(TOOLS.slice(0, 2));

describe('what another tool leaves open', () => {
  const files: Files = {
    'migration_lock.toml': 'provider = "postgresql"\n',
    '1_a/migration.sql': A,
    '2_b/migration.sql': `${B}create index concurrently b_id on b (id);`,
  };
  const made = `create table _prisma_migrations (id varchar(36) primary key, checksum varchar(64) not null,
      finished_at timestamptz, migration_name varchar(255) not null, logs text, rolled_back_at timestamptz,
      started_at timestamptz not null default now(), applied_steps_count int not null default 0);
    insert into _prisma_migrations values ('1', 'edited', now(), '1_a', null, null, now(), 1),
      ('2', 'x', null, '2_b', 'an error', null, now(), 0);
    create table a (id int)`;

  it('stops the run with a list and the commands, and plan shows it', async () => {
    const scenario = await freshScenario();
    await scenario.query(made);
    const request = await requestOf(scenario, files);
    const error = await scenario.failure(files);
    expect(error.message).toBe(
      [
        "prisma's table public._prisma_migrations leaves it open whether a migration happened:",
        '  2_b/migration.sql: it failed there, and nobody has said since what became of it: repair 2_b --applied | --not-applied | --continue-at STEP',
        'Applied: nothing by this run.',
        'Next: look at the database, then say of each what is true: npx cdk-postgres-migrations repair 2_b --applied --confirm; as an action {"action": "repair", "version": "2_b", "as": "applied", "confirm": true}, or "not-applied", or "continueAt": 2. Then run again.',
      ].join('\n'),
    );
    const planned = await planRun(request.target, request);
    expect(planned.refused).toBe(error.message);
    expect(planned.edited).toEqual(['1_a/migration.sql']);
  });

  const settled = (repair: object) => async () => {
    const scenario = await freshScenario();
    await scenario.query(made);
    await performAction(
      { action: 'repair', version: '2_b', confirm: true, ...repair } as never,
      await requestOf(scenario, files),
    );
    return scenario;
  };
  const rows = `select migration_name || ' ' || case when rolled_back_at is not null then 'rolled back'
      when finished_at is not null then 'applied' else 'failed' end from _prisma_migrations order by 1`;

  exhaustive.it('is applied, if one says so', async () => {
    const scenario = await settled({ as: 'applied' })();
    expect((await scenario.run(files)).applied).toEqual([]);
    expect(await says(scenario, rows)).toEqual(['1_a applied', '2_b applied', '2_b rolled back']);
  });

  exhaustive.it('is applied by the next run, if one says that it was not', async () => {
    const scenario = await settled({ as: 'not-applied' })();
    expect(await says(scenario, rows)).toEqual(['1_a applied', '2_b rolled back']);
    expect((await scenario.run(files)).applied).toHaveLength(2);
    expect(await says(scenario, rows)).toEqual(['1_a applied', '2_b applied', '2_b rolled back']);
  });

  exhaustive.it('continues with the step that one names', async () => {
    const scenario = await settled({ continueAt: 2 })();
    await scenario.query(B);
    expect((await scenario.run(files)).applied).toHaveLength(1);
    expect(await recorded(scenario)).toEqual(['1_a baselined', '2_b baselined', '2_b applied']);
    expect(await says(scenario, rows)).toEqual(['1_a applied', '2_b applied', '2_b rolled back']);
  });
});

describe('a history that passed something over', () => {
  exhaustive.it(
    'of Drizzle: an entry that is older than the newest applied one, and has no row',
    async () => {
      const scenario = await freshScenario();
      const files = TOOLS[1]?.files ?? {};
      await scenario.query(
        `create schema drizzle; create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint);
       insert into drizzle.__drizzle_migrations (hash, created_at) values ('${sha256(A)}', 1000), ('${sha256(C)}', 3000)`,
      );
      expect((await scenario.failure(files)).message).toContain(
        '0001_b.sql: it is older than the newest that Drizzle',
      );
    },
  );

  exhaustive.it('of golang-migrate: dirty', async () => {
    const scenario = await freshScenario();
    const files = TOOLS[4]?.files ?? {};
    await scenario.query(
      'create table schema_migrations (version bigint primary key, dirty boolean not null); insert into schema_migrations values (2, true)',
    );
    expect((await scenario.failure(files)).message).toContain('000002_b.up.sql: it is dirty there');
    await performAction(
      { action: 'repair', version: '2', as: 'not-applied', confirm: true } as never,
      await requestOf(scenario, files),
    );
    expect(await says(scenario, `select version || ' ' || dirty from schema_migrations`)).toEqual([
      '1 false',
    ]);
  });
});

describe('a table by the name of a tool’s', () => {
  const tool = TOOLS[2] as Tool;

  exhaustive.it('of a stranger is not read: a policy of it would be executed as our role', async () => {
    const scenario = await freshScenario();
    const { owner } = scenario.database;
    const evil = owner.replace('owner', 'evil');
    await scenario.database.adminQuery(`create role ${evil}; grant create on schema public to ${evil}; set role ${evil};
${tool.made};
create function public.spy() returns boolean language plpgsql as 'begin raise exception ''as %'', current_user; end';
alter table schema_migrations enable row level security;
create policy spy on schema_migrations using (public.spy());
grant all on schema_migrations to public`);
    onTestFinished(async () => {
      await scenario.database.adminQuery(`drop owned by ${evil}; drop role ${evil}`);
    });
    const error = await scenario.failure(tool.files);
    expect(error.code).toBe('history-of-stranger');
    expect(error.message).toContain(`public.schema_migrations, which belongs to ${evil}`);
    await scenario.database.adminQuery(
      `grant ${evil} to ${owner}; alter table public.schema_migrations disable row level security`,
    );
    expect((await scenario.run(tool.files)).outcome).toBe('done');
  });

  exhaustive.it('is looked for first where our role’s search path leads', async () => {
    const scenario = await freshScenario();
    const { owner, name } = scenario.database;
    await scenario.query(`create schema app; create table app.schema_migrations (version varchar primary key);
insert into app.schema_migrations values ('0001'); create table public.schema_migrations (version varchar primary key)`);
    await scenario.database.adminQuery(
      `alter role ${owner} in database ${name} set search_path = app, public`,
    );
    await scenario.query('create table a (id int)');
    expect((await scenario.run(tool.files)).applied.map(({ migration }) => migration.version)).toEqual([
      '0002',
      '0003',
    ]);
  });
});

describe('the history prop', () => {
  const tool = TOOLS[2] as Tool;
  exhaustive.it("'adopt' reads the table alone, 'ignore' leaves it", async () => {
    const scenario = await freshScenario();
    await scenario.query(`${tool.made}; create table a (id int)`);
    await scenario.run(tool.files, { history: 'adopt' });
    expect(await says(scenario, tool.says)).toEqual(['0001']);
    const other = await freshScenario();
    await other.query(tool.made);
    expect((await other.run(tool.files, { history: 'ignore' })).applied).toHaveLength(3);
    expect(await says(other, tool.says)).toEqual(['0001']);
  });
});

exhaustive.it(
  'a table that has another name is found by the name that is given, and not passed over',
  async () => {
    const scenario = await freshScenario();
    const goose = TOOLS[3] as Tool;
    await scenario.query(`${goose.made}; create table a (id int); create schema audit;
    alter table goose_db_version set schema audit; alter table audit.goose_db_version rename to versions`);
    expect((await scenario.failure(goose.files)).message).toBe(
      [
        "goose's table is not here by its name, but audit.versions has its columns.",
        'Applied: nothing by this run.',
        "Next: if that is goose's history of this folder, name it: historyTable: 'audit.versions' (on the command line --history-table 'audit.versions'); if not: history: 'ignore' (--history ignore).",
      ].join('\n'),
    );
    expect((await scenario.run(goose.files, { historyTable: 'Audit.Versions' })).applied).toHaveLength(2);
    expect(await says(scenario, 'select max(version_id) from audit.versions')).toEqual(['3']);
    expect((await scenario.status(goose.files, { historyTable: 'audit.versions' })).migrations).toHaveLength(
      3,
    );
  },
);

exhaustive.it('an undo file that cannot be read stops the undo that needs it, and nothing else', async () => {
  const scenario = await freshScenario();
  const files = { '1_a.up.sql': A, '2_b.up.sql': B, '2_b.down.sql': 'drop tabl b;' };
  await scenario.run(files);
  await expect(
    performAction({ action: 'undo', to: '1' as never, confirm: true }, await requestOf(scenario, files)),
  ).rejects.toThrow('The undo file of 2_b can\'t be read: 2_b.down.sql:1:6: syntax error at or near "tabl".');
});

describe('what the tools themselves do not run', () => {
  it('Prisma: DROP INDEX CONCURRENTLY, between statements of a file', async () => {
    const scenario = await freshScenario();
    const prisma = TOOLS[0] as Tool;
    await scenario.query(`${prisma.made}; create table a (id int); create index a_id on a (id)`);
    const files = {
      'migration_lock.toml': 'provider = "postgresql"\n',
      '20240101_a/migration.sql': A,
      '20240105_index/migration.sql':
        'alter table a add column x int;\ndrop index concurrently a_id;\ncreate index concurrently a_x on a (x);\n',
    };
    await scenario.run(files);
    expect(await scenario.indexes()).toEqual(['_prisma_migrations_pkey', 'a_x']);
    expect(await says(scenario, prisma.says)).toHaveLength(2);
  });

  it('Drizzle: CREATE INDEX CONCURRENTLY, and a transaction to each file', async () => {
    const scenario = await freshScenario();
    const drizzle = TOOLS[1] as Tool;
    await scenario.query(`${drizzle.made}; create table a (id int)`);
    const files = {
      'meta/_journal.json': JSON.stringify({
        dialect: 'postgresql',
        entries: ['0000_a', '0001_index', '0002_broken'].map((tag, at) => ({ tag, when: 1000 * (at + 1) })),
      }),
      '0000_a.sql': A,
      '0001_index.sql':
        'alter table a add column x int;--> statement-breakpoint\ncreate index concurrently a_x on a (x);\n',
      '0002_broken.sql': 'alter table missing add column x int;\n',
    };
    await scenario.failure(files);
    expect(await scenario.indexes()).toEqual(['__drizzle_migrations_pkey', 'a_x']);
    // The file before the broken one stays, and Drizzle knows of it.
    expect(await says(scenario, drizzle.says)).toHaveLength(2);
  });
});

exhaustive.it(
  "a ledger that knows Prisma's folders by their digits gets their names, and two of one timestamp are two",
  async () => {
    const scenario = await freshScenario();
    const before = { '20240101_a/migration.sql': A, '20240102_c/migration.sql': C };
    await scenario.run(before);
    expect(await recorded(scenario)).toEqual(['20240101 applied', '20240102 applied']);
    const files = {
      'migration_lock.toml': 'provider = "postgresql"\n',
      ...before,
      '20240101_b/migration.sql': B,
    };
    const { applied } = await scenario.run(files);
    expect(applied.map(({ migration }) => migration.version)).toEqual(['20240101_b']);
    expect((await recorded(scenario)).sort()).toEqual([
      '20240101_a applied',
      '20240101_b applied',
      '20240102_c applied',
    ]);
    expect((await scenario.run(files)).applied).toEqual([]);
  },
);

it('a migration that ends with an index build has its row of the tool from the hand-off on', async () => {
  const scenario = await freshScenario();
  const prisma = TOOLS[0] as Tool;
  await scenario.query(
    `${prisma.made}; create table a (id int); insert into a select i from generate_series(1, 500) i`,
  );
  const files = {
    'migration_lock.toml': 'provider = "postgresql"\n',
    '20240101_a/migration.sql': A,
    '20240105_index/migration.sql': 'create index concurrently a_id on a (id);\n',
  };
  expect((await scenario.run(files)).builds).toHaveLength(1);
  expect(await recorded(scenario)).toEqual(['20240101_a baselined', '20240105_index pending']);
  expect(await says(scenario, prisma.says)).toHaveLength(2);
  await scenario.loop(files);
  expect(await recorded(scenario)).toEqual(['20240101_a baselined', '20240105_index applied']);
  expect(await says(scenario, prisma.says)).toHaveLength(2);
});
