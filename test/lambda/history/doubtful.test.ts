import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { performAction } from '../../../lambda/actions/perform-action.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { compile, type Files, freshScenario, type Scenario } from '../run/scenario.ts';

/** What a tool's history leaves open, beginning from the one that the tool itself has written. */
interface Doubt {
  readonly tool: string;
  /** Makes the second of three doubtful. */
  readonly sql: string;
  readonly id: string;
  readonly why: string;
  /** What the tool's table says of the second, as text. */
  readonly says: string;
  readonly applied: readonly string[];
  /** Once an operator has said that it is not. */
  readonly notApplied: readonly string[];
}

const failed = 'it failed there, and nobody has said since what became of it';

const DOUBTS: readonly Doubt[] = [
  {
    tool: 'prisma',
    sql: `insert into _prisma_migrations (id, checksum, migration_name, logs) values ('2', 'x', '20240102000000_b', 'an error')`,
    id: '20240102000000_b',
    why: failed,
    says: `select case when finished_at is null then 'open' else 'applied' end from _prisma_migrations
            where migration_name like '%_b' and rolled_back_at is null`,
    applied: ['applied'],
    notApplied: [],
  },
  {
    tool: 'golang-migrate',
    sql: 'update schema_migrations set version = 2, dirty = true',
    id: '2',
    why: 'it is dirty there: it may have been applied wholly, in part or not at all',
    says: `select version || ' ' || dirty from schema_migrations`,
    applied: ['2 false'],
    notApplied: ['1 false'],
  },
  {
    tool: 'sqlx',
    sql: `insert into _sqlx_migrations values (2, 'index', now(), false, '\\x00', 0)`,
    id: '2',
    why: failed,
    says: `select version || ' ' || success || ' ' || octet_length(checksum) from _sqlx_migrations where version = 2`,
    applied: ['2 true 48'],
    notApplied: [],
  },
  {
    tool: 'flyway',
    sql: `insert into flyway_schema_history values (2, '1.1', 'index', 'SQL', 'V1_1__index.sql', 0, 'me', now(), 0, false)`,
    id: '1.1',
    why: failed,
    says: `select version || ' ' || success from flyway_schema_history where version = '1.1'`,
    applied: ['1.1 true'],
    notApplied: [],
  },
  {
    tool: 'atlas',
    sql: `insert into atlas_schema_revisions.atlas_schema_revisions (version, description, type, applied, total, executed_at,
            execution_time, error, error_stmt, hash, operator_version)
          values ('20240102000000', 'index', 2, 0, 1, now(), 0, 'an error', 'a statement', 'x', 'y')`,
    id: '20240102000000',
    why: 'it was applied in part there, 0 of its statements',
    says: `select version || ' ' || applied || '/' || total from atlas_schema_revisions.atlas_schema_revisions where version > '20240101000000'`,
    applied: ['20240102000000 1/1'],
    notApplied: [],
  },
  {
    tool: 'drizzle',
    sql: `insert into drizzle.__drizzle_migrations (hash, created_at)
          values (encode(sha256('create table c (id int);\n'), 'hex'), 1700000000002); create table c (id int)`,
    id: '0001_b',
    why: 'it is older than the newest that Drizzle applied, and has no row: Drizzle has passed it over',
    says: 'select created_at from drizzle.__drizzle_migrations where created_at = 1700000000001',
    applied: ['1700000000001'],
    notApplied: [],
  },
  {
    tool: 'drizzle-v1',
    sql: `insert into drizzle.__drizzle_migrations (hash, created_at, name)
          values ('x', ${Date.UTC(2024, 0, 3, 3, 4, 5)}, '20240103030405_c'); create table c (id int)`,
    id: '20240102030405_b',
    why: 'it is older than the newest that Drizzle applied, and has no row: Drizzle has passed it over',
    says: `select name from drizzle.__drizzle_migrations where name like '%_b'`,
    applied: ['20240102030405_b'],
    notApplied: [],
  },
  {
    tool: 'graphile-migrate',
    sql: `alter table graphile_migrate.migrations drop constraint migrations_previous_hash_fkey;
          insert into graphile_migrate.migrations values ('sha1:x', null, '000003.sql'); create table c (id int)`,
    id: '000002.sql',
    why: 'it comes before the newest that is applied there, and has no row: it was skipped',
    says: `select filename from graphile_migrate.migrations where filename = '000002.sql'`,
    applied: ['000002.sql'],
    notApplied: [],
  },
];

/** The fixture's own files, the second of them with another table behind, which the last command continues with. */
function filesOf(tool: string): Files {
  const home = join(import.meta.dirname, 'fixtures', tool, 'home');
  const names = readdirSync(home, { recursive: true, withFileTypes: true }).filter((each) => each.isFile());
  return Object.fromEntries(
    names.map(({ parentPath, name }) => {
      const path = join(parentPath, name);
      return [path.slice(home.length + 1), readFileSync(path, 'utf8')];
    }),
  );
}

/** Of a file that the tool would not have run in one transaction a statement is a step by itself. */
const ALONE = ['golang-migrate', 'sqlx', 'flyway', 'atlas'];

/** The folder with a table behind what its second migration has. */
function withSecondStep(tool: string, files: Files, id: string): Files {
  const named = (file: string) =>
    [id, id.replace('.', '_'), id.replace(/\.sql$/, '')].some((each) => file.includes(each));
  const own = Object.keys(files).find(
    (file) => named(file) && /(?<!down)\.sql$/.test(file) && !file.startsWith('down/'),
  );
  if (own === undefined) throw new Error(`${tool} has no file of ${id}.`);
  const more = `${ALONE.includes(tool) ? '' : 'commit;\n'}create table late (id int);\n`;
  const text = `${files[own]}${more}`.replace(/^--! Hash:/m, '--! AllowInvalidHash\n$&');
  const all = { ...files, [own]: text };
  return tool === 'atlas' ? { ...all, 'atlas.sum': sumOf(all) } : all;
}

/** As `atlas migrate hash` writes it. */
function sumOf(files: Files): string {
  const running = createHash('sha256');
  const names = Object.keys(files)
    .filter((file) => /^\d+_.*\.sql$/.test(file))
    .sort();
  const hashes = names.map((name) => {
    running.update(name).update(files[name] ?? '');
    return [name, running.copy().digest('base64')] as const;
  });
  const all = createHash('sha256');
  for (const [name, hash] of hashes) all.update(name).update(hash);
  return [`h1:${all.digest('base64')}`, ...hashes.map(([name, hash]) => `${name} h1:${hash}`), ''].join('\n');
}

async function doubted({ tool, sql }: Doubt): Promise<Scenario> {
  const scenario = await freshScenario();
  await scenario.query('create table a (id int)');
  await scenario.query(readFileSync(join(import.meta.dirname, 'fixtures', tool, 'history.sql'), 'utf8'));
  await scenario.query(sql);
  return scenario;
}

async function repair(scenario: Scenario, files: Files, how: object): Promise<void> {
  await perform(scenario, files, { action: 'repair', ...how });
}

async function perform(scenario: Scenario, files: Files, action: object): Promise<void> {
  await performAction({ ...action, confirm: true } as never, {
    migrations: await compile(files),
    target: parseConnectionUrl(scenario.database.url, 'The URL'),
    options: defaultOptions,
    cause: { kind: 'command line', actor: 'test' },
    deadline: undefined,
    report: () => undefined,
  });
}

const says = async (scenario: Scenario, sql: string) =>
  (await scenario.query(sql)).map((row) => String(Object.values(row)[0]));

describe.each(firstOf(2, DOUBTS))('what $tool leaves open', (doubt) => {
  const { tool, id, why } = doubt;
  const files = filesOf(tool);

  it('stops the run with a line and the commands, and nothing is touched', async () => {
    const scenario = await doubted(doubt);
    const error = await scenario.failure(files);
    expect(error.message).toContain(`: ${why}: repair ${id} --applied | --not-applied | --continue-at STEP`);
    expect((await scenario.plan(files)).refused).toBe(error.message);
    expect(await says(scenario, "select count(*) from pg_namespace where nspname = 'migrations'")).toEqual([
      '0',
    ]);
  });

  it('is settled by --applied: it never runs, and the tool takes it for applied', async () => {
    const scenario = await doubted(doubt);
    await repair(scenario, files, { version: id, as: 'applied' });
    expect(await says(scenario, doubt.says)).toEqual(doubt.applied);
    const applied = (await scenario.run(files)).applied.map(({ migration }) => migration.version);
    expect(applied).not.toContain(id);
    expect((await scenario.run(files)).applied).toEqual([]);
  });

  it('is settled by --not-applied: the tool forgets it, and the next run applies it', async () => {
    const scenario = await doubted(doubt);
    await repair(scenario, files, { version: id, as: 'not-applied' });
    expect(await says(scenario, doubt.says)).toEqual(doubt.notApplied);
    const applied = (await scenario.run(files)).applied.map(({ migration }) => migration.version);
    expect(applied).toContain(id);
    expect((await scenario.run(files)).applied).toEqual([]);
  });

  it('is settled by --continue-at: the next run continues with that step, and the tool takes it for applied', async () => {
    const more = withSecondStep(tool, files, id);
    const scenario = await doubted(doubt);
    await repair(scenario, more, { version: id, continueAt: 2 });
    expect(await says(scenario, doubt.says)).toEqual(doubt.notApplied);
    const applied = (await scenario.run(more)).applied.filter(({ migration }) => migration.version === id);
    expect(applied.map(({ step }) => step)).toEqual([1]);
    expect(await says(scenario, 'select count(*) from late')).toEqual(['0']);
    // The file has a statement more, and golang-migrate's mark moves on to the last file.
    const whole = doubt.applied.map((line) => line.replace('1/1', '2/2').replace('2 false', '3 false'));
    expect(await says(scenario, doubt.says)).toEqual(expect.arrayContaining([...whole]));
    expect((await scenario.run(more)).applied).toEqual([]);
  });
});

describe('what was applied in part', () => {
  const files: Files = {
    '000001_a.up.sql': 'create table a (id int);',
    '000002_b.up.sql':
      'create table b (id int);\ncommit;\ncreate index concurrently b_id on b (id);\ncreate table c (id int);',
  };

  it('continues with the step that one names', async () => {
    const scenario = await freshScenario();
    await scenario.query(
      `create table a (id int); create table b (id int);
       create table schema_migrations (version bigint primary key, dirty boolean not null); insert into schema_migrations values (2, true)`,
    );
    await scenario.failure(files);
    await repair(scenario, files, { version: '2', continueAt: 2 });
    expect(await says(scenario, `select version || ' ' || dirty from schema_migrations`)).toEqual([
      '1 false',
    ]);
    const applied = (await scenario.run(files)).applied.map(
      ({ migration, step }) => `${migration.version}.${step}`,
    );
    expect(applied).toEqual(['2.1', '2.2']);
    expect(await says(scenario, `select version || ' ' || dirty from schema_migrations`)).toEqual([
      '2 false',
    ]);
  });
});

describe("golang-migrate's mark", () => {
  const files: Files = {
    '000001_a.up.sql': 'create table a (id int);',
    '000002_late.up.sql': 'create table late (id int);\ncreate index on late (id);',
    '000003_c.up.sql': 'create table c (id int);\ncreate table gone (id int);',
    '000004_d.up.sql': 'drop table gone;',
  };
  const made = (version: number) => `create table a (id int); create table c (id int);
    create table schema_migrations (version bigint primary key, dirty boolean not null);
    insert into schema_migrations values (${version}, false)`;

  exhaustive.it(
    'hides a file below it that never ran: none of its tables is there, and the run stops',
    async () => {
      const scenario = await freshScenario();
      await scenario.query(made(6));
      const all = {
        ...files,
        '000005_temporary.up.sql': 'create temp table t on commit drop as select * from c;',
        '000006_e.up.sql': 'create table e (id int);',
      };
      const error = await scenario.failure(all);
      expect(error.message).toContain(
        '000002_late.up.sql: it is below the version that golang-migrate has come to, and no table that it creates is there: it may have been skipped: repair 2',
      );
      expect(error.message).not.toMatch(/00000[345]/);
      await repair(scenario, all, { version: '2', as: 'not-applied' });
      const applied = (await scenario.run(all)).applied.map(({ migration }) => migration.version);
      expect(applied).toEqual(['2']);
      expect(await says(scenario, `select version || ' ' || dirty from schema_migrations`)).toEqual([
        '6 false',
      ]);
    },
  );

  exhaustive.it('does not take a file below it for applied that came once we had taken over', async () => {
    const scenario = await freshScenario();
    await scenario.query(made(1));
    const { '000002_late.up.sql': late, ...some } = files;
    await scenario.query('drop table c');
    await scenario.run(some);
    expect(await says(scenario, `select version || ' ' || dirty from schema_migrations`)).toEqual([
      '4 false',
    ]);
    const applied = (await scenario.run({ ...some, '000002_late.up.sql': late ?? '' })).applied;
    expect(applied.map(({ migration }) => migration.version)).toEqual(['2']);
    expect(await says(scenario, `select version || ' ' || dirty from schema_migrations`)).toEqual([
      '4 false',
    ]);
  });

  exhaustive.it(
    'that the folder does not have stops the run, until one says how far the database is',
    async () => {
      const scenario = await freshScenario();
      await scenario.query(made(9));
      expect((await scenario.failure(files)).message).toBe(
        [
          "golang-migrate's table public.schema_migrations has come to 9, which this folder does not have, so nothing tells what of the folder is applied.",
          'Applied: nothing by this run.',
          'Next: bring the folder up to what was applied; or say how far the database is: npx cdk-postgres-migrations baseline VERSION --confirm; then run again.',
        ].join('\n'),
      );
      await perform(scenario, files, { action: 'baseline', version: '4' });
      expect((await scenario.run(files)).applied).toEqual([]);
    },
  );
});

exhaustive.it('what is forgotten here is forgotten there too, and the next run applies it', async () => {
  const scenario = await freshScenario();
  const files = filesOf('goose');
  await scenario.query('create table a (id int)');
  await scenario.query(readFileSync(join(import.meta.dirname, 'fixtures/goose/history.sql'), 'utf8'));
  await scenario.run(files);
  await scenario.query('drop table c');
  await repair(scenario, files, { version: '3', forget: true });
  expect(await says(scenario, 'select max(version_id) from goose_db_version')).toEqual(['2']);
  expect((await scenario.run(files)).applied.map(({ migration }) => migration.version)).toEqual(['3']);
});
