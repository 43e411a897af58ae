import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { appBody, esmApp, freshApp, tarball } from './packed.ts';
import { exampleFiles, migrationsFolder } from './synthesized.ts';

let packed: string;

beforeAll(async () => {
  packed = await tarball();
}, 300_000);

const commonJsApp = `
const { App, Stack } = require('aws-cdk-lib');
const { Secret } = require('aws-cdk-lib/aws-secretsmanager');
const { PostgresMigrations } = require('cdk-postgres-migrations');
`;

/** Writes the app, runs it with plain Node, and gives the directory that it synthesized. */
function synth(file: string, source: string): string {
  const app = freshApp(packed);
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
    const files = execFileSync('tar', ['-tzf', packed], { encoding: 'utf8' }).trim().split('\n');

    expect(files).toEqual(
      expect.arrayContaining([
        'package/package.json',
        'package/LICENSE',
        'package/dist/THIRD-PARTY-LICENSES.txt',
        'package/dist/index.js',
        'package/dist/types/infra/index.d.ts',
        'package/dist/cli.mjs',
        'package/dist/bundle/migrate.mjs',
        'package/dist/bundle/index-build.mjs',
      ]),
    );
    expect(files.filter((file) => file.endsWith('.ts') && !file.endsWith('.d.ts'))).toEqual([]);
    expect(files.filter((file) => /\.wasm$|\.map$|(?:^|\/)test\/|\.test\./.test(file))).toEqual([]);
    expect(files.filter((file) => !/^package\/(?:dist\/|package\.json$|README|LICENSE)/.test(file))).toEqual(
      [],
    );
  });

  it('names no file of the machine that packed it, no map, and every package that it bundles', () => {
    const app = freshApp(packed);
    const unpacked = join(app, 'node_modules/cdk-postgres-migrations');
    const files = readdirSync(unpacked, { recursive: true, encoding: 'utf8' })
      .map((file) => join(unpacked, file))
      .filter((file) => statSync(file).isFile());
    const home = join(import.meta.dirname, '../..');
    const naming = files.filter((file) => {
      const text = readFileSync(file, 'utf8');
      return text.includes(home) || text.includes('sourceMappingURL');
    });
    expect(naming).toEqual([]);
    const licences = readFileSync(join(unpacked, 'dist/THIRD-PARTY-LICENSES.txt'), 'utf8');
    for (const name of ['commander', 'pg', '@neondatabase/serverless', 'valibot', 'cli-progress'])
      expect(licences).toMatch(new RegExp(`^${name} \\d`, 'm'));
  });

  it('has commands that need nothing but its dependency', () => {
    const app = freshApp(packed);
    const cli = join(app, 'node_modules/cdk-postgres-migrations/dist/cli.mjs');
    expect(statSync(cli).mode & 0o111).toBe(0o111);
    const help = execFileSync(process.execPath, [cli, '--help'], { cwd: app, encoding: 'utf8' });
    expect(help).toContain('Usage: cdk-postgres-migrations [options] [command]');
    mkdirSync(join(app, 'migrations'));
    writeFileSync(join(app, 'migrations/1_a.sql'), 'create table a (id bigint primary key);\n');
    const lint = execFileSync(process.execPath, [cli, 'lint'], { cwd: app, encoding: 'utf8' });
    expect(lint).toBe('No findings.\n');
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
});
