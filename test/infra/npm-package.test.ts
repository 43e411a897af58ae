import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { exampleFiles, migrationsFolder, temporaryFolder } from './synthesized.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const nodeModules = join(root, 'node_modules');

let tarball: string;

/** Builds the package and packs it, as `npm publish` would. */
beforeAll(() => {
  const destination = mkdtempSync(join(tmpdir(), 'npm-package-test-'));
  const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', destination], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [, filename] = /"filename": "([^"]+)"/.exec(packed) ?? [];
  tarball = join(destination, String(filename));
  return () => rmSync(destination, { recursive: true, force: true });
}, 120_000);

/** A CDK app with nothing but the unpacked tarball, its dependencies and its peers. */
function freshApp(): string {
  const app = temporaryFolder();
  const unpacked = join(app, 'node_modules', 'cdk-postgres-migrations');
  mkdirSync(unpacked, { recursive: true });
  execFileSync('tar', ['-xzf', tarball, '--strip-components=1', '-C', unpacked]);
  const { dependencies, peerDependencies } = packageJson(unpacked);
  const needed = Object.keys({ ...dependencies, ...peerDependencies });
  for (const name of needed) install(app, name);
  return app;
}

function packageJson(directory: string): Record<'dependencies' | 'peerDependencies', Record<string, string>> {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
}

/** Links the copy that is installed here: there is no network in a test. */
function install(app: string, name: string): void {
  const target = join(app, 'node_modules', name);
  mkdirSync(dirname(target), { recursive: true });
  symlinkSync(join(nodeModules, name), target);
}

const appBody = (migrations: string): string => `
const app = new App({ outdir: 'cdk.out' });
const stack = new Stack(app, 'Stack');
const secret = new Secret(stack, 'Database');
new PostgresMigrations(stack, 'Migrations', { migrations: ${JSON.stringify(migrations)}, secret });
app.synth();
`;

const esmApp = `
import { App, Stack } from 'aws-cdk-lib';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { PostgresMigrations } from 'cdk-postgres-migrations';
`;

const commonJsApp = `
const { App, Stack } = require('aws-cdk-lib');
const { Secret } = require('aws-cdk-lib/aws-secretsmanager');
const { PostgresMigrations } = require('cdk-postgres-migrations');
`;

/** Writes the app, runs it with plain Node, and gives the directory that it synthesized. */
function synth(file: string, source: string): string {
  const app = freshApp();
  writeFileSync(join(app, file), source + appBody(migrationsFolder()));
  execFileSync(process.execPath, [file], { cwd: app, stdio: 'pipe' });
  return join(app, 'cdk.out');
}

function codeAsset(cdkOut: string): string {
  const assets = readdirSync(cdkOut).filter((name) => name.startsWith('asset.'));
  const code = assets.find((name) => existsSync(join(cdkOut, name, 'migrate.mjs')));
  if (code === undefined) throw new Error(`no asset of ${assets.join(', ')} holds migrate.mjs`);
  return join(cdkOut, code);
}

describe('the npm package', () => {
  it('carries what it needs: construct, declarations, functions, licences', () => {
    const files = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).trim().split('\n');

    expect(files).toEqual(
      expect.arrayContaining([
        'package/package.json',
        'package/LICENSE',
        'package/dist/THIRD-PARTY-LICENSES.txt',
        'package/dist/index.js',
        'package/dist/types/infra/index.d.ts',
        'package/dist/bundle/migrate.mjs',
        'package/dist/bundle/index-build.mjs',
      ]),
    );
    expect(files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([]);
    expect(files.filter((file) => file.includes('.wasm'))).toEqual([]);
  });

  it.each([
    ['an ES module app', 'app.mjs', esmApp],
    ['a CommonJS app', 'app.cjs', commonJsApp],
  ])(
    'synthesizes in %s, without esbuild',
    (_, file, source) => {
      const cdkOut = synth(file, source);

      const { Resources } = JSON.parse(readFileSync(join(cdkOut, 'Stack.template.json'), 'utf8'));
      const types = Object.values(Resources as Record<string, { Type: string }>).map(({ Type }) => Type);
      expect(types).toContain('Custom::PostgresMigrations');
      expect(types).toContain('AWS::StepFunctions::StateMachine');

      const code = codeAsset(cdkOut);
      expect(readdirSync(code)).toEqual(
        expect.arrayContaining(['index-build.mjs', 'migrate.mjs', 'migrations.json']),
      );
      expect(readdirSync(code).filter((name) => !/\.(?:mjs|json)$/.test(name))).toEqual([]);
      const { migrations } = JSON.parse(readFileSync(join(code, 'migrations.json'), 'utf8'));
      expect(migrations.map(({ file }: { file: string }) => file)).toEqual(Object.keys(exampleFiles));
    },
    60_000,
  );

  it('has types that a strict TypeScript app can check, node16 and bundler alike', () => {
    const app = freshApp();
    install(app, '@types/node');
    writeFileSync(join(app, 'app.mts'), esmApp + appBody('migrations'));
    writeFileSync(
      join(app, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          strict: true,
          noEmit: true,
          target: 'es2022',
          types: ['node'],
          skipLibCheck: true,
        },
        files: ['app.mts'],
      }),
    );
    const tsc = join(nodeModules, 'typescript/bin/tsc');

    for (const [module, moduleResolution] of [
      ['nodenext', 'nodenext'],
      ['esnext', 'bundler'],
    ]) {
      const args = ['-p', app, '--module', String(module), '--moduleResolution', String(moduleResolution)];
      expect(() => execFileSync(process.execPath, [tsc, ...args], { stdio: 'pipe' })).not.toThrow();
    }
  }, 60_000);
});
