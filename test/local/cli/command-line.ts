import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject, onTestFinished } from 'vitest';
import { expectEventually } from '../../support/expect-eventually.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The real command line as a process of its own. */
export class Migrate {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = root) {
    const { DATABASE_URL: _url, FORCE_COLOR: _color, NO_COLOR: _plain, ...rest } = process.env;
    // A process that parses a few files ends before it would gain by a parser that is optimised: that takes longer.
    const child = spawn(process.execPath, ['--liftoff-only', inject('commandLine'), ...args], {
      cwd,
      env: { ...rest, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.ended = new Promise((resolve) => {
      child.once('close', (code) => resolve({ code, stdout: this.#stdout, stderr: this.#stderr }));
    });
    onTestFinished(() => void child.kill('SIGKILL'));
  }

  /** Until it has said so, on either stream. */
  async says(text: string, withinMilliseconds?: number): Promise<void> {
    await expectEventually(() => `${this.#stdout}${this.#stderr}`.includes(text), {
      what: `"${text}" in what the command says`,
      ...(withinMilliseconds === undefined ? {} : { withinMilliseconds }),
    });
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }
}

/** Runs a command to its end. */
export function migrate(
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
  cwd?: string,
): Promise<Ended> {
  return new Migrate(args, env, cwd).ended;
}

export type Files = Readonly<Record<string, string>>;

export function write(folder: string, files: Files): void {
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text);
  }
}

export function folderOf(files: Files): string {
  const folder = temporaryFolder();
  write(folder, files);
  return folder;
}

/** What differs from one run to the next is written `N`: seconds, the port, names made up for the test. */
export function steady(text: string, names: Readonly<Record<string, string>> = {}): string {
  const known = Object.entries(names).reduce((result, [name, value]) => result.replaceAll(value, name), text);
  return known
    .replace(/\d+(?:\.\d)? s\b/g, 'N s')
    .replace(/127\.0\.0\.1:\d+/g, 'HOST')
    .replace(/ by \S+@\S+ /g, ' by WHO ');
}
