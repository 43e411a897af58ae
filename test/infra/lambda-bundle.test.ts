import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import { DISABLE_ASSET_STAGING_CONTEXT } from 'aws-cdk-lib/cx-api';
import { describe, expect, it, onTestFinished } from 'vitest';
import { compileMigrationsSync } from '../../compiler/steps/compile-migrations.ts';
import { bundleFunctions } from '../../infra/bundle/bundle-functions.ts';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import { migrationsFolder, newStack, temporaryFolder } from './synthesized.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

const deflated = (file: string): number => deflateRawSync(readFileSync(file), { level: 9 }).length;

/** Directory of the functions' code, as `cdk deploy` would upload it. */
function synthesizedCode(migrations: string): string {
  const { app, stack, secret } = newStack();
  new PostgresMigrations(stack, 'Migrations', { migrations, secret });
  const { directory } = app.synth();
  const assets = readdirSync(directory).filter((name) => name.startsWith('asset.'));
  const code = assets.find((name) => readdirSync(join(directory, name)).includes('migrate.mjs'));
  if (code === undefined) throw new Error('no asset holds migrate.mjs');
  return join(directory, code);
}

describe('the functions’ code', () => {
  it('holds the compiled migrations as synth compiled them', () => {
    const migrations = migrationsFolder();

    const written = JSON.parse(readFileSync(join(synthesizedCode(migrations), 'migrations.json'), 'utf8'));

    expect(written).toEqual(JSON.parse(JSON.stringify(compileMigrationsSync(migrations))));
  });

  it('stays where tools can read it when nothing is copied to cdk.out', () => {
    const { app, stack, secret } = newStack({ [DISABLE_ASSET_STAGING_CONTEXT]: true });
    new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), secret });

    const manifest = JSON.parse(readFileSync(join(app.synth().directory, 'Stack.assets.json'), 'utf8'));
    const sources = Object.values(manifest.files as Record<string, { source: { path: string } }>);
    const code = sources.map(({ source }) => source.path).find((path) => path.startsWith(tmpdir()));
    if (code === undefined) throw new Error('no asset refers to its source');
    onTestFinished(() => rmSync(code, { recursive: true }));
    expect(readdirSync(code)).toEqual(expect.arrayContaining(['migrate.mjs', 'migrations.json']));
  });

  it('holds no parser: no WebAssembly, nothing of libpg-query', () => {
    const code = synthesizedCode(migrationsFolder());

    expect(readdirSync(code).filter((name) => !/^(?:migrations\.json|[\w-]+\.mjs)$/.test(name))).toEqual([]);
    for (const name of readdirSync(code)) {
      expect(readFileSync(join(code, name), 'utf8'), name).not.toMatch(/libpg[-_]?query|\.wasm|node:vm/i);
    }
  });

  it('imports only Node and the SDK that the runtime carries', () => {
    const { external } = bundleFunctions(root, temporaryFolder());

    const foreign = external.filter(
      (name) => !/^(?:node:|@aws-sdk\/)/.test(name) && !builtinModules.includes(name),
    );
    // pg and ws would like to have these; they get on without.
    const optional = ['pg-native', 'bufferutil', 'utf-8-validate'];
    expect(foreign.filter((name) => !optional.includes(name))).toEqual([]);
  });

  it('is under 250 KB as it is uploaded, zipped, and loads a driver only on demand', () => {
    const directory = temporaryFolder();
    const { files } = bundleFunctions(root, directory);
    const sum = (of: typeof files): number => of.reduce((bytes, file) => bytes + file.bytes, 0);
    const zipped = files.reduce((bytes, { file }) => bytes + deflated(join(directory, file)), 0);
    const [all, atStart] = [sum(files), sum(files.filter((file) => file.atStart))];

    console.log(
      `functions' code: ${zipped} bytes zipped; ${all} unzipped, of which ${atStart} load at start`,
    );
    expect(zipped).toBeLessThan(250_000);
    expect(all - atStart, 'both drivers').toBeGreaterThan(200_000);
  });

  it('is the same, byte by byte, wherever it is built', () => {
    const [here, there] = [temporaryFolder(), join(temporaryFolder(), 'deeper')];
    mkdirSync(there);
    bundleFunctions(root, here);
    bundleFunctions(root, there);

    expect(readdirSync(there)).toEqual(readdirSync(here));
    for (const name of readdirSync(here)) {
      expect(readFileSync(join(there, name), 'utf8')).toBe(readFileSync(join(here, name), 'utf8'));
    }
  });

  it('starts as plain Node starts it, and exports the handlers that the functions name', () => {
    const code = synthesizedCode(migrationsFolder());
    const exported = (entry: string): string[] =>
      JSON.parse(
        execFileSync(
          process.execPath,
          [
            '--input-type=module',
            '-e',
            `console.log(JSON.stringify(Object.keys(await import('./${entry}.mjs'))))`,
          ],
          { cwd: code, encoding: 'utf8' },
        ),
      );

    expect(exported('migrate')).toEqual(expect.arrayContaining(['handler', 'isComplete']));
    expect(exported('index-build')).toContain('handler');
  });
});
