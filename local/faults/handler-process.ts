import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import type { FaultDeploy } from './deploy-and-loop.ts';

/** The handler as one file: a process of it starts in a tenth of the time that its sources take. */
export async function bundleHandler(): Promise<{ file: string; remove(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'fault-handler-'));
  const file = join(directory, 'handler.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('./handler.ts', import.meta.url))],
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['pg-native'],
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
  return { file, remove: () => rm(directory, { recursive: true, force: true }) };
}

/** Deploys in a separate process, which can be killed at any moment as Lambda's can. */
export async function startHandler(
  file: string,
  { url, migrations }: FaultDeploy,
): Promise<{ readonly ended: Promise<unknown>; kill(): Promise<void> }> {
  const child: ChildProcess = fork(file, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  const ended = once(child, 'exit');
  await Promise.race([once(child, 'message'), ended]);
  child.send({ url, migrations });
  return {
    ended,
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}
