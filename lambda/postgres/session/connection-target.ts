import { MigrationError } from '../../migration/migration-error.ts';
import { printable, readConnectionWords } from './connection-words.ts';

/** Where to connect and as whom. Contains a password: never log it or put it into an error. */
export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  /** Creates the password for one immediate connection; replaces `password`. */
  readonly token?: () => Promise<string>;
  readonly tls: Tls;
  /** Settings of the connection that sessions start with: `search_path`, `role`, … */
  readonly settings?: Readonly<Record<string, string>>;
  /** Parts of `options` for a proxy in front of the server: `endpoint=ep-…`. */
  readonly proxyOptions?: readonly string[];
  /** Replaces our own name; the sessions of builds keep theirs. */
  readonly applicationName?: string;
  /** Limit for one attempt to connect. */
  readonly connectSeconds?: number;
  /** SCRAM bound to the TLS channel, or no connection. */
  readonly channelBinding?: 'required';
}

/** `verified` checks the certificate and the host's name; `unverified` only where the URL asks for it by name. */
export type Tls =
  | { readonly kind: 'off' }
  | ({ readonly kind: 'verified'; readonly rootCertificateFile: string | undefined } & TlsDetails)
  | ({ readonly kind: 'unverified' } & TlsDetails);

export interface TlsDetails {
  readonly client?: {
    readonly certificateFile: string;
    readonly keyFile: string;
    readonly password?: string;
  };
  readonly oldestVersion?: 'TLSv1.3';
  /** The handshake begins at once, without asking the server first. */
  readonly direct?: true;
}

/**
 * Reads `postgres://user:password@host:port/database?sslmode=…`. Without sslmode, TLS is off for this machine and
 * verified for every other host. Errors never repeat the text, which may contain a password.
 */
export function parseConnectionUrl(text: string, source: string): ConnectionTarget {
  const refuse = (problem: string) =>
    new MigrationError({
      code: 'connection-invalid',
      what: `${source} is not a usable connection: ${problem}.`,
      next: 'write it as postgres://user:password@host:5432/database?sslmode=verify-full (percent-encode special characters in the password).',
    });
  if (/,/.test(authorityOf(text))) throw refuse(SEVERAL_HOSTS);
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    throw refuse('it is not a URL');
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    // In a bare `password:more`, the scheme would be the password.
    throw refuse('its scheme is not postgres');
  }
  const decode = (part: string, name: string) => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw refuse(`its ${name} has a '%' that begins no valid escape`);
    }
  };
  const host = decode(url.hostname, 'host').replace(/^\[|\]$/g, '') || url.searchParams.get('host') || '';
  if (host === '') throw refuse('it names no host');
  if (host.includes(',')) throw refuse(SEVERAL_HOSTS);
  const user = decode(url.username, 'user') || url.searchParams.get('user') || '';
  if (user === '') throw refuse('it names no user');
  const parameters = url.searchParams;
  const database =
    decode(url.pathname.replace(/^\//, ''), 'database') ||
    parameters.get('dbname') ||
    parameters.get('database') ||
    user;
  const password = decode(url.password, 'password') || url.searchParams.get('password') || undefined;
  const port = parsePort(url.port || (url.searchParams.get('port') ?? '5432'));
  if (port === undefined) throw refuse(PORT_EXPECTED);
  if (url.hash !== '') throw refuse("it has a '#' that is not percent-encoded");
  const read = { host, port: String(port), user, password: password ?? '', dbname: database, database };
  for (const [name, value] of parameters) {
    const taken = Object.hasOwn(read, name) ? read[name as keyof typeof read] : parameters.get(name);
    // Of two, psql takes the last.
    if (value !== taken) throw refuse(`its ${printable(name)} is given twice, with different values`);
  }
  const { settings, proxyOptions } = readConnectionWords(parameters, refuse);
  const tls = parseTls(parameters, host, refuse);
  const applicationName = parameters.get('application_name') ?? parameters.get('ApplicationName');
  const connectSeconds = parseConnectSeconds(parameters, refuse);
  return {
    host: directHost(host),
    port,
    database,
    user,
    password,
    tls,
    ...(Object.keys(settings).length > 0 && { settings }),
    ...(proxyOptions.length > 0 && { proxyOptions }),
    ...(applicationName && { applicationName }),
    ...(connectSeconds !== undefined && { connectSeconds }),
    ...(bindsChannel(parameters, tls, refuse) && { channelBinding: 'required' }),
  };
}

const SEVERAL_HOSTS = 'it names several hosts: name the primary alone';

/** Host and port, without the password, which may contain any character. */
function authorityOf(text: string): string {
  const [, authority = ''] = /^[a-z]+:\/\/([^/?#]*)/i.exec(text.trim()) ?? [];
  return authority.slice(authority.lastIndexOf('@') + 1);
}

/** Seconds as libpq takes them: 0 and less mean no limit. */
function parseConnectSeconds(
  parameters: URLSearchParams,
  refuse: (problem: string) => MigrationError,
): number | undefined {
  for (const name of ['connect_timeout', 'connectTimeout', 'loginTimeout']) {
    const text = parameters.get(name);
    if (text === null) continue;
    if (!/^-?\d{1,6}$/.test(text)) throw refuse(`its ${name} is not a number of seconds`);
    if (Number(text) > 0) return Math.max(2, Number(text));
  }
  return undefined;
}

function bindsChannel(
  parameters: URLSearchParams,
  tls: Tls,
  refuse: (problem: string) => MigrationError,
): boolean {
  switch (parameters.get('channel_binding')) {
    case null:
    case 'prefer':
    case 'disable':
      return false;
    case 'require':
      if (tls.kind === 'off') throw refuse('its channel_binding asks for TLS, which its sslmode leaves out');
      return true;
    default:
      throw refuse('its channel_binding is unknown (disable, prefer or require)');
  }
}

/** For an invalid port. */
export const PORT_EXPECTED = 'its port is not a number from 1 to 65535';

export function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function parseTls(
  parameters: URLSearchParams,
  host: string,
  refuse: (problem: string) => MigrationError,
): Tls {
  const root = parameters.get('sslrootcert');
  // libpq's word for the certificates that this machine trusts anyway.
  const rootCertificateFile = root === null || root === 'system' ? undefined : root;
  const details = parseTlsDetails(parameters, refuse);
  const unverified: Tls = { kind: 'unverified', ...details };
  const verified: Tls =
    parameters.get('sslaccept') === 'accept_invalid_certs'
      ? unverified
      : { kind: 'verified', rootCertificateFile, ...details };
  switch (parameters.get('sslmode') ?? sslModeOf(parameters)) {
    case 'disable':
      if (details.direct) throw refuse('its sslnegotiation asks for TLS, which its sslmode leaves out');
      return { kind: 'off' };
    case 'no-verify':
      return unverified;
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return verified;
    case undefined:
    case 'allow':
    case 'prefer':
      return isThisMachine(host) && details.direct === undefined ? { kind: 'off' } : verified;
    default:
      throw refuse('its sslmode is unknown (disable, require, verify-ca, verify-full or no-verify)');
  }
}

/** What JDBC, node-postgres and asyncpg write as `ssl`. */
function sslModeOf(parameters: URLSearchParams): string | undefined {
  const ssl = parameters.get('ssl') ?? undefined;
  if (ssl === 'true' || ssl === '1' || ssl === '') return 'require';
  return ssl === 'false' || ssl === '0' ? 'disable' : ssl;
}

function parseTlsDetails(
  parameters: URLSearchParams,
  refuse: (problem: string) => MigrationError,
): TlsDetails {
  const [certificateFile, keyFile, password] = ['sslcert', 'sslkey', 'sslpassword'].map((name) =>
    parameters.get(name),
  );
  if (certificateFile && !keyFile) {
    throw refuse(
      'its sslcert has no sslkey beside it (a root certificate, as Prisma has it there, is written as sslrootcert)',
    );
  }
  if (keyFile && !certificateFile) throw refuse('its sslkey has no sslcert beside it');
  const accept = parameters.get('sslaccept');
  if (accept !== null && accept !== 'strict' && accept !== 'accept_invalid_certs') {
    throw refuse('its sslaccept is unknown (strict or accept_invalid_certs)');
  }
  const oldest = parameters.get('ssl_min_protocol_version');
  if (oldest !== null && !/^TLSv1(?:\.[123])?$/.test(oldest)) {
    throw refuse('its ssl_min_protocol_version is unknown (TLSv1.2 or TLSv1.3)');
  }
  const negotiation = parameters.get('sslnegotiation');
  if (negotiation !== null && negotiation !== 'postgres' && negotiation !== 'direct') {
    throw refuse('its sslnegotiation is unknown (postgres or direct)');
  }
  return {
    ...(certificateFile &&
      keyFile && { client: { certificateFile, keyFile, ...(password && { password }) } }),
    // By default Node supports nothing older than 1.2.
    ...(oldest === 'TLSv1.3' && { oldestVersion: oldest }),
    ...(negotiation === 'direct' && { direct: true }),
  };
}

/** By name, by loopback address, or by the directory of a Unix socket. */
function isThisMachine(host: string): boolean {
  return (
    host === 'localhost' ||
    host.endsWith('.localhost') ||
    host === '::1' ||
    host.startsWith('127.') ||
    host.startsWith('/')
  );
}

/** Neon's hosts, by their domain. */
export function isNeonHost(host: string): boolean {
  return host.endsWith('.neon.tech') || host.endsWith('.neon.build');
}

/**
 * Neon's pooled host has `-pooler` in its first label. Session state breaks in the pool (SET, session locks, temporary
 * tables land on other sessions), so migrations use the direct host.
 */
export function directHost(host: string): string {
  if (!isNeonHost(host)) return host;
  const [first = '', ...rest] = host.split('.');
  return [first.replace(/-pooler$/, ''), ...rest].join('.');
}
