import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { compileLinted } from '../compiler/lint/lint-migrations.ts';
import type { LayoutName } from '../lambda/migration/layout.ts';

/**
 * How long synth waits for the compiler and the linter: a folder of files with a table and an index each, as each tool
 * lays it out, with undo parts if the tool has them, compiled once in a fresh process (the parser's start included).
 *
 *   npx tsx bench/compile.ts [files] [layout]
 */
const GOAL_SECONDS = 3;
const count = Number(process.argv[2] ?? 1000);
const layout = process.argv[3] as LayoutName | undefined;

type Files = Readonly<Record<string, string>>;

function up(at: number): string {
  return `-- Table number ${at}
create table table_${at} (
  id bigint generated always as identity primary key,
  user_id bigint not null,
  body text not null default '',
  created_at timestamptz not null default now()
);

create index concurrently table_${at}_user_created on table_${at} (user_id, created_at desc);
`;
}

const down = (at: number) => `drop table table_${at};\n`;
const numbers = Array.from({ length: count }, (_, at) => at + 1);
const digits = (at: number) => String(at).padStart(6, '0');
const time = (at: number) => `20240101${digits(at)}`;
const each = (file: (at: number) => Files): Files => Object.assign({}, ...numbers.map(file));
const sha = (kind: string, text: string) => createHash(kind).update(text).digest('hex');

const FOLDERS: Readonly<Record<LayoutName, () => Files>> = {
  plain: () => each((at) => ({ [`${digits(at)}_t.sql`]: up(at), [`${digits(at)}_t.down.sql`]: down(at) })),
  prisma: () => ({
    'migration_lock.toml': 'provider = "postgresql"\n',
    ...each((at) => ({ [`${time(at)}_t/migration.sql`]: up(at) })),
  }),
  drizzle: () => ({
    'meta/_journal.json': JSON.stringify({
      dialect: 'postgresql',
      entries: numbers.map((at) => ({ when: at, tag: `${digits(at)}_t` })),
    }),
    ...each((at) => ({ [`${digits(at)}_t.sql`]: up(at) })),
  }),
  dbmate: () =>
    each((at) => ({
      [`${digits(at)}_t.sql`]: `-- migrate:up transaction:false\n${up(at)}\n-- migrate:down\n${down(at)}`,
    })),
  goose: () =>
    each((at) => ({
      [`${digits(at)}_t.sql`]: `-- +goose NO TRANSACTION\n-- +goose Up\n${up(at)}\n-- +goose Down\n${down(at)}`,
    })),
  'golang-migrate': () =>
    each((at) => ({ [`${digits(at)}_t.up.sql`]: up(at), [`${digits(at)}_t.down.sql`]: down(at) })),
  sqlx: () => each((at) => ({ [`${digits(at)}_t.sql`]: `-- no-transaction\n${up(at)}` })),
  supabase: () => each((at) => ({ [`${time(at)}_t.sql`]: up(at) })),
  'node-pg-migrate': () =>
    each((at) => ({ [`${at}_t.sql`]: `-- Up Migration\n${up(at)}\n-- Down Migration\n${down(at)}` })),
  flyway: () => each((at) => ({ [`V${at}__t.sql`]: up(at), [`U${at}__t.sql`]: down(at) })),
  'graphile-migrate': () => {
    let previous = '';
    return each((at) => {
      const hash = `sha1:${sha('sha1', `${`${previous}\n${up(at).trim()}`.trim()}\n`)}`;
      const head = `--! Previous: ${previous === '' ? '-' : previous}\n--! Hash: ${hash}\n\n`;
      previous = hash;
      return { [`committed/${digits(at)}.sql`]: head + up(at) };
    });
  },
  atlas: () => {
    const [running, all] = [createHash('sha256'), createHash('sha256')];
    const files = each((at) => ({ [`${time(at)}_t.sql`]: up(at) }));
    const lines = Object.entries(files).map(([name, text]) => {
      const hash = running.update(name).update(text).copy().digest('base64');
      all.update(name).update(hash);
      return `${name} h1:${hash}\n`;
    });
    return { ...files, 'atlas.sum': `h1:${all.digest('base64')}\n${lines.join('')}` };
  },
  alembic: () => ({
    'alembic.sql': numbers
      .map((at) => `-- Running upgrade ${at === 1 ? '' : `r${at - 1}`} -> r${at}\n\n${up(at)}\n`)
      .join(''),
  }),
  diesel: () =>
    each((at) => ({
      [`2024-01-01-${digits(at)}_t/up.sql`]: up(at),
      [`2024-01-01-${digits(at)}_t/down.sql`]: down(at),
    })),
  liquibase: () => ({
    'all.sql': `--liquibase formatted sql\n${numbers
      .map((at) => `--changeset ada:${at} runInTransaction:false\n${up(at)}--rollback ${down(at)}`)
      .join('')}`,
  }),
};

function measure(name: LayoutName): void {
  const directory = mkdtempSync(join(tmpdir(), 'compile-'));
  try {
    for (const [file, text] of Object.entries(FOLDERS[name]())) {
      mkdirSync(dirname(join(directory, file)), { recursive: true });
      writeFileSync(join(directory, file), text);
    }
    const [start, cpu] = [performance.now(), process.cpuUsage()];
    const { migrations } = compileLinted(directory, { layout: name });
    const { user, system } = process.cpuUsage(cpu);
    const [wall, busy] = [(performance.now() - start) / 1000, (user + system) / 1e6];
    if (migrations.length !== count) throw new Error(`${name}: ${migrations.length} migrations`);
    console.log(`${name.padEnd(18)}${wall.toFixed(2).padStart(6)} s, ${busy.toFixed(2)} s of the processor`);
    if (busy > (GOAL_SECONDS * count) / 1000) process.exitCode = 1;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

if (layout !== undefined) measure(layout);
else {
  console.log(
    `${count} files, compiled and linted, Node ${process.version} (goal for 1000: under ${GOAL_SECONDS} s)`,
  );
  for (const name of Object.keys(FOLDERS)) {
    const args = [...process.execArgv, import.meta.filename, String(count), name];
    const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
}
