import { createHash } from 'node:crypto';

/** Another tool, as npm has it. */
export interface Peer {
  readonly name: string;
  /** Files of the folder, with the first so many of three migrations. */
  readonly files: (count: number) => Readonly<Record<string, string>>;
  /** What applies the folder; run in the folder of the tools. */
  readonly command: (folder: string, url: string) => readonly [file: string, ...args: string[]];
  /** The tool's rows, as text. */
  readonly history: string;
}

const TABLES = ['a', 'b', 'c'];

const make = (table: string) => `create table ${table} (id int);\n`;

function each(
  count: number,
  file: (table: string, number: number) => readonly [name: string, text: string],
): Record<string, string> {
  return Object.fromEntries(TABLES.slice(0, count).map((table, at) => file(table, at + 1)));
}

export const peers: readonly Peer[] = [
  {
    name: 'dbmate',
    files: (count) =>
      each(count, (table, number) => [
        `000${number}_${table}.sql`,
        `-- migrate:up\n${make(table)}\n-- migrate:down\ndrop table ${table};\n`,
      ]),
    command: (folder, url) => [
      'node_modules/.bin/dbmate',
      '--url',
      `${url}?sslmode=disable`,
      '--migrations-dir',
      folder,
      '--no-dump-schema',
      'up',
    ],
    history: 'select version as row from schema_migrations order by 1',
  },
  {
    name: 'node-pg-migrate',
    files: (count) =>
      each(count, (table, number) => [
        `170000000000${number}_${table}.sql`,
        `-- Up Migration\n${make(table)}\n-- Down Migration\ndrop table ${table};\n`,
      ]),
    command: (folder, url) => [
      'node_modules/.bin/node-pg-migrate',
      'up',
      '--migrations-dir',
      folder,
      '--database-url',
      url,
    ],
    history: 'select name as row from pgmigrations order by id',
  },
  {
    name: 'drizzle',
    files: (count) => ({
      'meta/_journal.json': JSON.stringify({
        version: '7',
        dialect: 'postgresql',
        entries: TABLES.slice(0, count).map((table, idx) => ({
          idx,
          version: '7',
          when: 1_700_000_000_000 + idx,
          tag: `000${idx}_${table}`,
          breakpoints: true,
        })),
      }),
      ...each(count, (table, number) => [`000${number - 1}_${table}.sql`, make(table)]),
    }),
    command: (folder, url) => [process.execPath, 'drizzle.mjs', url, folder],
    history: `select created_at || ' ' || hash as row from drizzle.__drizzle_migrations order by id`,
  },
  {
    name: 'graphile-migrate',
    files: (count) => {
      let previous: string | undefined;
      return {
        'current.sql': '',
        ...each(count, (table, number) => {
          const body = make(table);
          const hash = `sha1:${createHash('sha1')
            .update(`${`${previous ?? ''}\n${body.trim()}`.trim()}\n`)
            .digest('hex')}`;
          const text = `--! Previous: ${previous ?? '-'}\n--! Hash: ${hash}\n\n${body}`;
          previous = hash;
          return [`committed/00000${number}.sql`, text];
        }),
      };
    },
    command: (folder, url) => [process.execPath, 'graphile.mjs', url, folder],
    history: `select filename || ' ' || hash || ' ' || coalesce(previous_hash, '-') as row from graphile_migrate.migrations order by filename`,
  },
  {
    name: 'prisma',
    files: (count) => ({
      'migration_lock.toml': 'provider = "postgresql"\n',
      ...each(count, (table, number) => [`2024010${number}000000_${table}/migration.sql`, make(table)]),
    }),
    command: (folder, url) => [process.execPath, 'prisma.mjs', url, folder],
    history: `select migration_name || ' ' || checksum as row from _prisma_migrations order by started_at`,
  },
];
