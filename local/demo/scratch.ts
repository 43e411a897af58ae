import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { guardServer } from '../postgres/process-guard.ts';

/** Lends a temporary directory, which goes with the work, and with this process, however that ends. */
export async function withScratch<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(tmpdir(), 'cdk-postgres-migrations-'));
  const guard = guardServer(join(directory, 'no-server.pid'), directory);
  try {
    return await work(directory);
  } finally {
    guard.dismiss();
    await rm(directory, { recursive: true, force: true });
  }
}
