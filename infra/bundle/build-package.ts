import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleCommandLine, bundleConstruct } from './bundle-for-node.ts';
import { bundleFunctions, type FunctionBundle } from './bundle-functions.ts';
import { PREBUILT_BUNDLE } from './lambda-bundle.ts';

/**
 * `npm run build`: makes dist/, which is what the npm package carries.
 *
 * 1. Bundles the construct as CommonJS, and writes its declarations.
 * 2. Bundles the functions, so that users need neither esbuild nor the drivers.
 * 3. Bundles the command line.
 * 4. Puts the licences of what was bundled beside them.
 */
const root = fileURLToPath(new URL('../..', import.meta.url));
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);
// In this folder .js and .d.ts are CommonJS, for Node and for TypeScript alike.
writeFileSync(join(dist, 'package.json'), `${JSON.stringify({ type: 'commonjs' })}\n`);
const tsc = createRequire(import.meta.url)
  .resolve('typescript/package.json')
  .replace(/package\.json$/, 'bin/tsc');
const declared = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});
if (declared.status !== 0) process.exit(1);
const construct = await bundleConstruct(root, join(dist, 'index.js'));
const functions = bundleFunctions(root, join(dist, PREBUILT_BUNDLE));
const commandLine = await bundleCommandLine(root, join(dist, 'cli.mjs'));
const inputs = [construct, functions, commandLine].flatMap((bundle) => bundle.inputs);
writeFileSync(join(dist, 'THIRD-PARTY-LICENSES.txt'), thirdPartyLicences(inputs));
print(functions);

function thirdPartyLicences(inputs: readonly string[]): string {
  const packages = new Set(
    inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0] ?? []),
  );
  return [...packages]
    .sort()
    .map((directory) => licenceOf(join(root, directory)))
    .join('\n\n');
}

function licenceOf(directory: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  const file = readdirSync(directory).find((entry) => /^licen[cs]e(?:\.|$)/i.test(entry));
  const text = file === undefined ? '' : `\n\n${readFileSync(join(directory, file), 'utf8').trim()}`;
  return `${name} ${version} (${license})${text}\n`;
}

function print({ files }: FunctionBundle): void {
  for (const { file, bytes, atStart } of files) {
    console.log(`${kilobytes(bytes)} ${atStart ? 'at start ' : 'on demand'} ${file}`);
  }
  console.log(`${kilobytes(files.reduce((sum, { bytes }) => sum + bytes, 0))} in all`);
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1000).toFixed(1).padStart(7)} KB`;
}
