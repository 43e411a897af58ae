import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..', '..');

/** Prints what it compiled before it first gives way to a promise: as much as a constructor may wait. */
const SCRIPT = `
  let turns = 0;
  Promise.resolve().then(() => { turns += 1; });
  const { migrations } = compileMigrationsSync('migrations');
  console.log(migrations[0].steps[0].statements[0].kind, turns);
`;

/** Only newer versions of Node can do this, and every one of them refuses a module with a top-level await. */
const requiresModules = 'require_module' in process.features && process.features.require_module === true;

describe('the compiler starts at once', () => {
  let app: string;

  beforeAll(() => {
    app = mkdtempSync(join(tmpdir(), 'app-'));
    symlinkSync(join(ROOT, 'node_modules'), join(app, 'node_modules'));
    buildSync({
      entryPoints: [join(ROOT, 'compiler', 'steps', 'compile-migrations.ts')],
      outfile: join(app, 'compiler.mjs'),
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      external: ['libpg-query'],
    });
    writeFileSync(
      join(app, 'module.mjs'),
      `import { compileMigrationsSync } from './compiler.mjs';${SCRIPT}`,
    );
    writeFileSync(
      join(app, 'commonjs.cjs'),
      `const { compileMigrationsSync } = require('./compiler.mjs');${SCRIPT}`,
    );
    const source = JSON.stringify(join(ROOT, 'compiler', 'steps', 'compile-migrations.ts'));
    writeFileSync(join(app, 'typescript.mts'), `import { compileMigrationsSync } from ${source};${SCRIPT}`);
    symlinkSync(
      join(ROOT, 'test', 'compiler', 'steps', 'fixtures', 'accepted', 'one-table'),
      join(app, 'migrations'),
    );
  });

  afterAll(() => rmSync(app, { recursive: true }));

  const run = (...args: readonly string[]) =>
    execFileSync(process.execPath, args, { cwd: app, encoding: 'utf8' });

  it('from an ES module', () => {
    expect(run('module.mjs')).toBe('CreateStmt 0\n');
  });

  it('under tsx', () => {
    expect(run('--import', 'tsx', 'typescript.mts')).toBe('CreateStmt 0\n');
  });

  it.runIf(requiresModules)('from CommonJS, as most CDK apps are', () => {
    expect(run('--no-warnings', 'commonjs.cjs')).toBe('CreateStmt 0\n');
  });
});
