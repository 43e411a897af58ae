import { cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compileLinted } from '../../../compiler/lint/lint-migrations.ts';
import { performAction } from '../../../lambda/actions/perform-action.ts';
import { planRun } from '../../../lambda/foresight/plan-run.ts';
import { HISTORY_TABLES } from '../../../lambda/history/history-tables.ts';
import type { LayoutName } from '../../../lambda/migration/layout.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import type { Version } from '../../../lambda/migration/version.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import type { RunRequest } from '../../../lambda/run/run.ts';
import { runMigrations } from '../../../lambda/run/run-migrations.ts';
import { rowsOf, type ToolTable } from '../../../local/peers/table.ts';
import { type FreshDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/**
 * Histories that the tools themselves have written (`npm run test:peers -- --fixtures`): the table with the first of three
 * migrations applied, its rows once the tool has applied all three, and those after it has taken the last one back.
 */
interface Fixture extends ToolTable {
  readonly writtenBy: string;
  readonly layout: LayoutName;
  readonly folder: string;
  readonly first: readonly Row[];
  readonly all: readonly Row[];
  /** Absent where the tool, as it is given away, has no way back: then its rows have to be those without the last. */
  readonly undone?: readonly Row[];
}

type Row = Readonly<Record<string, unknown>>;

const FIXTURES = join(import.meta.dirname, 'fixtures');

const fixtures = readdirSync(FIXTURES).map((name) => {
  const home = join(FIXTURES, name);
  const fixture = JSON.parse(readFileSync(join(home, 'history.json'), 'utf8')) as Fixture;
  return { ...fixture, name, home };
});

/** The first migration is applied: its table is there, and the tool's. */
async function handedOver({ home }: { readonly home: string }): Promise<FreshDatabase> {
  const database = await freshDatabase();
  await database.query('create table a (id int)');
  await database.query(readFileSync(join(home, 'history.sql'), 'utf8'));
  return database;
}

type Given = (typeof fixtures)[number];

function requestOf({ home, folder, layout }: Given, { url }: FreshDatabase): RunRequest {
  const directory = join(home, 'home', folder);
  return {
    // Without its name it has to be found out too; sqlx's files of both directions are golang-migrate's as well.
    migrations: compileLinted(directory, layout === 'sqlx' || layout === 'supabase' ? { layout } : {}),
    target: parseConnectionUrl(url, 'The URL'),
    options: defaultOptions,
    cause: { kind: 'command line', actor: 'test' },
    deadline: undefined,
    report: () => undefined,
  };
}

const recorded = async (database: FreshDatabase): Promise<readonly string[]> =>
  (
    await database.query<{ line: string }>(
      `select version || ' ' || string_agg(distinct state, ', ') as line
         from migrations.step group by position, version order by position`,
    )
  ).map(({ line }) => line);

describe.each(fixtures)('a history that $writtenBy wrote', (fixture) => {
  it('is taken over, and gets the rows that the tool itself would have written', async () => {
    const database = await handedOver(fixture);
    const request = requestOf(fixture, database);
    const [one, two, three] = request.migrations.migrations.map(({ version }) => version);
    expect(request.migrations.layout).toBe(fixture.layout);
    expect(await rowsOf(database.url, fixture)).toEqual(fixture.first);

    const planned = await planRun(request.target, request);
    expect(planned.refused).toBeUndefined();
    expect(planned.edited).toEqual([]);
    expect(planned.adopted).toHaveLength(1);
    expect([...new Set(planned.files.map(({ version }) => version))]).toEqual([two, three]);

    await runMigrations(request);
    expect(await recorded(database)).toEqual([`${one} baselined`, `${two} applied`, `${three} applied`]);
    expect(await rowsOf(database.url, fixture)).toEqual(fixture.all);
    expect((await runMigrations(request)).applied).toEqual([]);
  });

  it('goes back to what the tool itself would have left', async () => {
    const database = await handedOver(fixture);
    const request = requestOf(fixture, database);
    const [, two, three] = request.migrations.migrations;
    await runMigrations(request);
    expect(three?.undo).toBeDefined();
    await performAction({ action: 'undo', to: two?.version as Version, confirm: true }, request);
    expect(await database.query("select from pg_class where relname = 'c'")).toEqual([]);
    expect(await rowsOf(database.url, fixture)).toEqual(fixture.undone ?? fixture.all.slice(0, -1));
  });
});

describe.each(fixtures)('what is taken as applied by hand, with a table of $name', (fixture) => {
  it('gets the row that the tool would have written, and loses it when it is forgotten', async () => {
    const database = await handedOver(fixture);
    const request = requestOf(fixture, database);
    const three = request.migrations.migrations.at(-1)?.version as Version;
    await performAction({ action: 'baseline', version: three, confirm: true }, request);
    expect(await rowsOf(database.url, fixture)).toEqual(fixture.all);
    expect((await runMigrations(request)).applied).toEqual([]);
    await performAction({ action: 'repair', version: three, forget: true, confirm: true }, request);
    expect(await rowsOf(database.url, fixture)).toEqual(fixture.undone ?? fixture.all.slice(0, -1));
  });
});

it.each([
  ['sqlx', '3_c.up.sql', 'checksum'],
  ['flyway', 'V2__c.sql', 'checksum'],
])(
  'a changed file that is accepted has its new checksum in the table of %s too',
  async (name, file, column) => {
    const fixture = fixtures.find((each) => each.name === name) as Given;
    const database = await handedOver(fixture);
    await runMigrations(requestOf(fixture, database));
    const home = temporaryFolder();
    cpSync(fixture.home, home, { recursive: true });
    writeFileSync(join(home, 'home', fixture.folder, file), 'create table c (id bigint);\n');
    const changed = requestOf({ ...fixture, home }, database);
    await expect(runMigrations(changed)).rejects.toThrow('was applied with other statements');
    const third = changed.migrations.migrations[2];
    await performAction(
      { action: 'repair', version: third?.version as Version, accept: 'checksum', confirm: true },
      changed,
    );
    const rows = await rowsOf(database.url, fixture);
    const written = rows.at(-1)?.[column];
    expect(String(written).replace('\\x', '')).toBe(third?.record?.checksum);
    expect(rows).toEqual([...fixture.all.slice(0, -1), { ...fixture.all.at(-1), [column]: written }]);
  },
);

it("Liquibase's table names the files by their place as seen from another folder", async () => {
  const fixture = fixtures.find(({ layout }) => layout === 'liquibase') as Given;
  const database = await handedOver(fixture);
  await database.query(`update databasechangelog set filename = 'db/' || filename`);
  const request = requestOf(fixture, database);
  await runMigrations(request);
  expect((await recorded(database)).map((line) => line.split(' ')[1])).toEqual([
    'baselined',
    'applied',
    'applied',
  ]);
  const files = await database.query('select distinct filename from databasechangelog');
  expect(files).toEqual([{ filename: 'db/changelog.sql' }]);
  const second = request.migrations.migrations[1]?.version as Version;
  await performAction({ action: 'undo', to: second, confirm: true }, request);
  expect(await database.query('select from databasechangelog')).toHaveLength(2);
});

const OTHER = '"my schema"."The ""history"".of it"';

/** The tool was told to call its table otherwise. */
async function renamed(fixture: Given): Promise<FreshDatabase> {
  const database = await handedOver(fixture);
  const [own, schema = 'public'] = fixture.table.split('.').reverse();
  await database.query(
    `create schema "my schema"; alter table ${schema}.${own} set schema "my schema";
     alter table "my schema".${own} rename to "The ""history"".of it"`,
  );
  return database;
}

// Alembic's own script says how its table is called.
describe.each(fixtures.filter(({ layout }) => layout !== 'alembic'))(
  'a table of $name that has another name',
  (fixture) => {
    it('is read, written and taken back by the name that is given', async () => {
      const database = await renamed(fixture);
      const request = requestOf(fixture, database);
      const named = { ...request, options: { ...request.options, historyTable: OTHER } };
      const [one, two, three] = request.migrations.migrations.map(({ version }) => version);
      await runMigrations(named);
      expect(await recorded(database)).toEqual([`${one} baselined`, `${two} applied`, `${three} applied`]);
      const there = { ...fixture, table: OTHER };
      expect(await rowsOf(database.url, there)).toEqual(fixture.all);
      await performAction({ action: 'undo', to: two as Version, confirm: true }, named);
      expect(await rowsOf(database.url, there)).toEqual(fixture.undone ?? fixture.all.slice(0, -1));
    });

    it.skipIf(HISTORY_TABLES[fixture.layout]?.others === undefined)(
      'and is not given stops the run, and the plan, before anything is applied twice',
      async () => {
        const database = await renamed(fixture);
        const request = requestOf(fixture, database);
        const refusal = `${OTHER} has its columns.`;
        await expect(runMigrations(request)).rejects.toThrow(refusal);
        await expect(planRun(request.target, request)).rejects.toThrow(refusal);
        expect(await database.query("select from pg_namespace where nspname = 'migrations'")).toEqual([]);
      },
    );
  },
);

it('there is one of every tool whose table is known', () => {
  const layouts = new Set(fixtures.map(({ layout }) => layout));
  expect([...layouts].sort()).toEqual(Object.keys(HISTORY_TABLES).sort());
});
