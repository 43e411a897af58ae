import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { environment } from '../../environment.ts';
import { MigrationError } from '../../migration/migration-error.ts';
import { type ConnectionTarget, isNeonHost, type Tls } from './connection-target.ts';
import { fromDriver, SessionLost, type StatementFault } from './fault.ts';
import { type DriverClient, type Session, sessionOver } from './session.ts';

/** Shown in pg_stat_activity. */
export const APPLICATION_NAME = 'cdk-postgres-migrations';

export interface ConnectOptions {
  /** @default APPLICATION_NAME */
  readonly applicationName?: string;
  /** Give up after so long; a Neon compute that sleeps, or a server that restarts, takes a moment. @default 30 */
  readonly patienceSeconds?: number | undefined;
}

/** One attempt of a connection may take so long. */
const ATTEMPT_MILLISECONDS = 15_000;
/**
 * The first probe of a silent connection. NAT gateways, load balancers and VPC endpoints forget one after 350 s, and
 * Linux would wait for two hours: a long statement would commit and never be heard of.
 */
const FIRST_PROBE_MILLISECONDS = 30_000;
const FIRST_PAUSE_MILLISECONDS = 100;
const LONGEST_PAUSE_MILLISECONDS = 2_000;

/** Opens a session, does the work, closes the session on every path. */
export async function withSession<T>(
  target: ConnectionTarget,
  work: (session: Session) => Promise<T>,
  options: ConnectOptions = {},
): Promise<T> {
  const session = await connect(target, options);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

/** Connects, with retries while the server is starting, waking or restarting. Throws MigrationError. */
export async function connect(target: ConnectionTarget, options: ConnectOptions = {}): Promise<Session> {
  const patience = (options.patienceSeconds ?? 30) * 1000;
  const begun = Date.now();
  let startupOptions: string | undefined = DIRECT_MARK;
  for (let pause = FIRST_PAUSE_MILLISECONDS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MILLISECONDS)) {
    const applicationName = options.applicationName ?? APPLICATION_NAME;
    const milliseconds = Math.max(1, Math.min(ATTEMPT_MILLISECONDS, begun + patience - Date.now()));
    const client = await newClient(target, { applicationName, startupOptions, milliseconds });
    const session = sessionOver(client);
    try {
      await client.connect();
      return session;
    } catch (error) {
      session.abandon();
      const said = fromDriver(error);
      if (startupOptions !== undefined && refusesOptions(said)) {
        startupOptions = undefined;
        continue;
      }
      if (!mayPass(said) || Date.now() - begun + pause > patience) throw unreachable(target, said);
      await sleep(pause);
    }
  }
}

/**
 * A setting that our connection starts with. Where the server does not have it, something in between keeps our
 * startup from it, and pooler.ts finds out what.
 */
const DIRECT_MARK = '-c migrations.direct=1';

/** protocol_violation is what poolers answer to startup options that they do not know. */
function refusesOptions(said: StatementFault | SessionLost): boolean {
  return !(said instanceof SessionLost) && said.fault.sqlstate === '08P01';
}

/** SQLSTATEs of a server that may let us in a moment later: starting, restarting, or full. */
const MAY_PASS = new Set(['57P01', '57P02', '57P03', '53300', '08000', '08001', '08006', 'XX000']);
/** Codes of Node's TLS checks: no retry mends a certificate. */
const CERTIFICATE_REFUSED = /^(?:CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;
/** What the driver says, without a code, to a server that answers "no" to the request for TLS. */
const NO_TLS = 'The server does not support SSL connections';

function mayPass(said: StatementFault | SessionLost): boolean {
  if (!(said instanceof SessionLost)) return MAY_PASS.has(said.fault.sqlstate);
  const { cause } = said;
  if (!(cause instanceof Error)) return true;
  return cause.message !== NO_TLS && !certificateRefused(said);
}

function certificateRefused({ cause }: StatementFault | SessionLost): boolean {
  if (!(cause instanceof Error && 'code' in cause)) return false;
  return typeof cause.code === 'string' && CERTIFICATE_REFUSED.test(cause.code);
}

const REACH =
  'check the connection (the secret or the URL), the network (VPC, security group, allow list) and that the database is up; then run again.';
const TRUST =
  "give the root certificate of the server's authority: the prop rootCertificate, or on the command line sslrootcert=FILE in the URL; and connect by the name that the certificate has; then run again.";

function unreachable(target: ConnectionTarget, said: StatementFault | SessionLost): MigrationError {
  const where = `${target.host}:${target.port}, database '${target.database}', user '${target.user}'`;
  return new MigrationError({
    code: 'database-unreachable',
    what: `Can't connect to Postgres at ${where}${said instanceof SessionLost ? `: ${reason(said)}` : '.'}`,
    fault: said instanceof SessionLost ? undefined : said.fault,
    applied: 'nothing by this run.',
    next: certificateRefused(said) ? TRUST : REACH,
    cause: said,
  });
}

function reason(lost: SessionLost): string {
  const { cause } = lost;
  if (cause instanceof AggregateError && cause.errors[0] instanceof Error)
    return `${cause.errors[0].message}.`;
  return `${cause instanceof Error && cause.message !== '' ? cause.message : lost.message}.`;
}

interface Startup {
  readonly applicationName: string;
  readonly startupOptions: string | undefined;
  /** The attempt may take so long. */
  readonly milliseconds: number;
}

async function newClient(target: ConnectionTarget, startup: Startup): Promise<DriverClient> {
  const { host, port, database, user, password } = target;
  const config = {
    host,
    port,
    database,
    user,
    password: password ?? '',
    application_name: startup.applicationName,
    ...(startup.startupOptions === undefined ? {} : { options: startup.startupOptions }),
    connectionTimeoutMillis: startup.milliseconds,
    keepAlive: true,
    keepAliveInitialDelayMillis: FIRST_PROBE_MILLISECONDS,
  };
  const proxy = process.env[environment.neonProxy];
  // Each driver is loaded only where it is used: loading both costs a cold start some 30 ms.
  if (proxy !== undefined && proxy !== '') return neonClient(config, proxy);
  if (isNeonHost(host)) return neonClient(config, undefined);
  const { default: PgClient } = await import('pg/lib/client.js');
  return new PgClient({ ...config, ssl: await tlsOptions(target.tls) }) as DriverClient;
}

async function neonClient(config: object, proxy: string | undefined): Promise<DriverClient> {
  const { Client } = await import('@neondatabase/serverless');
  const client = new Client({ ...config, ssl: proxy === undefined });
  // Node 20 has no WebSocket of its own; Lambda's Node 24 has, so the bundle leaves this package out.
  if (globalThis.WebSocket === undefined)
    client.neonConfig.webSocketConstructor = (await import('ws')).WebSocket;
  if (proxy !== undefined) {
    client.neonConfig.wsProxy = () => proxy;
    client.neonConfig.useSecureWebSocket = false;
    client.neonConfig.pipelineTLS = false;
    client.neonConfig.pipelineConnect = false;
  }
  return client as unknown as DriverClient;
}

async function tlsOptions(tls: Tls): Promise<object | false> {
  switch (tls.kind) {
    case 'off':
      return false;
    case 'unverified':
      return { rejectUnauthorized: false };
    case 'verified':
      return tls.rootCertificateFile === undefined || tls.rootCertificateFile === 'system'
        ? { rejectUnauthorized: true }
        : { rejectUnauthorized: true, ca: await readFile(tls.rootCertificateFile, 'utf8') };
    default:
      return tls satisfies never;
  }
}
