import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../local/embedded-postgres.ts';
import { bundleCommandLine } from './command-line-bundle.ts';

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

/**
 * One server for the whole run; each test makes a database of its own in it. Files share a process with others
 * (vitest.config.ts), so what belongs to none of them is made and removed here.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { stop, ...postgres } = await startEmbeddedPostgres({
    durability: 'none',
    settings: { max_connections: 300, deadlock_timeout: '200ms' },
  });
  const expected = process.env.POSTGRES_MAJOR;
  if (expected !== undefined && Number(expected) !== postgres.major) {
    await stop();
    throw new Error(`POSTGRES_MAJOR is ${expected}, but the server is PostgreSQL ${postgres.major}.`);
  }
  const scratch = mkdtempSync(join(tmpdir(), 'migrations-tests-'));
  chmodSync(scratch, 0o755);
  const commandLine = await bundleCommandLine();
  project.provide('scratch', scratch);
  project.provide('commandLine', commandLine.file);
  const { host, port, user, password, logFile, major } = postgres;
  project.provide('sharedPostgres', { host, port, user, password, logFile, major });
  return async () => {
    commandLine.remove();
    rmSync(scratch, { recursive: true, force: true });
    await stop();
  };
}
