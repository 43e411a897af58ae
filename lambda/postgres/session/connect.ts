import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { environment } from '../../environment.ts';
import { type ConnectionTarget, isNeonHost, type Tls } from './connection-target.ts';
import { startupOptions } from './conninfo.ts';
import { fromDriver } from './fault.ts';
import { mayPass, RefusedByUs, refusesOptions, unreachable } from './refusal.ts';
import { type DriverClient, type Session, sessionOver } from './session.ts';

/** Shown in pg_stat_activity. */
export const APPLICATION_NAME = 'cdk-postgres-migrations';

export interface ConnectOptions {
  /** @default that of the connection, else APPLICATION_NAME */
  readonly applicationName?: string;
  /** Seconds before giving up; a server that restarts takes a moment. @default 30 */
  readonly patienceSeconds?: number | undefined;
  /**
   * Seconds that the server may take to let us in once the connection is open. @default 25: a Neon compute may take 20
   * to wake
   */
  readonly answerSeconds?: number | undefined;
}

/** Opening a connection takes one round trip, or two with TLS. */
const OPENING_MILLISECONDS = 15_000;
/** The least for a last attempt, begun just before patience ends: with none it fails whatever the server does. */
const LEAST_OPENING_MILLISECONDS = 2_000;
const ANSWER_MILLISECONDS = 25_000;
/**
 * When a silent connection is first probed. NAT gateways, load balancers and VPC endpoints drop one after 350 s, and
 * Linux would wait for two hours: a long statement would commit without our ever hearing of it.
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
  let marked = true;
  for (let pause = FIRST_PAUSE_MILLISECONDS; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MILLISECONDS)) {
    const client = await newClient(target, {
      applicationName: options.applicationName ?? target.applicationName ?? APPLICATION_NAME,
      options: optionsOf(target, marked),
    });
    const session = sessionOver(client);
    let unconverted = false;
    client.connection?.on('parameterStatus', ({ parameterName, parameterValue }) => {
      if (parameterName === 'server_encoding') unconverted = parameterValue === 'SQL_ASCII';
    });
    try {
      await open(client, {
        opening: Math.max(
          LEAST_OPENING_MILLISECONDS,
          Math.min(OPENING_MILLISECONDS, begun + patience - Date.now()),
        ),
        answer: (options.answerSeconds ?? ANSWER_MILLISECONDS / 1000) * 1000,
        most: target.connectSeconds === undefined ? Number.POSITIVE_INFINITY : target.connectSeconds * 1000,
      });
      // Its rows, and so the errors that quote them, may hold bytes that are no UTF-8, which Postgres would refuse to send.
      if (unconverted) await session.execute("set client_encoding = 'SQL_ASCII'");
      return session;
    } catch (error) {
      session.abandon();
      const said = fromDriver(error);
      // A setting that the connection itself asks for is not silently dropped.
      if (marked && refusesOptions(said) && target.settings === undefined) {
        marked = false;
        continue;
      }
      if (!mayPass(said) || Date.now() - begun + pause > patience) throw unreachable(target, said);
      await sleep(pause);
    }
  }
}

/**
 * A setting that our connection starts with. If the server does not have it, something in between has kept it, and
 * pooler.ts finds out what.
 */
const DIRECT_MARK = {
  'migrations.direct': '1',
  // What is read first would otherwise end at the role's own limit.
  statement_timeout: '0',
};

function optionsOf({ settings, proxyOptions = [] }: ConnectionTarget, marked: boolean): string | undefined {
  const words = startupOptions({ ...settings, ...(marked && DIRECT_MARK) });
  return [words, ...proxyOptions].filter((word) => word !== '').join(' ') || undefined;
}

interface Limits {
  /** Milliseconds until the connection is open. */
  readonly opening: number;
  /** From then on, until the server lets us in. */
  readonly answer: number;
  /** For each of them, as the connection says. */
  readonly most: number;
}

/** Distinguishes a server that is down, which accepts no connection, from one that wakes, which lets it wait. */
async function open(client: DriverClient, { opening, answer, most }: Limits): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const within = (milliseconds: number, what: string) => {
      clearTimeout(timer);
      const limit = Math.min(milliseconds, most);
      timer = setTimeout(() => reject(new Error(`${what} within ${Math.ceil(limit / 1000)} s`)), limit);
    };
    within(opening, 'no connection came about');
    client.connection?.once('connect', () =>
      within(answer, 'the connection was taken, and the server has not answered'),
    );
  });
  try {
    await Promise.race([client.connect(), late]);
  } finally {
    clearTimeout(timer);
    late.catch(() => undefined);
  }
}

interface Startup {
  readonly applicationName: string;
  readonly options: string | undefined;
}

async function newClient(target: ConnectionTarget, startup: Startup): Promise<DriverClient> {
  const { host, port, database, user } = target;
  const password = target.token === undefined ? target.password : await target.token();
  const config = {
    host,
    port,
    database,
    user,
    password: password ?? '',
    application_name: startup.applicationName,
    ...(startup.options === undefined ? {} : { options: startup.options }),
    keepAlive: true,
    keepAliveInitialDelayMillis: FIRST_PROBE_MILLISECONDS,
  };
  const proxy = process.env[environment.neonProxy];
  // Each driver is loaded only when used: loading both adds some 30 ms to a cold start.
  if (proxy !== undefined && proxy !== '') return neonClient(config, { tls: {}, proxy });
  const tls = await tlsOptions(target.tls);
  if (isNeonHost(host)) return neonClient(config, { tls: tls || {}, proxy: undefined });
  const { default: PgClient } = await import('pg/lib/client.js');
  const direct = target.tls.kind !== 'off' && target.tls.direct === true;
  const bound = target.channelBinding === 'required';
  const client = new PgClient({
    ...config,
    ssl: tls,
    ...(direct && { sslnegotiation: 'direct' }),
    ...(bound && { enableChannelBinding: true }),
  }) as DriverClient;
  if (bound) requireChannelBinding(client);
  return client;
}

/** The driver binds if the server offers it; if binding is required, it must happen before the password is sent. */
function requireChannelBinding({ connection }: DriverClient): void {
  const refuse = () =>
    connection?.stream?.destroy(
      new RefusedByUs('the server does not offer SCRAM-SHA-256-PLUS, which channel_binding=require asks for'),
    );
  connection?.prependListener('authenticationCleartextPassword', refuse);
  connection?.prependListener('authenticationMD5Password', refuse);
  connection?.prependListener('authenticationSASL', ({ mechanisms }) => {
    if (!mechanisms?.includes('SCRAM-SHA-256-PLUS')) refuse();
  });
}

async function neonClient(
  config: object,
  { tls, proxy }: { tls: object; proxy: string | undefined },
): Promise<DriverClient> {
  const [{ Client }, { webSocketClass }] = await Promise.all([
    import('@neondatabase/serverless'),
    import('./websocket.ts'),
  ]);
  const client = new Client({ ...config, ssl: proxy === undefined });
  client.neonConfig.webSocketConstructor = webSocketClass({ tls });
  // Otherwise a connection counts as made before the server has answered, and a refusal comes from the first query.
  client.neonConfig.pipelineConnect = false;
  if (proxy !== undefined) {
    client.neonConfig.wsProxy = () => proxy;
    client.neonConfig.useSecureWebSocket = false;
    client.neonConfig.pipelineTLS = false;
  }
  return client as unknown as DriverClient;
}

async function tlsOptions(tls: Tls): Promise<object | false> {
  if (tls.kind === 'off') return false;
  const { client, oldestVersion } = tls;
  const root =
    tls.kind === 'verified' && tls.rootCertificateFile !== 'system' ? tls.rootCertificateFile : undefined;
  const [ca, cert, key] = await Promise.all(
    [root, client?.certificateFile, client?.keyFile].map((file) =>
      file === undefined ? undefined : readFile(file, 'utf8'),
    ),
  );
  return {
    rejectUnauthorized: tls.kind === 'verified',
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert, key }),
    ...(client?.password !== undefined && { passphrase: client.password }),
    ...(oldestVersion !== undefined && { minVersion: oldestVersion }),
  };
}
