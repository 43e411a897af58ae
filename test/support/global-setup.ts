import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import {
  type EmbeddedPostgres,
  prepareCluster,
  startEmbeddedPostgres,
} from '../../local/postgres/embedded-postgres.ts';
import { buildCommandLine } from './command-line-bundle.ts';
import { expectEventually } from './expect-eventually.ts';
import { queryOnce, TEMPLATE } from './query-once.ts';

/** What tests need to know of the one server that they share. */
export interface SharedPostgres {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly logFile: string;
  /** 18, 17, … */
  readonly major: number;
}

declare module 'vitest' {
  export interface ProvidedContext {
    readonly sharedPostgres: SharedPostgres;
    /** A directory that goes away with the run: for what outlasts a test file. */
    readonly scratch: string;
    /** The command line in one file. */
    readonly commandLine: string;
  }
}

async function settingOf(url: string, name: string): Promise<string | undefined> {
  const [row] = await queryOnce<{ value: string }>(url, 'select current_setting($1) as value', [name]);
  return row?.value;
}

/** Tests make some ten thousand connections: SCRAM's thousands of rounds, and catalogs read anew, add up to minutes. */
async function makeCheap({ url, user, password, major }: Omit<EmbeddedPostgres, 'stop'>): Promise<void> {
  if (major >= 16) {
    await queryOnce(url, 'alter system set scram_iterations = 1');
    await queryOnce(url, 'select pg_reload_conf()');
    await expectEventually(async () => (await settingOf(url, 'scram_iterations')) === '1');
    await queryOnce(url, `alter role ${user} password '${password}'`);
  }
  const createTemplate = () => queryOnce(url, `create database ${TEMPLATE} template template0`);
  if (major >= 18) {
    // Read and written by the server, a copy takes a tenth of a second of processor time; by the kernel, a seventh of it.
    await queryOnce(url, "alter system set file_copy_method = 'clone'");
    await queryOnce(url, 'select pg_reload_conf()');
    await expectEventually(async () => (await settingOf(url, 'file_copy_method')) === 'clone');
    await queryOnce(url, `create database ${TEMPLATE} template template0 strategy file_copy`).catch(
      async () => {
        // Not every file system can.
        await queryOnce(url, 'alter system reset file_copy_method');
        await queryOnce(url, 'select pg_reload_conf()');
        await createTemplate();
      },
    );
  } else await createTemplate();
  const template = new URL(url);
  template.pathname = TEMPLATE;
  // What describes Postgres's own objects nobody asks for. The connection leaves the catalog's cache behind as a file,
  // which copies take with them.
  await queryOnce(template.href, 'delete from pg_catalog.pg_description');
  await queryOnce(template.href, 'vacuum full');
  await queryOnce(template.href, 'select 1');
  await queryOnce(url, `alter database ${TEMPLATE} allow_connections false`);
}

/**
 * One server for the whole run; each test makes a database of its own in it. Files share a process with others
 * (vitest.config.ts), so what belongs to none of them is made and removed here.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  // Servers of a test's own begin with a copy of it; processes of tests find it in their environment.
  const cluster = process.env.POSTGRES_CLUSTER === undefined ? await prepareCluster() : undefined;
  process.env.POSTGRES_CLUSTER ??= cluster?.directory;
  const { stop, ...postgres } = await startEmbeddedPostgres({
    durability: 'none',
    settings: { max_connections: 300, deadlock_timeout: '200ms' },
  });
  const expected = process.env.POSTGRES_MAJOR;
  if (expected !== undefined && Number(expected) !== postgres.major) {
    await stop();
    throw new Error(`POSTGRES_MAJOR is ${expected}, but the server is PostgreSQL ${postgres.major}.`);
  }
  await makeCheap(postgres);
  const scratch = mkdtempSync(join(tmpdir(), 'migrations-tests-'));
  chmodSync(scratch, 0o755);
  const commandLine = await buildCommandLine();
  project.provide('scratch', scratch);
  project.provide('commandLine', commandLine.file);
  const { host, port, user, password, logFile, major } = postgres;
  project.provide('sharedPostgres', { host, port, user, password, logFile, major });
  return async () => {
    commandLine.remove();
    rmSync(scratch, { recursive: true, force: true });
    await stop();
    await cluster?.remove();
  };
}
