import { MigrationError } from '../../migration/migration-error.ts';

/** Where to connect and as whom. Holds a password: never log it, never put it into an error. */
export interface ConnectionTarget {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: string | undefined;
  readonly tls: Tls;
}

/** `verified` checks the certificate and the host's name; `unverified` only where the URL asks for it by name. */
export type Tls =
  | { readonly kind: 'off' }
  | { readonly kind: 'verified'; readonly rootCertificateFile: string | undefined }
  | { readonly kind: 'unverified' };

/**
 * Reads `postgres://user:password@host:port/database?sslmode=…`. Where no sslmode is written, TLS is off for this
 * machine and verified for every other host. Errors never repeat the text: it may hold a password.
 */
export function parseConnectionUrl(text: string, source: string): ConnectionTarget {
  const refuse = (problem: string) =>
    new MigrationError({
      code: 'connection-invalid',
      what: `${source} is not a usable connection: ${problem}.`,
      next: 'write it as postgres://user:password@host:5432/database?sslmode=verify-full (percent-encode special characters in the password).',
    });
  let url: URL;
  try {
    url = new URL(text.trim());
  } catch {
    throw refuse('it is not a URL');
  }
  if (url.protocol !== 'postgres:' && url.protocol !== 'postgresql:') {
    // Of a bare `password:more`, the scheme would be the password.
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
  const user = decode(url.username, 'user') || url.searchParams.get('user') || '';
  if (user === '') throw refuse('it names no user');
  const database = decode(url.pathname.replace(/^\//, ''), 'database') || user;
  const password = decode(url.password, 'password') || url.searchParams.get('password') || undefined;
  const port = parsePort(url.port || (url.searchParams.get('port') ?? '5432'));
  if (port === undefined) throw refuse(PORT_EXPECTED);
  return {
    host: directHost(host),
    port,
    database,
    user,
    password,
    tls: parseTls(url.searchParams, host, refuse),
  };
}

/** Said of a port that is none. */
export const PORT_EXPECTED = 'its port is no number from 1 to 65535';

export function parsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function parseTls(
  parameters: URLSearchParams,
  host: string,
  refuse: (problem: string) => MigrationError,
): Tls {
  const mode = parameters.get('sslmode');
  const rootCertificateFile = parameters.get('sslrootcert') ?? undefined;
  switch (mode) {
    case 'disable':
      return { kind: 'off' };
    case 'no-verify':
      return { kind: 'unverified' };
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return { kind: 'verified', rootCertificateFile };
    case null:
    case 'allow':
    case 'prefer':
      return isThisMachine(host) ? { kind: 'off' } : { kind: 'verified', rootCertificateFile };
    default:
      throw refuse('its sslmode is unknown (disable, require, verify-ca, verify-full or no-verify)');
  }
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
 * Neon's pooled host differs from the direct one by `-pooler` in its first label. Session state goes wrong through
 * the pool (SET, session locks, temporary tables land on other sessions), so migrations go around it.
 */
export function directHost(host: string): string {
  if (!isNeonHost(host)) return host;
  const [first = '', ...rest] = host.split('.');
  return [first.replace(/-pooler$/, ''), ...rest].join('.');
}
