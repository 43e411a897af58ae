import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import type { PostgresBinaries } from '../postgres/postgres-binaries.ts';

export interface TestRun {
  readonly binaries: PostgresBinaries;
  readonly major: number;
  /** Parts of paths, as vitest takes them. */
  readonly files: readonly string[];
}

export interface TestCounts {
  readonly files: number;
  readonly tests: number;
  readonly passed: number;
  /** A file that could not even be collected counts as one. */
  readonly failed: number;
  readonly seconds: number;
}

const report = v.object({
  numTotalTests: v.number(),
  numPassedTests: v.number(),
  numFailedTests: v.number(),
  testResults: v.array(v.object({ status: v.string(), assertionResults: v.array(v.unknown()) })),
});

/** Runs test files against a server of that version; vitest shows on the terminal what fails. */
export async function runTests({ binaries, major, files }: TestRun): Promise<TestCounts> {
  const begun = performance.now();
  const scratch = await mkdtemp(join(tmpdir(), 'versions-'));
  try {
    const output = join(scratch, 'report.json');
    const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
    const child = spawn(
      process.execPath,
      [vitest, 'run', '--reporter=dot', '--reporter=json', `--outputFile.json=${output}`, ...files],
      {
        stdio: 'inherit',
        env: { ...process.env, POSTGRES_BINARIES: binaries.directory, POSTGRES_MAJOR: String(major) },
      },
    );
    await once(child, 'close');
    const read = v.parse(report, JSON.parse(await readFile(output, 'utf8').catch(() => NO_REPORT)));
    const uncollected = read.testResults.filter(
      ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
    );
    return {
      files: read.testResults.length,
      tests: read.numTotalTests,
      passed: read.numPassedTests,
      failed: read.numFailedTests + uncollected.length,
      seconds: Math.round((performance.now() - begun) / 1000),
    };
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** Vitest did not get as far as its tests. */
const NO_REPORT = JSON.stringify({
  numTotalTests: 0,
  numPassedTests: 0,
  numFailedTests: 0,
  testResults: [{ status: 'failed', assertionResults: [] }],
});
