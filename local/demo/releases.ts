import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The example that the project ships. */
export const EXAMPLE = fileURLToPath(new URL('../../migrations', import.meta.url));

/** The earlier release has the tables and nothing else: `0001` to `0004`. */
const EARLIER = /^000[1-4]_/;

/** The folder as the team's earlier release had it, made in `directory`. */
export function earlierRelease(directory: string): string {
  const folder = join(directory, 'earlier-migrations');
  mkdirSync(folder);
  for (const file of readdirSync(EXAMPLE).filter((name) => EARLIER.test(name))) {
    copyFileSync(join(EXAMPLE, file), join(folder, file));
  }
  return folder;
}
