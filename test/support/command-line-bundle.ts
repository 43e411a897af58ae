import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleCommandLine } from '../../infra/bundle/bundle-for-node.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** The command line in one file, as the package has it: what people run, and what starts in a moment. */
export async function buildCommandLine(): Promise<{ readonly file: string; remove(): void }> {
  // Below node_modules, since the parser is found from where it lies.
  const cache = join(root, 'node_modules/.cache');
  mkdirSync(cache, { recursive: true });
  const file = join(mkdtempSync(join(cache, 'migrate-')), 'cli.mjs');
  await bundleCommandLine(root, file);
  return { file, remove: () => rmSync(dirname(file), { recursive: true, force: true }) };
}
