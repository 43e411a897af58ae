import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createConnection, createServer as createNetServer } from 'node:net';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { WebSocketServer } from 'ws';
import { environment } from '../../../../lambda/environment.ts';
import { MigrationError } from '../../../../lambda/migration/migration-error.ts';
import { type ConnectOptions, connect, withSession } from '../../../../lambda/postgres/session/connect.ts';
import {
  type ConnectionTarget,
  parseConnectionUrl,
} from '../../../../lambda/postgres/session/connection-target.ts';
import { SessionLost } from '../../../../lambda/postgres/session/fault.ts';
import { mayPass, unreachable } from '../../../../lambda/postgres/session/refusal.ts';
import { webSocketClass } from '../../../../lambda/postgres/session/websocket.ts';
import { closeServer, listen } from '../../../../local/aws/listen.ts';
import { type NeonProxyOptions, startNeonProxy } from '../../../../local/wire/neon-proxy.ts';
import { serverCertificate } from '../../../support/certificates.ts';
import { type FreshDatabase, freshDatabase } from '../../../support/fresh-database.ts';

let database: FreshDatabase;
beforeEach(async () => {
  database = await freshDatabase();
});

const ways = ['WebSocket', 'TCP'] as const;

/** The database behind a proxy like Neon's. */
async function behind(
  way: (typeof ways)[number],
  options: Partial<NeonProxyOptions> = {},
): Promise<ConnectionTarget> {
  const proxy = await startNeonProxy({ target: database.url, ...options });
  onTestFinished(() => proxy.stop());
  if (way === 'TCP') return parseConnectionUrl(proxy.tcpUrl, 'The URL');
  byWebSocket(proxy.wsProxy);
  return parseConnectionUrl(database.url, 'The URL');
}

function byWebSocket(address: string): void {
  vi.stubEnv(environment.neonProxy, address);
  onTestFinished(() => void vi.unstubAllEnvs());
}

/** Whoever is asked again would be so for an hour, and the test would not end. */
const HOUR = { patienceSeconds: 3_600 };

async function failure(to: ConnectionTarget, options: ConnectOptions = {}): Promise<MigrationError> {
  const outcome = await connect(to, options).catch((error: unknown) => error);
  if (outcome instanceof MigrationError) return outcome;
  throw new Error('It was to fail with a MigrationError.', { cause: outcome });
}

const sum = (target: ConnectionTarget, options?: ConnectOptions) =>
  withSession(target, (session) => session.query('select $1::int + 1 as sum', [41]), options);

describe.each(ways)('behind Neon’s proxy, over %s', (way) => {
  it('full connection slots are waited for', async () => {
    const target = await behind(way, {
      refuse: (connection) => (connection <= 3 ? 'sorry, too many clients already' : undefined),
    });
    expect(await sum(target)).toEqual([{ sum: 42 }]);
  });

  it('a compute that takes 20 s to wake is waited for, also by who gives up on a server that is down after one', async () => {
    const target = await behind(way, { wakeMilliseconds: 20_000 });
    expect(await sum(target, { patienceSeconds: 1 })).toEqual([{ sum: 42 }]);
  });

  it('a wrong password and a missing database are said at once', async () => {
    const target = await behind(way);
    const password = await failure({ ...target, password: 'wrong' }, HOUR);
    expect(password.message).toContain('password authentication failed for user');
    expect(password.details.next).toMatch(/^check user and password of the connection/);
    const missing = await failure({ ...target, database: 'missing' }, HOUR);
    expect(missing.message).toContain('database "missing" does not exist (SQLSTATE XX000)');
    expect(missing.details.next).toMatch(/^check the database's name/);
  });

  it('a compute that takes no settings at startup is a pooler’s, and what the connection asks for is not dropped', async () => {
    const refuse = () =>
      'unsupported startup parameter in options: search_path. Please use unpooled connection or remove this parameter from the startup package.';
    const target = await behind(way, { refuse });
    const error = await failure({ ...target, settings: { search_path: 'app' } });
    expect(error.details.next).toMatch(/^the proxy in between accepts no settings at startup/);
  });
});

describe('what Neon’s proxy says at startup', () => {
  it.each<[string, 'passes' | 'for good', string]>([
    ["password authentication failed for user 'app'", 'for good', 'password'],
    ['Unsupported authentication method: md5', 'for good', 'password'],
    ['Malformed password message: missing terminator', 'for good', 'password'],
    ['authentication protocol violation', 'for good', 'password'],
    ['Provided authentication token is not a valid JWT encoding', 'for good', 'password'],
    ['database "shop" does not exist', 'for good', "database's name"],
    ['role "app" does not exist', 'for good', 'check the user'],
    ['role "app" is not permitted to log in', 'for good', 'let the role connect'],
    ['pg_hba.conf rejects connection for host "192.0.2.1"', 'for good', 'let the role connect'],
    ['insecure connection: secure channel data mismatch', 'for good', 'sslmode=verify-full'],
    ['cannot connect to invalid database "shop"', 'for good', "database's name"],
    ['permission denied to set parameter "log_statement"', 'for good', 'asks for this setting'],
    ['invalid command-line argument for server process: junk', 'for good', 'asks for this setting'],
    ['permission denied for database "shop"', 'for good', 'let the role connect'],
    [
      'This IP address 192.0.2.1 is not allowed to connect to this endpoint. Please add it to the allowed list in the Neon console.',
      'for good',
      'allow list',
    ],
    ['This VPC endpoint id vpce-1 is not allowed to connect to this endpoint.', 'for good', 'allow list'],
    ['This connection is trying to access this endpoint from a blocked network.', 'for good', 'allow list'],
    ['connection is insecure (try using `sslmode=require`)', 'for good', 'sslmode=verify-full'],
    [
      'unsupported startup parameter: search_path. Please use unpooled connection',
      'for good',
      'accepts no settings at startup',
    ],
    [
      'Endpoint ID is not specified. Either please upgrade the postgres client library',
      'for good',
      'id of the endpoint',
    ],
    [
      "Inconsistent project name inferred from SNI ('a') and project option ('b').",
      'for good',
      'id of the endpoint',
    ],
    ['Control plane request failed: endpoint cannot be found', 'for good', 'id of the endpoint'],
    ['Control plane request failed: endpoint is disabled', 'for good', 'id of the endpoint'],
    [
      'Your account or project has exceeded the compute time quota. Upgrade your plan to increase limits.',
      'for good',
      'quotas',
    ],
    [
      'Control plane request failed: endpoint is temporarily unavailable. Check your quotas and/or contact our support.',
      'passes',
      'quotas',
    ],
    ['Control plane request failed', 'passes', 'check the connection'],
    ["Couldn't connect to compute node", 'passes', 'check the connection'],
    ['Too many connections to this endpoint. Please try again later.', 'passes', 'slot'],
    ['Too many connections attempts', 'passes', 'slot'],
    [
      'Failed to acquire permit to connect to the database. Too many database connection attempts are currently ongoing.',
      'passes',
      'slot',
    ],
    ['sorry, too many clients already', 'passes', 'slot'],
    ['remaining connection slots are reserved for roles with the SUPERUSER attribute', 'passes', 'slot'],
    ['too many connections for role "app"', 'passes', 'slot'],
    ['the database system is starting up', 'passes', 'check the connection'],
    ['Authentication timed out', 'passes', 'check the connection'],
    ['Internal error', 'passes', 'check the connection'],
    ['something that nobody has seen yet', 'passes', 'check the connection'],
  ])('%s', async (text, fate, next) => {
    const target = await behind('WebSocket', { refuse: () => text });
    const error = await failure(target, fate === 'for good' ? HOUR : { patienceSeconds: 1.5 });
    expect(error.message).toContain(`Postgres: ${text} (SQLSTATE XX000)`);
    expect(error.details.next).toContain(next);
    const { cause } = error.details;
    if (!(cause instanceof Error)) throw new Error('The refusal is the cause.');
    expect(mayPass(cause as never)).toBe(fate === 'passes');
  });
});

describe('a WebSocket that fails says why', () => {
  it('where nobody listens', async () => {
    byWebSocket('127.0.0.1:1/v2');
    const error = await failure(parseConnectionUrl(database.url, 'The URL'), { patienceSeconds: 0.3 });
    expect(error.message).toContain(': connect ECONNREFUSED 127.0.0.1:1.');
  });

  it('not where patience ends while its connection is being made: each attempt has the time for that', async () => {
    const proxy = await startNeonProxy({ target: database.url });
    onTestFinished(() => proxy.stop());
    const [host = '', port = ''] = proxy.wsProxy.replace(/\/.*/, '').split(':');
    const late = createNetServer((from) => {
      const to = createConnection({ host, port: Number(port) });
      for (const end of [from, to]) end.on('error', () => {});
      setTimeout(() => from.pipe(to).pipe(from), 100);
    });
    byWebSocket(`127.0.0.1:${await listen(late)}/v2`);
    onTestFinished(() => void late.close());
    const target = parseConnectionUrl(database.url, 'The URL');
    expect(await sum(target, { patienceSeconds: 0.01 })).toEqual([{ sum: 42 }]);
  });

  it('where a web server answers, which is not tried again', async () => {
    const server = createServer((_, response) => void response.writeHead(404).end());
    const port = await listen(server);
    onTestFinished(() => closeServer(server));
    byWebSocket(`127.0.0.1:${port}/v2`);
    const error = await failure(parseConnectionUrl(database.url, 'The URL'), HOUR);
    expect(error.message).toContain(': Unexpected server response: 404.');
  });

  it('where the certificate is not trusted, and trusts it with the root that the connection names', async () => {
    const { settings, rootFile } = await serverCertificate('localhost');
    const server = createTlsServer({
      cert: readFileSync(String(settings.ssl_cert_file)),
      key: readFileSync(String(settings.ssl_key_file)),
    });
    new WebSocketServer({ server });
    const port = await listen(server);
    onTestFinished(() => {
      server.closeAllConnections();
      return closeServer(server);
    });
    const opened = (tls: object): Promise<unknown> =>
      new Promise((resolve) => {
        const socket = new (webSocketClass({ tls }))(`wss://localhost:${port}/v2`);
        socket.addEventListener('open', () => {
          socket.close();
          resolve('open');
        });
        socket.addEventListener('error', (event) => resolve(event));
      });
    expect(await opened({ ca: readFileSync(rootFile) })).toBe('open');
    const lost = new SessionLost(await opened({}));
    expect(lost.message).toMatch(/^the connection to Postgres was lost: .*certificate/);
    const { details } = unreachable(parseConnectionUrl(database.url, 'The URL'), lost);
    expect(details.next).toMatch(/^give the root certificate/);
    expect(mayPass(lost)).toBe(false);
  });

  it.each([
    [
      new AggregateError([new Error(''), new Error('connect ECONNREFUSED ::1:1')]),
      'connect ECONNREFUSED ::1:1',
    ],
    [{ type: 'error', error: new Error('within') }, 'within'],
    [{ type: 'error', message: 'Received network error.' }, 'Received network error'],
    [{ type: 'error' }, 'the connection failed, and nothing says why'],
    [undefined, 'the connection failed, and nothing says why'],
    ['as text', 'as text'],
  ])('whatever it throws (%#)', (thrown, reason) => {
    expect(new SessionLost(thrown).message).toBe(`the connection to Postgres was lost: ${reason}`);
  });
});

it('a WebSocket whose way is forgotten is found lost by its pings, and one that is only silent is not', async () => {
  const proxy = await startNeonProxy({ target: database.url });
  onTestFinished(() => proxy.stop());
  const open = () => new (webSocketClass({ tls: {}, pingMilliseconds: 100 }))(`ws://${proxy.wsProxy}`);
  const socket = open();
  await new Promise((resolve) => socket.once('open', resolve));
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(socket.readyState).toBe(socket.OPEN);
  const lost = new Promise((resolve) => socket.once('error', resolve));
  proxy.forgetFlows();
  expect(await lost).toMatchObject({ message: 'nothing has answered for 0.3 s' });
  expect(socket.readyState).not.toBe(socket.OPEN);
});
