import { createHash } from 'node:crypto';

export type Command = readonly [file: string, ...args: string[]];

/** Where a hand-over takes place. */
export interface Place {
  /** The tool's home: its configuration and its folder of migrations. */
  readonly folder: string;
  readonly url: string;
}

/** Another tool. */
export interface Peer {
  readonly name: string;
  /** A program that has to be on PATH, as npm does not have it. @default from npm, in local/peers/tools */
  readonly program?: string;
  /** Prints its version, after these words. */
  readonly version: { readonly command: Command; readonly after?: string };
  /** Writes its home, with this many of three migrations. */
  readonly files: (count: number) => Readonly<Record<string, string>>;
  /** The folder that we read, in its home. @default the home */
  readonly ours?: string;
  /** Runs before we read the folder; what it prints goes into the file. */
  readonly prepare?: (place: Place) => readonly { readonly command: Command; readonly into?: string }[];
  /** Applies all of the folder; run in the folder of the tools. */
  readonly apply: (place: Place) => Command;
  /** Fails if the tool finds something wrong or something to do. */
  readonly check?: (place: Place) => Command;
  /** What a successful check has to print. */
  readonly clean?: RegExp;
  /** Undoes the newest. */
  readonly undo?: (place: Place) => Command;
  /** Its table, and what its rows are ordered by. */
  readonly table: string;
  readonly orderBy: string;
  /** Which rows count. @default all */
  readonly inForce?: string;
  /** Columns that differ with each run. */
  readonly changing: readonly string[];
  /** How many rows the table has for this many migrations. @default one for each */
  readonly rows?: (count: number) => number;
}

/** A table, an index that can't be built in a transaction if the tool can say so, and a table. */
const A = 'create table a (id int);\n';
const INDEX = 'create index concurrently a_id on a (id);\n';
const B = 'create table b (id int);\n';
const C = 'create table c (id int);\n';

function upTo(count: number, files: readonly Readonly<Record<string, string>>[]): Record<string, string> {
  return Object.assign({}, ...files.slice(0, count));
}

const bin = (name: string) => `node_modules/.bin/${name}`;

/** The same address in the form for tools in Go and Java. */
const withoutTls = (url: string) => `${url}?sslmode=disable`;

function jdbc(url: string): { readonly url: string; readonly user: string; readonly password: string } {
  const { host, pathname, username, password } = new URL(url);
  return { url: `jdbc:postgresql://${host}${pathname}`, user: username, password };
}

function graphileFiles(count: number): Record<string, string> {
  let previous: string | undefined;
  const files = [A, B, C].map((body, at) => {
    const hash = `sha1:${createHash('sha1')
      .update(`${`${previous ?? ''}\n${body.trim()}`.trim()}\n`)
      .digest('hex')}`;
    const text = `--! Previous: ${previous ?? '-'}\n--! Hash: ${hash}\n\n${body}`;
    previous = hash;
    return {
      [`committed/00000${at + 1}.sql`]: text,
      ...(at === 2 && { 'down/000003.sql': 'drop table c;\n' }),
    };
  });
  return { 'current.sql': '', ...upTo(count, files) };
}

const DRIZZLE_CONFIG = `module.exports = {
  dialect: 'postgresql',
  out: __dirname,
  dbCredentials: { url: process.env.DATABASE_URL },
};
`;

const ALEMBIC_ENV = `import os
from alembic import context
from sqlalchemy import create_engine

url = os.environ["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1)
if context.is_offline_mode():
    context.configure(url=url, literal_binds=True, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url).connect() as connection:
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()
`;

const alembicRevision = (id: string, parent: string | undefined, up: string, down: string) =>
  `from alembic import op

revision = "${id}"
down_revision = ${parent === undefined ? 'None' : `"${parent}"`}


def upgrade():
${up}

def downgrade():
${down}`;

const LIQUIBASE = [
  `--liquibase formatted sql\n\n--changeset ada:1\n${A}--rollback drop table a;\n`,
  `\n--changeset ada:2 runInTransaction:false\n${INDEX}--rollback drop index a_id;\n`,
  `\n--changeset ada:third-one\n--comment the last\n${C}--rollback drop table c;\n`,
];

export const peers: readonly Peer[] = [
  {
    name: 'prisma',
    version: { command: [process.execPath, 'prisma.mjs', 'version'] },
    files: (count) => ({
      'migration_lock.toml': 'provider = "postgresql"\n',
      ...upTo(count, [
        { '20240101000000_a/migration.sql': A },
        { '20240102000000_b/migration.sql': B },
        { '20240103000000_c/migration.sql': C, '20240103000000_c/down.sql': 'drop table c;\n' },
      ]),
    }),
    apply: ({ folder, url }) => [process.execPath, 'prisma.mjs', 'deploy', url, folder],
    check: ({ folder, url }) => [process.execPath, 'prisma.mjs', 'status', url, folder],
    clean: /Database schema is up to date!/,
    table: '_prisma_migrations',
    orderBy: 'started_at',
    inForce: 'rolled_back_at is null',
    changing: ['id', 'started_at', 'finished_at', 'rolled_back_at'],
  },
  {
    name: 'drizzle',
    version: { command: [process.execPath, 'drizzle.mjs', 'drizzle-orm', 'version'] },
    files: (count) => ({
      'drizzle.config.cjs': DRIZZLE_CONFIG,
      'meta/_journal.json': JSON.stringify({
        version: '7',
        dialect: 'postgresql',
        entries: ['a', 'b', 'c'].slice(0, count).map((table, idx) => ({
          idx,
          version: '7',
          when: 1_700_000_000_000 + idx,
          tag: `000${idx}_${table}`,
          breakpoints: true,
        })),
      }),
      ...upTo(count, [
        { '0000_a.sql': A },
        { '0001_b.sql': B },
        { '0002_c.sql': C, '0002_c.down.sql': 'drop table c;\n' },
      ]),
    }),
    // Its command line, and what an application calls itself: both have to find the same.
    apply: ({ folder }) => [bin('drizzle-kit'), 'migrate', `--config=${folder}/drizzle.config.cjs`],
    check: ({ folder, url }) => [process.execPath, 'drizzle.mjs', 'drizzle-orm', url, folder],
    table: 'drizzle.__drizzle_migrations',
    orderBy: 'id',
    changing: [],
  },
  {
    name: 'drizzle-v1',
    version: { command: [process.execPath, 'drizzle.mjs', 'drizzle-orm-v1', 'version'] },
    files: (count) =>
      upTo(
        count,
        ['a', 'b', 'c'].map((table, at) => ({
          [`2024010${at + 1}030405_${table}/migration.sql`]: `create table ${table} (id int);\n`,
          [`2024010${at + 1}030405_${table}/snapshot.json`]: '{}',
          [`2024010${at + 1}030405_${table}/down.sql`]: `drop table ${table};\n`,
        })),
      ),
    apply: ({ folder, url }) => [process.execPath, 'drizzle.mjs', 'drizzle-orm-v1', url, folder],
    table: 'drizzle.__drizzle_migrations',
    orderBy: 'id',
    changing: ['applied_at'],
  },
  {
    name: 'dbmate',
    version: { command: [bin('dbmate'), '--version'] },
    files: (count) =>
      upTo(count, [
        { '0001_a.sql': `-- migrate:up\n${A}\n-- migrate:down\ndrop table a;\n` },
        {
          '0002_index.sql': `-- migrate:up transaction:false\n${INDEX}\n-- migrate:down transaction:false\ndrop index concurrently a_id;\n`,
        },
        { '0003_c.sql': `-- migrate:up\n${C}\n-- migrate:down\ndrop table c;\n` },
      ]),
    apply: ({ folder, url }) => dbmate(folder, url, 'up'),
    check: ({ folder, url }) => dbmate(folder, url, 'status', '--exit-code'),
    undo: ({ folder, url }) => dbmate(folder, url, 'down'),
    table: 'schema_migrations',
    orderBy: 'version',
    changing: [],
  },
  {
    name: 'goose',
    program: 'goose',
    version: { command: ['goose', '--version'] },
    files: (count) =>
      upTo(count, [
        { '00001_a.sql': `-- +goose Up\n${A}\n-- +goose Down\ndrop table a;\n` },
        {
          '00002_index.sql': `-- +goose NO TRANSACTION\n-- +goose Up\n${INDEX}\n-- +goose Down\ndrop index concurrently a_id;\n`,
        },
        {
          '00003_c.sql': `-- +goose Up\n-- +goose StatementBegin\ncreate table c (id int)\n-- +goose StatementEnd\n\n-- +goose Down\ndrop table c;\n`,
        },
      ]),
    apply: ({ folder, url }) => ['goose', '-dir', folder, 'postgres', withoutTls(url), 'up'],
    check: ({ folder, url }) => ['goose', '-dir', folder, 'postgres', withoutTls(url), 'status'],
    clean: /^(?!.*Pending)/s,
    undo: ({ folder, url }) => ['goose', '-dir', folder, 'postgres', withoutTls(url), 'down'],
    table: 'goose_db_version',
    orderBy: 'id',
    changing: ['tstamp', 'id'],
    rows: (count) => count + 1,
  },
  {
    name: 'golang-migrate',
    program: 'migrate',
    // Built by `go install`, it does not know its version.
    version: {
      command: ['sh', '-c', 'go version -m "$(command -v migrate)"'],
      after: 'github.com/golang-migrate/migrate/v4',
    },
    files: (count) =>
      upTo(count, [
        { '000001_a.up.sql': A, '000001_a.down.sql': 'drop table a;\n' },
        { '000002_index.up.sql': INDEX, '000002_index.down.sql': 'drop index concurrently a_id;\n' },
        { '000003_c.up.sql': C, '000003_c.down.sql': 'drop table c;\n' },
      ]),
    apply: ({ folder, url }) => ['migrate', '-path', folder, '-database', withoutTls(url), 'up'],
    undo: ({ folder, url }) => ['migrate', '-path', folder, '-database', withoutTls(url), 'down', '1'],
    table: 'schema_migrations',
    orderBy: 'version',
    changing: [],
    rows: () => 1,
  },
  {
    name: 'sqlx',
    program: 'sqlx',
    version: { command: ['sqlx', '--version'], after: 'sqlx' },
    files: (count) =>
      upTo(count, [
        { '1_the_first.up.sql': A, '1_the_first.down.sql': 'drop table a;\n' },
        {
          '2_index.up.sql': `-- no-transaction\n${INDEX}`,
          '2_index.down.sql': '-- no-transaction\ndrop index concurrently a_id;\n',
        },
        { '3_c.up.sql': C, '3_c.down.sql': 'drop table c;\n' },
      ]),
    apply: ({ folder, url }) => ['sqlx', 'migrate', 'run', '--source', folder, '--database-url', url],
    check: ({ folder, url }) => ['sqlx', 'migrate', 'info', '--source', folder, '--database-url', url],
    clean: /^(?!.*(?:pending|different))/s,
    undo: ({ folder, url }) => ['sqlx', 'migrate', 'revert', '--source', folder, '--database-url', url],
    table: '_sqlx_migrations',
    orderBy: 'version',
    changing: ['installed_on', 'execution_time'],
  },
  {
    name: 'supabase',
    version: { command: [bin('supabase'), '--version'] },
    ours: 'supabase/migrations',
    files: (count) => ({
      'supabase/config.toml': 'project_id = "peer"\n',
      ...upTo(count, [
        { 'supabase/migrations/20240101000000_a.sql': `${A}insert into a values (1), (2);\n` },
        {
          'supabase/migrations/20240102000000_the_function.sql':
            "create function f() returns text language sql as $$ select 'a;b' $$;\n\ncreate table b (id int);\n",
        },
        {
          'supabase/migrations/20240103000000_c.sql': C,
          'supabase/migrations/down/20240103000000_c.sql': 'drop table c;\n',
        },
      ]),
    }),
    apply: ({ folder, url }) => supabase(folder, url, 'up'),
    check: ({ folder, url }) => supabase(folder, url, 'list'),
    table: 'supabase_migrations.schema_migrations',
    orderBy: 'version',
    changing: [],
  },
  {
    name: 'node-pg-migrate',
    version: { command: [bin('node-pg-migrate'), '--version'] },
    files: (count) =>
      upTo(
        count,
        ['a', 'b', 'c'].map((table, at) => ({
          [`170000000000${at + 1}_${table}.sql`]: `-- Up Migration\ncreate table ${table} (id int);\n\n-- Down Migration\ndrop table ${table};\n`,
        })),
      ),
    apply: ({ folder, url }) => nodePgMigrate(folder, url, 'up'),
    undo: ({ folder, url }) => nodePgMigrate(folder, url, 'down'),
    table: 'pgmigrations',
    orderBy: 'id',
    changing: ['run_on', 'id'],
  },
  {
    name: 'flyway',
    program: 'flyway',
    version: { command: ['flyway', 'version'] },
    files: (count) =>
      upTo(count, [
        { 'V1__the_first.sql': `-- A note.\n\n${A}` },
        { 'V1_1__index.sql': INDEX },
        { 'V2__c.sql': C, 'U2__c.sql': 'drop table c;\n' },
      ]),
    apply: ({ folder, url }) => flyway(folder, url, 'migrate'),
    check: ({ folder, url }) => flyway(folder, url, 'validate'),
    table: 'flyway_schema_history',
    orderBy: 'installed_rank',
    changing: ['installed_by', 'installed_on', 'execution_time'],
  },
  {
    name: 'graphile-migrate',
    version: { command: [process.execPath, 'graphile.mjs', 'version'] },
    files: graphileFiles,
    apply: ({ folder, url }) => [process.execPath, 'graphile.mjs', url, folder],
    table: 'graphile_migrate.migrations',
    orderBy: 'filename',
    changing: ['date'],
  },
  {
    name: 'atlas',
    program: 'atlas',
    version: { command: ['atlas', 'version'] },
    files: (count) =>
      upTo(count, [
        { '20240101000000_a.sql': `${A}insert into a values (1);\n` },
        { '20240102000000_index.sql': `-- atlas:txmode none\n\n${INDEX}` },
        { '20240103000000_c.sql': C, 'down/20240103000000_c.sql': 'drop table c;\n' },
      ]),
    prepare: ({ folder }) => [{ command: ['atlas', 'migrate', 'hash', '--dir', `file://${folder}`] }],
    apply: (place) => atlas(place, 'apply'),
    check: (place) => atlas(place, 'status'),
    clean: /Migration Status: OK/,
    table: 'atlas_schema_revisions.atlas_schema_revisions',
    orderBy: 'version',
    changing: ['executed_at', 'execution_time', 'operator_version'],
  },
  {
    name: 'alembic',
    program: 'alembic',
    version: { command: ['alembic', '--version'] },
    ours: 'sql',
    files: (count) => ({
      'alembic.ini': '[alembic]\nscript_location = %(here)s\n',
      'env.py': ALEMBIC_ENV,
      'sql/alembic.sql': '',
      ...upTo(count, [
        {
          'versions/a.py': alembicRevision(
            '1975ea83b712',
            undefined,
            '    op.execute("create table a (id int)")\n',
            '    op.drop_table("a")\n',
          ),
        },
        {
          'versions/b.py': alembicRevision(
            'ae1027a6acf0',
            '1975ea83b712',
            '    with op.get_context().autocommit_block():\n        op.create_index("a_id", "a", ["id"], postgresql_concurrently=True)\n',
            '    op.drop_index("a_id")\n',
          ),
        },
        {
          'versions/c.py': alembicRevision(
            '27c6a30d7c24',
            'ae1027a6acf0',
            '    op.execute("create table c (id int)")\n',
            '    op.drop_table("c")\n',
          ),
        },
      ]),
    }),
    prepare: (place) => [
      { command: alembic(place, 'upgrade', 'base:head', '--sql'), into: 'sql/alembic.sql' },
      { command: alembic(place, 'downgrade', 'head:base', '--sql'), into: 'sql/alembic.down.sql' },
    ],
    apply: (place) => alembic(place, 'upgrade', 'head'),
    check: (place) => alembic(place, 'current', '--check-heads'),
    undo: (place) => alembic(place, 'downgrade', '-1'),
    table: 'alembic_version',
    orderBy: 'version_num',
    changing: [],
    rows: () => 1,
  },
  {
    name: 'diesel',
    program: 'diesel',
    version: { command: ['diesel', '--version'] },
    files: (count) =>
      upTo(count, [
        { '2024-01-01-000000_a/up.sql': A, '2024-01-01-000000_a/down.sql': 'drop table a;\n' },
        {
          '2024-01-01-000000-0000_index/up.sql': INDEX,
          '2024-01-01-000000-0000_index/down.sql': 'drop index concurrently a_id;\n',
          '2024-01-01-000000-0000_index/metadata.toml': 'run_in_transaction = false\n',
        },
        { '2024-01-03-000000-0000_c/up.sql': C, '2024-01-03-000000-0000_c/down.sql': 'drop table c;\n' },
      ]),
    apply: (place) => diesel(place, 'run'),
    check: (place) => diesel(place, 'list'),
    clean: /^(?!.*\[ \])/s,
    undo: (place) => diesel(place, 'revert'),
    table: '__diesel_schema_migrations',
    orderBy: 'version',
    changing: ['run_on'],
  },
  {
    name: 'liquibase',
    program: 'liquibase',
    version: { command: ['liquibase', '--version'], after: 'Liquibase Version:' },
    files: (count) => ({ 'changelog.sql': LIQUIBASE.slice(0, count).join('') }),
    apply: ({ folder, url }) => liquibase(folder, url, 'update'),
    check: ({ folder, url }) => liquibase(folder, url, 'status'),
    clean: /is up to date/,
    undo: ({ folder, url }) => liquibase(folder, url, 'rollback-count', '1'),
    table: 'databasechangelog',
    orderBy: 'orderexecuted',
    changing: ['dateexecuted', 'deployment_id', 'md5sum', 'liquibase'],
  },
];

function dbmate(folder: string, url: string, ...verb: string[]): Command {
  return [bin('dbmate'), '--url', withoutTls(url), '--migrations-dir', folder, '--no-dump-schema', ...verb];
}

function nodePgMigrate(folder: string, url: string, verb: string): Command {
  return [bin('node-pg-migrate'), verb, '--migrations-dir', folder, '--database-url', url];
}

function supabase(folder: string, url: string, verb: string): Command {
  return [bin('supabase'), '--workdir', folder, 'migration', verb, '--db-url', withoutTls(url)];
}

function flyway(folder: string, url: string, verb: string): Command {
  const { url: address, user, password } = jdbc(url);
  return [
    'flyway',
    `-url=${address}`,
    `-user=${user}`,
    `-password=${password}`,
    `-locations=filesystem:${folder}`,
    // Otherwise its lock is a transaction that CREATE INDEX CONCURRENTLY waits for forever.
    '-postgresql.transactional.lock=false',
    verb,
  ];
}

function atlas({ folder, url }: Place, verb: string): Command {
  return ['atlas', 'migrate', verb, '--dir', `file://${folder}`, '--url', withoutTls(url)];
}

function alembic({ folder }: Place, ...args: string[]): Command {
  return ['alembic', '-c', `${folder}/alembic.ini`, ...args];
}

function diesel({ folder, url }: Place, verb: string): Command {
  return ['diesel', 'migration', verb, '--migration-dir', folder, '--database-url', url];
}

function liquibase(folder: string, url: string, ...verb: string[]): Command {
  const { url: address, user, password } = jdbc(url);
  return [
    'liquibase',
    `--search-path=${folder}`,
    '--changelog-file=changelog.sql',
    `--url=${address}`,
    `--username=${user}`,
    `--password=${password}`,
    ...verb,
  ];
}
