import type { TestProject } from 'vitest/node';
import { startEmbeddedPostgres } from '../../local/embedded-postgres.ts';

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
  }
}

/** One server for the whole run; each test makes a database of its own in it. */
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
  const { host, port, user, password, logFile, major } = postgres;
  project.provide('sharedPostgres', { host, port, user, password, logFile, major });
  return stop;
}
