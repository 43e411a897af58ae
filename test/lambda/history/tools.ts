import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { performAction } from '../../../lambda/actions/perform-action.ts';
import { planRun } from '../../../lambda/foresight/plan-run.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { firstOf } from '../../support/exhaustive.ts';
import { compile, type Files, freshScenario, type Scenario } from '../run/scenario.ts';

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const sha384 = (text: string) => createHash('sha384').update(text).digest('hex');

export const A = 'create table a (id int);\n';
export const B = 'create table b (id int);\n';
export const C = 'create table c (id int);\n';

/** A database and a folder as a tool leaves them. */
export interface Tool {
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

/** Its table is the same, whatever its files are called. */
const sqlx: Omit<Tool, 'name' | 'files'> = {
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
};

export const TOOLS: readonly Tool[] = [
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
    ...sqlx,
    name: 'sqlx',
    files: {
      '1_first_a.sql': `-- no-transaction\n${A}`,
      '2_b.sql': B,
      '3_c_table.up.sql': C,
      '3_c_table.down.sql': 'drop table c;',
    },
  },
  {
    ...sqlx,
    name: 'sqlx, with names as golang-migrate has them',
    files: {
      '1_first_a.up.sql': `-- no-transaction\n${A}`,
      '2_b.up.sql': B,
      '3_c_table.up.sql': C,
      '3_c_table.down.sql': 'drop table c;',
    },
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

export const requestOf = async (scenario: Scenario, files: Files) => ({
  migrations: await compile(files),
  target: parseConnectionUrl(scenario.database.url, 'The URL'),
  options: { ...defaultOptions, smallTableRows: 100 },
  cause: { kind: 'command line' as const, actor: 'test' },
  deadline: undefined,
  report: () => undefined,
});

export const says = async (scenario: Scenario, sql: string) =>
  (await scenario.query(sql)).map((row) => String(Object.values(row)[0]));

export const recorded = async (scenario: Scenario) =>
  says(scenario, `select version || ' ' || state from migrations.step order by position, step`);

/** The stories that each tool's table is put through. */
export function handOverStories(tools: readonly Tool[]): void {
  describe.each(firstOf(3, tools))(
    'a database of $name',
    ({ files, made, adds, says: asked, expected, undone, names }) => {
      it('is handed over in the middle: what is applied is taken over, the rest is applied and written there too', async () => {
        const scenario = await freshScenario();
        await scenario.query(`${made}; create table a (id int)`);
        const request = await requestOf(scenario, files);
        const planned = await planRun(request.target, request);
        expect(planned.adopted).toHaveLength(1);
        expect(planned.files.map(({ version }) => version)).toEqual(names.slice(1));
        expect(
          await says(scenario, `select count(*) from pg_namespace where nspname = 'migrations'`),
        ).toEqual(['0']);

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
    },
  );
}
