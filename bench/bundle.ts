import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { deflateRawSync } from 'node:zlib';
import { bundleFunctions, functionEntries } from '../infra/bundle/bundle-functions.ts';
import { type Figure, median } from './figure.ts';

const LOADS = 15;

/** The functions' code: what is uploaded, and how long an entry takes to load in a fresh process. */
export function bundle(): Figure[] {
  const directory = mkdtempSync(join(tmpdir(), 'bench-'));
  try {
    const { files } = bundleFunctions(join(import.meta.dirname, '..'), directory);
    const all = files.reduce((bytes, file) => bytes + file.bytes, 0);
    const atStart = files.reduce((bytes, file) => bytes + (file.atStart ? file.bytes : 0), 0);
    const zipped = files.reduce(
      (bytes, { file }) => bytes + deflateRawSync(readFileSync(join(directory, file)), { level: 9 }).length,
      0,
    );
    const size = 'bundle of all functions';
    return [
      { benchmark: size, who: 'zipped, as it is uploaded', value: zipped / 1000, unit: 'KB', atMost: 250 },
      { benchmark: size, who: 'unzipped, both drivers', value: all / 1000, unit: 'KB' },
      { benchmark: size, who: 'unzipped, loaded at start', value: atStart / 1000, unit: 'KB' },
      ...functionEntries.map((entry) => ({
        benchmark: 'loading a function',
        who: entry,
        value: median(Array.from({ length: LOADS }, () => loadMilliseconds(join(directory, `${entry}.mjs`)))),
        unit: 'ms',
        atMost: 100,
      })),
    ];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function loadMilliseconds(file: string): number {
  const program = `const begun = performance.now(); await import(${JSON.stringify(pathToFileURL(file).href)}); console.log(performance.now() - begun)`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return Number(stdout);
}
