import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The command line in one file: to translate it anew takes each process five times as long as to run it. */
export async function bundleCommandLine(): Promise<{ readonly file: string; remove(): void }> {
  // Below node_modules, since its packages are found from where it lies.
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const file = join(mkdtempSync(join(cache, 'migrate-')), 'migrate.mjs');
  await build({
    entryPoints: [join(root, 'local/cli/main.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile: file,
    logLevel: 'error',
  });
  return { file, remove: () => rmSync(dirname(file), { recursive: true, force: true }) };
}
