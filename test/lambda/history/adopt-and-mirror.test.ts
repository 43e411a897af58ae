import { createHash } from 'node:crypto';
import { describe, expect, it, onTestFinished } from 'vitest';
import { performAction } from '../../../lambda/actions/perform-action.ts';
import { planRun } from '../../../lambda/foresight/plan-run.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { compile, type Files, freshScenario, type Scenario } from '../run/scenario.ts';

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const sha384 = (text: string) => createHash('sha384').update(text).digest('hex');

const A = 'create table a (id int);\n';
const B = 'create table b (id int);\n';
const C = 'create table c (id int);\n';

interface Tool {
  readonly name: string;
  readonly files: Files;
  /** The tool's table, with the first migration of the three applied. */
  readonly made: string;
  /** As the tool writes it when it applies the third one by itself. */
  readonly adds: string;
  /** What it says in the end, asked as text. */
  readonly says: string;
  readonly expected: readonly string[];
  /** After the last was undone. */
  readonly undone?: readonly string[];
  readonly names: readonly [string, string, string];
}

const up = (sql: string, undo: string, marks: readonly [string, string]) =>
  `${marks[0]}\n${sql}${marks[1]}\ndrop table ${undo};\n`;

const TOOLS: readonly Tool[] = [
  {
    name: 'prisma',
    files: {
      'migration_lock.toml': 'provider = "postgresql"\n',
      '20240101_a/migration.sql': A,
      '20240101_b/migration.sql': B,
      '20240102_c/migration.sql': C,
      '20240102_c/down.sql': 'drop table c;',
    },
    made: `create table _prisma_migrations (id varchar(36) primary key, checksum varchar(64) not null,
        finished_at timestamptz, migration_name varchar(255) not null, logs text, rolled_back_at timestamptz,
        started_at timestamptz not null default now(), applied_steps_count int not null default 0);
      insert into _prisma_migrations values
        ('0', 'x', null, '20240101_a', 'an error', now(), now() - interval '1 day', 0),
        ('1', '${sha256(A)}', now(), '20240101_a', null, null, now(), 1)`,
    adds: `insert into _prisma_migrations values ('9', '${sha256(C)}', now(), '20240102_c', null, null, now(), 1)`,
    says: `select migration_name || ' ' || applied_steps_count || ' ' || left(checksum, 6) || ' ' ||
        case when rolled_back_at is not null then 'rolled back' when finished_at is not null then 'applied' end
      from _prisma_migrations where id <> '0' order by 1`,
    expected: [
      `20240101_a 1 ${sha256(A).slice(0, 6)} applied`,
      `20240101_b 1 ${sha256(B).slice(0, 6)} applied`,
      `20240102_c 1 ${sha256(C).slice(0, 6)} applied`,
    ],
    undone: [
      `20240101_a 1 ${sha256(A).slice(0, 6)} applied`,
      `20240101_b 1 ${sha256(B).slice(0, 6)} applied`,
      `20240102_c 1 ${sha256(C).slice(0, 6)} rolled back`,
    ],
    names: ['20240101_a', '20240101_b', '20240102_c'],
  },
  {
    name: 'drizzle',
    files: {
      'meta/_journal.json': JSON.stringify({
        dialect: 'postgresql',
        entries: [
          { tag: '0000_a', when: 1000 },
          { tag: '0001_b', when: 2000 },
          { tag: '0001_c', when: 3000 },
        ],
      }),
      '0000_a.sql': A,
      '0001_b.sql': B,
      '0001_c.sql': C,
      '0001_c.down.sql': 'drop table c;',
    },
    made: `create schema drizzle; create table drizzle.__drizzle_migrations
        (id serial primary key, hash text not null, created_at bigint);
      insert into drizzle.__drizzle_migrations (hash, created_at) values ('${sha256(A)}', 1000)`,
    adds: `insert into drizzle.__drizzle_migrations (hash, created_at) values ('${sha256(C)}', 3000)`,
    says: `select id || ' ' || created_at || ' ' || left(hash, 6) from drizzle.__drizzle_migrations order by id`,
    expected: [
      `1 1000 ${sha256(A).slice(0, 6)}`,
      `2 2000 ${sha256(B).slice(0, 6)}`,
      `3 3000 ${sha256(C).slice(0, 6)}`,
    ],
    undone: [`1 1000 ${sha256(A).slice(0, 6)}`, `2 2000 ${sha256(B).slice(0, 6)}`],
    names: ['0000_a', '0001_b', '0001_c'],
  },
  {
    name: 'dbmate',
    files: {
      '0001_a.sql': up(A, 'a', ['-- migrate:up', '-- migrate:down']),
      '0002_b.sql': up(B, 'b', ['-- migrate:up', '-- migrate:down']),
      '0003_c.sql': up(C, 'c', ['-- migrate:up', '-- migrate:down']),
    },
    made: `create table schema_migrations (version varchar(128) primary key); insert into schema_migrations values ('0001')`,
    adds: `insert into schema_migrations values ('0003')`,
    says: 'select version from schema_migrations order by 1',
    expected: ['0001', '0002', '0003'],
    undone: ['0001', '0002'],
    names: ['0001', '0002', '0003'],
  },
  {
    name: 'goose',
    files: {
      '00001_a.sql': up(A, 'a', ['-- +goose Up', '-- +goose Down']),
      '00002_b.sql': up(B, 'b', ['-- +goose Up', '-- +goose Down']),
      '00003_c.sql': up(C, 'c', ['-- +goose Up', '-- +goose Down']),
    },
    made: `create table goose_db_version (id int generated by default as identity primary key,
        version_id bigint not null, is_applied boolean not null, tstamp timestamp not null default now());
      insert into goose_db_version (version_id, is_applied) values (0, true), (1, true), (2, true), (2, false)`,
    adds: `insert into goose_db_version (version_id, is_applied) values (3, true)`,
    says: `select version_id || ' ' || is_applied from goose_db_version order by id`,
    expected: ['0 true', '1 true', '2 true', '2 false', '2 true', '3 true'],
    undone: ['0 true', '1 true', '2 true', '2 false', '2 true'],
    names: ['1', '2', '3'],
  },
  {
    name: 'golang-migrate',
    files: {
      '000001_a.up.sql': A,
      '000002_b.up.sql': B,
      '000003_c.up.sql': C,
      '000003_c.down.sql': 'drop table c;',
    },
    made: 'create table schema_migrations (version bigint primary key, dirty boolean not null); insert into schema_migrations values (1, false)',
    adds: `truncate schema_migrations; insert into schema_migrations values (3, false)`,
    says: `select version || ' ' || dirty from schema_migrations`,
    expected: ['3 false'],
    undone: ['2 false'],
    names: ['1', '2', '3'],
  },
  {
    name: 'sqlx',
    files: {
      '1_first_a.sql': `-- no-transaction\n${A}`,
      '2_b.sql': B,
      '3_c_table.up.sql': C,
      '3_c_table.down.sql': 'drop table c;',
    },
    made: `create table _sqlx_migrations (version bigint primary key, description text not null,
        installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time bigint not null);
      insert into _sqlx_migrations values (1, 'first a', now(), true, decode('${sha384(`-- no-transaction\n${A}`)}', 'hex'), 1)`,
    adds: `insert into _sqlx_migrations values (3, 'c table', now(), true, decode('${sha384(C)}', 'hex'), 1)`,
    says: `select version || ' ' || description || ' ' || success || ' ' || left(encode(checksum, 'hex'), 6) from _sqlx_migrations order by version`,
    expected: [
      `1 first a true ${sha384(`-- no-transaction\n${A}`).slice(0, 6)}`,
      `2 b true ${sha384(B).slice(0, 6)}`,
      `3 c table true ${sha384(C).slice(0, 6)}`,
    ],
    names: ['1', '2', '3'],
  },
  {
    name: 'sqlx, with names as golang-migrate has them',
    files: {
      '1_first_a.up.sql': `-- no-transaction\n${A}`,
      '2_b.up.sql': B,
      '3_c_table.up.sql': C,
      '3_c_table.down.sql': 'drop table c;',
    },
    made: `create table _sqlx_migrations (version bigint primary key, description text not null,
        installed_on timestamptz not null default now(), success boolean not null, checksum bytea not null, execution_time bigint not null);
      insert into _sqlx_migrations values (1, 'first a', now(), true, decode('${sha384(`-- no-transaction\n${A}`)}', 'hex'), 1)`,
    adds: `insert into _sqlx_migrations values (3, 'c table', now(), true, decode('${sha384(C)}', 'hex'), 1)`,
    says: `select version || ' ' || description || ' ' || success || ' ' || left(encode(checksum, 'hex'), 6) from _sqlx_migrations order by version`,
    expected: [
      `1 first a true ${sha384(`-- no-transaction\n${A}`).slice(0, 6)}`,
      `2 b true ${sha384(B).slice(0, 6)}`,
      `3 c table true ${sha384(C).slice(0, 6)}`,
    ],
    names: ['1', '2', '3'],
  },
  {
    name: 'node-pg-migrate',
    files: {
      '1_a.sql': up(A, 'a', ['-- Up Migration', '-- Down Migration']),
      '2_b.sql': up(B, 'b', ['-- Up Migration', '-- Down Migration']),
      '2_c.sql': up(C, 'c', ['-- Up Migration', '-- Down Migration']),
    },
    made: `create table pgmigrations (id serial primary key, name varchar(255) not null, run_on timestamp not null);
      insert into pgmigrations (name, run_on) values ('1_a', now())`,
    adds: `insert into pgmigrations (name, run_on) values ('2_c', now())`,
    says: `select id || ' ' || name from pgmigrations order by id`,
    expected: ['1 1_a', '2 2_b', '3 2_c'],
    undone: ['1 1_a', '2 2_b'],
    names: ['1_a', '2_b', '2_c'],
  },
  {
    name: 'flyway',
    files: {
      'V1__first_a.sql': A,
      'V1_1__b.sql': B,
      'V2__c.sql': C,
      'U2__c.sql': 'drop table c;',
    },
    made: `create table flyway_schema_history (installed_rank int primary key, version varchar(50),
        description varchar(200) not null, type varchar(20) not null, script varchar(1000) not null, checksum int,
        installed_by varchar(100) not null, installed_on timestamp not null default now(), execution_time int not null, success boolean not null);
      insert into flyway_schema_history values (1, '1', 'first a', 'SQL', 'V1__first_a.sql', 1, 'me', now(), 5, true)`,
    adds: `insert into flyway_schema_history values (3, '2', 'c', 'SQL', 'V2__c.sql', 1, 'me', now(), 5, true)`,
    says: `select installed_rank || ' ' || version || ' ' || description || ' ' || type || ' ' || script || ' ' || success from flyway_schema_history order by 1`,
    expected: [
      '1 1 first a SQL V1__first_a.sql true',
      '2 1.1 b SQL V1_1__b.sql true',
      '3 2 c SQL V2__c.sql true',
    ],
    undone: ['1 1 first a SQL V1__first_a.sql true', '2 1.1 b SQL V1_1__b.sql true'],
    names: ['1', '1.1', '2'],
  },
];

const requestOf = async (scenario: Scenario, files: Files) => ({
  migrations: await compile(files),
  target: parseConnectionUrl(scenario.database.url, 'The URL'),
  options: { ...defaultOptions, smallTableRows: 100 },
  cause: { kind: 'command line' as const, actor: 'test' },
  deadline: undefined,
  report: () => undefined,
});

const says = async (scenario: Scenario, sql: string) =>
  (await scenario.query(sql)).map((row) => String(Object.values(row)[0]));

const recorded = async (scenario: Scenario) =>
  says(scenario, `select version || ' ' || state from migrations.step order by position, step`);

describe.each(TOOLS)('a database of $name', ({ files, made, adds, says: asked, expected, undone, names }) => {
  it('is handed over in the middle: what is applied is taken over, the rest is applied and written there too', async () => {
    const scenario = await freshScenario();
    await scenario.query(`${made}; create table a (id int)`);
    const request = await requestOf(scenario, files);
    const planned = await planRun(request.target, request);
    expect(planned.adopted).toHaveLength(1);
    expect(planned.files.map(({ version }) => version)).toEqual(names.slice(1));
    expect(await says(scenario, `select count(*) from pg_namespace where nspname = 'migrations'`)).toEqual([
      '0',
    ]);

    await scenario.run(files);
    expect(await says(scenario, asked)).toEqual(expected);
    expect(await recorded(scenario)).toEqual([
      `${names[0]} baselined`,
      `${names[1]} applied`,
      `${names[2]} applied`,
    ]);
    expect((await scenario.run(files)).applied).toEqual([]);
    expect(await says(scenario, asked)).toEqual(expected);
    if (undone === undefined) return;
    await performAction({ action: 'undo', to: names[1] as never, confirm: true }, request);
    expect(await says(scenario, asked)).toEqual(undone);
    expect(await recorded(scenario)).toEqual([`${names[0]} baselined`, `${names[1]} applied`]);
  });

  it('where the tool applies one meanwhile: the next run sees it', async () => {
    const scenario = await freshScenario();
    await scenario.query(`${made}; create table a (id int)`);
    const some = Object.fromEntries(
      Object.entries(files)
        .filter(([file]) => !/[_/]c[._]|_c\//.test(file))
        .map(([file, text]) => [
          file,
          file.endsWith('.json') ? text.replace(/,\{"tag":"0001_c","when":3000\}/, '') : text,
        ]),
    );
    await scenario.run(some);
    expect(await recorded(scenario)).toEqual([`${names[0]} baselined`, `${names[1]} applied`]);
    await scenario.query(`create table c (id int); ${adds}`);
    expect((await scenario.run(files)).applied).toEqual([]);
    expect(await recorded(scenario)).toEqual([
      `${names[0]} baselined`,
      `${names[1]} applied`,
      `${names[2]} baselined`,
    ]);
  });
});

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

  it('is applied, if one says so', async () => {
    const scenario = await settled({ as: 'applied' })();
    expect((await scenario.run(files)).applied).toEqual([]);
    expect(await says(scenario, rows)).toEqual(['1_a applied', '2_b applied', '2_b rolled back']);
  });

  it('is applied by the next run, if one says that it was not', async () => {
    const scenario = await settled({ as: 'not-applied' })();
    expect(await says(scenario, rows)).toEqual(['1_a applied', '2_b rolled back']);
    expect((await scenario.run(files)).applied).toHaveLength(2);
    expect(await says(scenario, rows)).toEqual(['1_a applied', '2_b applied', '2_b rolled back']);
  });

  it('goes on with the step that one names', async () => {
    const scenario = await settled({ continueAt: 2 })();
    await scenario.query(B);
    expect((await scenario.run(files)).applied).toHaveLength(1);
    expect(await recorded(scenario)).toEqual(['1_a baselined', '2_b baselined', '2_b applied']);
    expect(await says(scenario, rows)).toEqual(['1_a applied', '2_b applied', '2_b rolled back']);
  });
});

describe('a history that passed something over', () => {
  it('of Drizzle: an entry that is older than the newest applied one, and has no row', async () => {
    const scenario = await freshScenario();
    const files = TOOLS[1]?.files ?? {};
    await scenario.query(
      `create schema drizzle; create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint);
       insert into drizzle.__drizzle_migrations (hash, created_at) values ('${sha256(A)}', 1000), ('${sha256(C)}', 3000)`,
    );
    expect((await scenario.failure(files)).message).toContain(
      '0001_b.sql: it is older than the newest that Drizzle',
    );
  });

  it('of golang-migrate: dirty', async () => {
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

  it('of a stranger is not read: a policy of it would be executed as our role', async () => {
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

  it('is looked for first where our role’s search path leads', async () => {
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
  it("'adopt' reads the table alone, 'ignore' leaves it", async () => {
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

it('a table that has another name is found by the name that is given, and not passed over', async () => {
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
  expect((await scenario.status(goose.files, { historyTable: 'audit.versions' })).migrations).toHaveLength(3);
});

it('an undo file that cannot be read stops the undo that needs it, and nothing else', async () => {
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

it("a ledger that knows Prisma's folders by their digits gets their names, and two of one timestamp are two", async () => {
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
});

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
