import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { guardServer } from '../process-guard.ts';

export interface Scratch {
  readonly directory: string;
  remove(): Promise<void>;
}

/**
 * A temporary directory for what is synthesized. It goes with this process, however that ends. On Lambda the runtime
 * brings the AWS SDK; here the functions find it in node_modules, above their assets.
 */
export async function makeScratch(): Promise<Scratch> {
  const directory = await mkdtemp(join(tmpdir(), 'migrations-demo-'));
  const guard = guardServer(join(directory, 'no-server.pid'), directory);
  const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
  await symlink(modules, join(directory, 'node_modules'), 'dir');
  return {
    directory,
    remove: async () => {
      guard.dismiss();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
