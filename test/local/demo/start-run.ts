import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject, onTestFinished } from 'vitest';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** A line that tells how far something is. */
export const PROGRESS = /^ {12}\S/;

/** `npm start` under way, in a process group of its own. */
export interface StartRun {
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** To the whole group, as a terminal does it. */
  readonly signal: (name: NodeJS.Signals) => void;
  readonly exited: Promise<number | null>;
  /** Files and processes that it should have taken with it. */
  readonly left: () => string[];
}

/** One for all runs, since the loader compiles everything anew in a new one. */
const temporary = mkdtempSync(join(inject('scratch'), 'start-test-'));
// The server's user goes through it.
chmodSync(temporary, 0o755);

export function start(...flags: string[]): StartRun {
  const child = spawn(process.execPath, ['--import', 'tsx', 'local/demo/main.ts', ...flags], {
    cwd: root,
    env: { ...process.env, TMPDIR: temporary },
    detached: true,
  });
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM');
    await exited;
  });
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
    signal: (name) => process.kill(-(child.pid ?? 0), name),
    exited,
    left: () => [...filesIn(temporary), ...processesOf(child.pid, temporary)],
  };
}

/** The loader keeps what it has compiled, for the next start. */
function filesIn(directory: string): string[] {
  return readdirSync(directory).filter((name) => !name.startsWith('tsx-'));
}

/** Those of the group, and those that left it but still work in the directory: the server and its guard. */
function processesOf(group: number | undefined, directory: string): string[] {
  return execFileSync('ps', ['-eo', 'pgid=,args='], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => Number.parseInt(line, 10) === group || line.includes(directory));
}
