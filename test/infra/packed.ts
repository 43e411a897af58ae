import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { expectEventually } from '../support/expect-eventually.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const nodeModules = join(root, 'node_modules');

/** The package's tarball, built and packed as `npm publish` would: once per run, since a build empties dist/ first. */
export async function tarball(): Promise<string> {
  const destination = join(inject('scratch'), 'tarball');
  const named = join(destination, 'name');
  if (isFirst(destination)) {
    const said = execFileSync('npm', ['pack', '--json', '--pack-destination', destination], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [, filename] = /"filename": "([^"]+)"/.exec(said) ?? [];
    writeFileSync(named, String(filename));
  }
  await expectEventually(() => existsSync(named), { withinMilliseconds: 300_000, what: 'the tarball' });
  return join(destination, readFileSync(named, 'utf8'));
}

function isFirst(directory: string): boolean {
  try {
    mkdirSync(directory);
    return true;
  } catch {
    return false;
  }
}

/** Puts the tarball where `npm install` would. */
export function unpackInto(app: string, tarball: string): string {
  const unpacked = join(app, 'node_modules', 'cdk-postgres-migrations');
  mkdirSync(unpacked, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', unpacked]);
  return unpacked;
}

/** Links the copy of a package that is installed here: there is no network in a test. */
export function link(app: string, name: string): void {
  const target = join(app, 'node_modules', name);
  mkdirSync(dirname(target), { recursive: true });
  symlinkSync(join(nodeModules, name), target);
}

/** Links all that is installed here, commands included, and the package's own commands. */
export function linkEverything(app: string): void {
  for (const entry of readdirSync(nodeModules)) {
    if (entry === '.bin' || entry === '.cache' || entry === 'cdk-postgres-migrations') continue;
    symlinkSync(join(nodeModules, entry), join(app, 'node_modules', entry));
  }
  const commands = join(app, 'node_modules', '.bin');
  mkdirSync(commands);
  for (const command of readdirSync(join(nodeModules, '.bin'))) {
    if (lstatSync(join(nodeModules, '.bin', command)).isSymbolicLink())
      symlinkSync(join(nodeModules, '.bin', command), join(commands, command));
  }
  for (const command of ['cdk-postgres-migrations', 'pgmig'])
    symlinkSync('../cdk-postgres-migrations/dist/cli.mjs', join(commands, command));
}
