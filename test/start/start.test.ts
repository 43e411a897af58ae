import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { expectEventually } from '../support/expect-eventually.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Run {
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly signal: (name: NodeJS.Signals) => void;
  readonly exited: Promise<number | null>;
}

function start(...flags: string[]): Run {
  const child = spawn(process.execPath, ['--import', 'tsx', 'local/start.ts', ...flags], { cwd: root });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => {
    stdout += chunk;
  });
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  return {
    stdout: () => stdout,
    stderr: () => stderr,
    signal: (name) => child.kill(name),
    exited: new Promise((resolve) => child.once('exit', resolve)),
  };
}

function leftFolders(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('cdk-postgres-migrations-'));
}

describe('npm start', () => {
  it('ends with every index valid, every query through its index, and one JSON document', {
    timeout: 120_000,
  }, async () => {
    const run = start('--rows', '20000', '--json');

    expect(await run.exited, run.stderr()).toBe(0);
    const lines = run.stdout().trim().split('\n');
    expect(lines).toHaveLength(1);
    const result = JSON.parse(lines[0] ?? '');
    expect(result.ok).toBe(true);
    expect(result.migrations).toHaveLength(9);
    expect(result.migrations.every(({ state }: { state: string }) => state === 'applied')).toBe(true);
    expect(result.builds.length).toBeGreaterThanOrEqual(3);
    for (const build of result.builds) {
      expect(build).toEqual({
        index: expect.stringMatching(/^idx_/),
        table: expect.stringMatching(/^public\./),
        outcome: 'valid',
        seconds: expect.any(Number),
        turns: expect.any(Number),
        session: 'loopback',
        attempts: 1,
      });
    }
    expect(result.writer).toMatchObject({ failed: 0, slowestMs: expect.any(Number) });
    expect(result.writer.writes).toBeGreaterThan(0);
    expect(result.queries.every(({ usesIndex }: { usesIndex: boolean }) => usesIndex)).toBe(true);
  });

  it('leaves nothing behind when it is interrupted', { timeout: 120_000 }, async () => {
    const before = leftFolders();
    const run = start('--rows', '50000');
    await expectEventually(() => run.stdout().includes('Time passes'), { withinMilliseconds: 60_000 });
    run.signal('SIGINT');

    expect(await run.exited).toBe(130);
    expect(run.stderr()).toContain('Stopped; everything that was started has ended.');
    expect(leftFolders().filter((folder) => !before.includes(folder))).toEqual([]);
  });

  it('says what is wrong with a flag', async () => {
    const run = start('--rows', 'many');

    expect(await run.exited).not.toBe(0);
    expect(run.stderr()).toContain('It has to be a whole number from 1000 to 100000000.');
  });
});
