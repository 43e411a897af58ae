import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { buildSync } from 'esbuild';
import { compileMigrations } from '../compiler/steps/compile-migrations.ts';
import { libpqEnvironment, runChild } from './child.ts';

/** A tool that applies migrations, as a program with its own folder. */
export interface Contender {
  readonly name: string;
  /** Writes this many migrations, a table and an index each, in the tool's form. */
  prepare(folder: string, count: number): Promise<void>;
  /** Applies what is pending; resolves with the seconds that the program took. */
  apply(folder: string, url: string): Promise<number>;
  /** What has to be installed on this machine, and how to get it. */
  readonly needs?: { readonly file: string; readonly advice: string };
  /** It keeps no record of what it applied, so a second run makes no sense. */
  readonly forgetful?: boolean;
}

const peers = join(import.meta.dirname, 'peers');
const node = process.execPath;
const advice = 'run npm ci in bench/peers';

function sql(number: number): readonly [table: string, index: string] {
  const table = `table_${number}`;
  return [
    `create table ${table} (id bigint, user_id bigint);`,
    `create index ${table}_user on ${table} (user_id);`,
  ];
}

function writeAll(
  folder: string,
  count: number,
  name: (number: number) => string,
  text: (number: number) => string,
) {
  mkdirSync(folder, { recursive: true });
  for (let number = 1; number <= count; number += 1) writeFileSync(join(folder, name(number)), text(number));
}

const fourDigits = (number: number) => `${String(number).padStart(4, '0')}_table.sql`;

export const ours: Contender = {
  name: 'cdk-postgres-migrations',
  async prepare(folder, count) {
    const files = join(folder, 'migrations');
    writeAll(files, count, fourDigits, (number) => sql(number).join('\n'));
    writeFileSync(join(folder, 'migrations.json'), JSON.stringify(await compileMigrations(files)));
    buildSync({
      entryPoints: [join(import.meta.dirname, 'apply-compiled.ts')],
      outfile: join(folder, 'apply.mjs'),
      bundle: true,
      format: 'esm',
      platform: 'node',
      minify: true,
      keepNames: true,
      external: ['pg-native', '@aws-sdk/*'],
      banner: {
        js: "import{createRequire as bundleRequire}from'node:module';const require=bundleRequire(import.meta.url);",
      },
    });
  },
  apply: (folder, url) =>
    runChild([node, join(folder, 'apply.mjs'), join(folder, 'migrations.json')], { DATABASE_URL: url }),
};

export const psql: Contender = {
  name: 'psql, one transaction',
  forgetful: true,
  needs: { file: onPath('psql'), advice: 'install the PostgreSQL client' },
  async prepare(folder, count) {
    writeAll(folder, count, fourDigits, (number) => sql(number).join('\n'));
  },
  apply: (folder, url) =>
    runChild(
      [
        'psql',
        ...['--no-psqlrc', '--quiet', '--single-transaction', '--set', 'ON_ERROR_STOP=1'],
        ...readdirSync(folder)
          .sort()
          .flatMap((file) => ['--file', join(folder, file)]),
      ],
      libpqEnvironment(url),
    ),
};

const nodePgMigrate: Contender = {
  name: 'node-pg-migrate',
  needs: { file: join(peers, 'node_modules/node-pg-migrate'), advice },
  async prepare(folder, count) {
    writeAll(
      folder,
      count,
      (number) => `${1_700_000_000_000 + number}_table.sql`,
      (number) => `-- Up Migration\n${sql(number).join('\n')}\n-- Down Migration\n`,
    );
  },
  apply: (folder, url) =>
    runChild([node, join(peers, 'node_modules/node-pg-migrate/bin/node-pg-migrate.js'), 'up', '-m', folder], {
      DATABASE_URL: url,
    }),
};

const drizzle: Contender = {
  name: 'Drizzle',
  needs: { file: join(peers, 'node_modules/drizzle-orm'), advice },
  async prepare(folder, count) {
    const tag = (number: number) => `${String(number).padStart(4, '0')}_table`;
    writeAll(
      folder,
      count,
      (number) => `${tag(number)}.sql`,
      (number) => sql(number).join('\n--> statement-breakpoint\n'),
    );
    const entries = Array.from({ length: count }, (_, at) => ({
      idx: at,
      version: '7',
      when: 1_700_000_000_000 + at,
      tag: tag(at + 1),
      breakpoints: true,
    }));
    mkdirSync(join(folder, 'meta'), { recursive: true });
    const journal = { version: '7', dialect: 'postgresql', entries };
    writeFileSync(join(folder, 'meta', '_journal.json'), JSON.stringify(journal));
  },
  apply: (folder, url) => runChild([node, join(peers, 'drizzle.mjs'), folder], { DATABASE_URL: url }),
};

const dbmate: Contender = {
  name: 'dbmate',
  needs: { file: join(peers, 'node_modules/dbmate'), advice },
  async prepare(folder, count) {
    writeAll(
      folder,
      count,
      (number) => `${20_240_000_000_000 + number}_table.sql`,
      (number) => `-- migrate:up\n${sql(number).join('\n')}\n-- migrate:down\n`,
    );
  },
  apply: (folder, url) =>
    runChild(
      [
        node,
        join(peers, 'node_modules/dbmate/dist/cli.js'),
        ...['--migrations-dir', folder, '--no-dump-schema', 'migrate'],
      ],
      { DATABASE_URL: `${url}?sslmode=disable` },
    ),
};

export interface Contenders {
  readonly here: readonly Contender[];
  /** Names of contenders that are not installed on this machine. */
  readonly absent: readonly string[];
}

export function contenders(say: (line: string) => void): Contenders {
  const all = [ours, psql, nodePgMigrate, drizzle, dbmate];
  const isHere = ({ needs }: Contender) => needs === undefined || existsSync(needs.file);
  const absent = all.filter((contender) => !isHere(contender));
  for (const { name, needs } of absent) say(`${name} is not here and is left out: ${needs?.advice}.`);
  return { here: all.filter(isHere), absent: absent.map(({ name }) => name) };
}

function onPath(program: string): string {
  const directories = (process.env.PATH ?? '').split(':').filter((directory) => directory !== '');
  const found = directories.map((directory) => join(directory, program)).find((file) => existsSync(file));
  return found ?? join(dirname('/nowhere/'), program);
}
