import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import type { UserIds } from './unprivileged-user.ts';

/** Where one server lives. */
export interface ServerPlace {
  readonly binaries: PostgresBinaries;
  readonly user: UserIds | undefined;
  readonly dataDirectory: string;
  readonly logFile: string;
}

export type ServerSettings = Readonly<Record<string, string | number | boolean>> & { readonly port: number };

/** Signals as Postgres reads them; SIGKILL is what the kernel's out-of-memory killer does. */
const SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT', kill: 'SIGKILL' } as const;

const START_MILLISECONDS = 60_000;
const POLL_MILLISECONDS = 10;

/** One server process after another, over one data directory. */
export class PostgresServer {
  readonly #place: ServerPlace;
  readonly #settings: ServerSettings;
  #process: ChildProcess | undefined;

  constructor(place: ServerPlace, settings: ServerSettings) {
    this.#place = place;
    this.#settings = settings;
  }

  get port(): number {
    return this.#settings.port;
  }

  /** Resolves when the server takes connections. Recovery after a crash counts as part of the start. */
  async start(): Promise<void> {
    const deadline = Date.now() + START_MILLISECONDS;
    while (!(await this.#tryStart(deadline))) await sleep(POLL_MILLISECONDS * 10);
  }

  /** False if processes of a killed predecessor still hold its shared memory: they end by themselves. */
  async #tryStart(deadline: number): Promise<boolean> {
    const { binaries, dataDirectory, logFile } = this.#place;
    const logged = await sizeOf(logFile);
    const settings = Object.entries(this.#settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = runDetached(
      join(binaries.directory, 'bin', 'postgres'),
      ['-D', dataDirectory, ...settings],
      this.#place,
    );
    this.#process = child;
    for (;;) {
      // Checked before the log is read, so that the last lines are in it.
      const ended = child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
      const log = await readFrom(logFile, logged);
      if (/database system is ready to accept (?:read-only )?connections/.test(log)) return true;
      const late = Date.now() > deadline;
      if (ended && !late && log.includes('pre-existing shared memory block')) return false;
      if (ended || late) {
        child.kill('SIGKILL');
        this.#process = undefined;
        throw new MigrationError({
          code: 'server-did-not-start',
          what: `The embedded Postgres did not start. Its log ends: ${log.trim().split('\n').slice(-8).join('\n')}`,
          next: 'Look at the log above; a setting may be wrong for this version.',
        });
      }
      await sleep(POLL_MILLISECONDS);
    }
  }

  /** Resolves when the process is gone; does nothing if there is none. */
  async halt(mode: keyof typeof SIGNALS): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.ref();
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill(SIGNALS[mode]);
    await gone;
  }
}

/** `postgres (PostgreSQL) 18.4` → 18 */
export async function majorVersion(place: ServerPlace): Promise<number> {
  const { stdout } = await promisify(execFile)(
    join(place.binaries.directory, 'bin', 'postgres'),
    ['--version'],
    {
      ...place.user,
      cwd: '/',
    },
  );
  const major = /\) (\d+)/.exec(stdout)?.[1];
  if (major === undefined) throw new Error(`postgres --version answered: ${stdout}`);
  return Number(major);
}

export interface ClusterOptions {
  readonly superuser: string;
  readonly passwordFile: string;
  readonly major: number;
}

/** initdb: the data directory of a new server, UTF-8, without waiting for the disk. */
export async function initialiseCluster(place: ServerPlace, options: ClusterOptions): Promise<void> {
  // Sorts text the same on every machine, and as Neon's databases do. Before 17 the locale has to exist on the machine.
  const locale =
    options.major >= 17
      ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
      : ['--locale=C'];
  await promisify(execFile)(
    join(place.binaries.directory, 'bin', 'initdb'),
    [
      `--pgdata=${place.dataDirectory}`,
      `--username=${options.superuser}`,
      `--pwfile=${options.passwordFile}`,
      '--auth=scram-sha-256',
      '--encoding=UTF8',
      '--no-sync',
      '--no-instructions',
      ...locale,
    ],
    { ...place.user, cwd: '/' },
  ).catch((cause: unknown) => {
    throw new MigrationError({
      code: 'initdb-failed',
      what: `initdb failed: ${cause instanceof Error ? cause.message : String(cause)}`,
      next: 'Look at its message above; the temporary directory may be full or mounted noexec.',
      cause,
    });
  });
}

/**
 * Starts outside our process group, so that Ctrl-C on the terminal does not stop the server before we have ended what
 * uses it. Its output goes to a file of its own: a pipe would block it when nobody reads.
 */
function runDetached(file: string, parameters: readonly string[], place: ServerPlace): ChildProcess {
  const log = openSync(place.logFile, 'a', 0o644);
  try {
    const child = spawn(file, parameters, {
      ...place.user,
      cwd: '/',
      detached: true,
      stdio: ['ignore', log, log],
    });
    child.on('error', () => {});
    child.unref();
    return child;
  } finally {
    closeSync(log);
  }
}

async function sizeOf(file: string): Promise<number> {
  return (await stat(file).catch(() => ({ size: 0 }))).size;
}

async function readFrom(file: string, position: number): Promise<string> {
  const handle = await open(file, 'r').catch(() => undefined);
  if (handle === undefined) return '';
  try {
    return (await handle.read(Buffer.alloc(65_536), 0, 65_536, position)).buffer
      .toString('utf8')
      .replace(/\0+$/, '');
  } finally {
    await handle.close();
  }
}
