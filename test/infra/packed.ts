import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { expectEventually } from '../support/expect-eventually.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

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

/**
 * `npm install` of the tarball, and of all that the app's package.json asks for: from the copies that are installed
 * here, since a test has no network, so npm makes links of these.
 */
export function install(app: string, tarball: string, env: NodeJS.ProcessEnv): void {
  const file = join(app, 'package.json');
  const asked = JSON.parse(readFileSync(file, 'utf8'));
  const fromHere = (names: Iterable<string>): Record<string, string> =>
    Object.fromEntries([...names].map((name) => [name, `file:${join(nodeModules, name)}`]));
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const offline = {
    ...asked,
    dependencies: fromHere(Object.keys(asked.dependencies)),
    devDependencies: fromHere(Object.keys(asked.devDependencies)),
    overrides: fromHere(Object.keys(dependencies)),
  };
  writeFileSync(file, JSON.stringify(offline));
  const cache = join(app, '..', 'npm-cache');
  execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', '--cache', cache, tarball], {
    cwd: app,
    env,
    stdio: 'pipe',
  });
}

/** A CDK app with nothing but the unpacked tarball, its dependencies and its peers. */
export function freshApp(packed: string): string {
  const app = temporaryFolder();
  const unpacked = unpackInto(app, packed);
  const { dependencies, peerDependencies } = packageJson(unpacked);
  const needed = Object.keys({ ...dependencies, ...peerDependencies });
  for (const name of needed) link(app, name);
  return app;
}

function packageJson(directory: string): Record<'dependencies' | 'peerDependencies', Record<string, string>> {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
}

export const appBody = (migrations: string): string => `
const app = new App({ outdir: 'cdk.out' });
const stack = new Stack(app, 'Stack');
const secret = new Secret(stack, 'Database');
new PostgresMigrations(stack, 'Migrations', { migrations: ${JSON.stringify(migrations)}, secret });
app.synth();
`;

export const esmApp = `
import { App, Stack } from 'aws-cdk-lib';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { PostgresMigrations } from 'cdk-postgres-migrations';
`;
