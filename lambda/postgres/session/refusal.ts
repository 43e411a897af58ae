import { MigrationError } from '../../migration/migration-error.ts';
import { mayLetUsInLater, sqlstate } from '../../migration/sqlstate.ts';
import type { ConnectionTarget } from './connection-target.ts';
import { reasonOf, SessionLost, type StatementFault } from './fault.ts';

/** The error of a server that does not let us in, or of the way to it. */
type Refusal = StatementFault | SessionLost;

const REACH =
  'check the connection (the secret or the URL), the network (VPC, security group, allow list) and that the database is up; then run again.';

/** What to do, by the cause. */
const NEXT = {
  reach: REACH,
  trust:
    "give the root certificate of the server's authority: the prop rootCertificate, or on the command line sslrootcert=FILE in the URL; and connect by the name that the certificate has; then run again.",
  password:
    'check user and password of the connection (the secret or the URL; after a rotation, the new one); then run again.',
  token:
    "grant rds_iam to the user (grant rds_iam to …), turn IAM authentication on at the database, and allow the identity that signs rds-db:connect as this user, in the database's own region; then run again.",
  database:
    "check the database's name in the connection (the secret or the URL), or create it; then run again.",
  allowed:
    'let the role connect (grant connect on database … to …; login; an entry in pg_hba.conf, or in the allow list of the provider, for the address that we come from); then run again.',
  tls: 'ask for TLS: sslmode=verify-full in the connection (the secret or the URL); then run again.',
  options:
    "the proxy in between accepts no settings at startup: connect to the database's direct address (Neon: the host without -pooler), or take options and settings out of the connection and give them to the role (alter role … set …); then run again.",
  setting:
    'the connection itself asks for this setting, in its options or by a parameter: correct it, take it out, or give it to the role (alter role … set …); then run again.',
  role: 'the connection itself asks for this role, in its options or by a parameter: create it, grant it to the user (grant … to …), or take it out; then run again.',
  user: 'check the user of the connection (the secret or the URL), or create it (create role … login password …); then run again.',
  encoding:
    'files are UTF-8, and Postgres converts nothing between that and the encoding of this database: dump it, and restore it into one with the encoding UTF8 (create database … encoding UTF8 template template0); then run again.',
  endpoint:
    'check the host of the connection (the secret or the URL): its first part is the id of the endpoint, which has to exist and to be enabled; then run again.',
  quota: "see the project's quotas and state in the provider's console; then run again.",
  slots:
    'every connection slot is taken: wait, end sessions that are idle (pg_stat_activity), or raise max_connections or the limit of the role or database; then run again.',
} as const;

interface Verdict {
  readonly passes: boolean;
  readonly next: keyof typeof NEXT;
}

/** The cause by SQLSTATE; `reach` for others. */
const SQLSTATES: Readonly<Record<string, keyof typeof NEXT>> = {
  [sqlstate.invalidPassword]: 'password',
  [sqlstate.invalidAuthorization]: 'allowed',
  [sqlstate.undefinedDatabase]: 'database',
  [sqlstate.insufficientPrivilege]: 'allowed',
  [sqlstate.featureNotSupported]: 'options',
  [sqlstate.protocolViolation]: 'options',
  [sqlstate.invalidParameterValue]: 'options',
  [sqlstate.undefinedObject]: 'options',
  [sqlstate.tooManyConnections]: 'slots',
  [sqlstate.objectNotInPrerequisiteState]: 'database',
};

/**
 * Neon's proxy has one SQLSTATE for all errors at startup, and passes on the compute's messages without their
 * SQLSTATEs: only the text distinguishes them. From its source (neondatabase/neon, proxy/src: auth/mod.rs,
 * compute/mod.rs, control_plane, pglb/mod.rs). Other texts count as passing.
 */
const TEXTS: readonly (readonly [RegExp, Verdict])[] = [
  [/^password authentication failed for user/, { passes: false, next: 'password' }],
  [
    /^(?:Unsupported authentication method|Malformed password message|authentication protocol violation|unsupported channel binding method)/,
    { passes: false, next: 'password' },
  ],
  [
    /^(?:JWKs settings|jwk not found|missing key id|Provided authentication token|invalid JWT|JWT token)/,
    { passes: false, next: 'password' },
  ],
  [/^database ".*" does not exist/, { passes: false, next: 'database' }],
  [
    /^(?:database ".*" is not currently accepting connections|cannot connect to invalid database)/,
    { passes: false, next: 'database' },
  ],
  [/^role ".*" does not exist/, { passes: false, next: 'user' }],
  [/^role ".*" is not permitted to log in/, { passes: false, next: 'allowed' }],
  [/^permission denied for database/, { passes: false, next: 'allowed' }],
  [/^(?:no pg_hba\.conf entry|pg_hba\.conf rejects)/, { passes: false, next: 'allowed' }],
  [/^This (?:IP address|VPC endpoint id) .* is not allowed to connect/, { passes: false, next: 'allowed' }],
  [
    /^This connection is trying to access this endpoint from a blocked network/,
    { passes: false, next: 'allowed' },
  ],
  [/^VPC endpoint ID is not specified/, { passes: false, next: 'allowed' }],
  [/^(?:connection is insecure|insecure connection|SCRAM-PLUS not used)/, { passes: false, next: 'tls' }],
  [/^unsupported startup parameter/, { passes: false, next: 'options' }],
  [
    /^(?:unrecognized configuration parameter|invalid value for parameter|parameter ".*" cannot be|permission denied to set|invalid command-line argument|-.+ requires a value)/,
    { passes: false, next: 'setting' },
  ],
  [/^Endpoint ID is not specified/, { passes: false, next: 'endpoint' }],
  [/^Inconsistent project name/, { passes: false, next: 'endpoint' }],
  [/^Project name \('.*'\) must contain/, { passes: false, next: 'endpoint' }],
  [/^Parameter '.*' is missing in startup packet/, { passes: false, next: 'endpoint' }],
  [/endpoint cannot be found/, { passes: false, next: 'endpoint' }],
  [/endpoint is disabled/, { passes: false, next: 'endpoint' }],
  [/exceeded the .*quota/i, { passes: false, next: 'quota' }],
  [/endpoint is temporarily unavailable/, { passes: true, next: 'quota' }],
  [
    /^(?:sorry, too many clients already|remaining connection slots are reserved|too many connections for)/,
    { passes: true, next: 'slots' },
  ],
  [/^(?:Too many connections|Failed to acquire permit)/, { passes: true, next: 'slots' }],
];

/** Codes of Node's TLS checks, which no retry fixes. */
const CERTIFICATE_REFUSED = /^(?:CERT_|ERR_TLS_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_)/;
/** The driver's message, without a code, if the server refuses TLS. */
const NO_TLS = 'The server does not support SSL connections';
/** A host that answers a WebSocket like a web server is not Neon's proxy. */
const NO_WEBSOCKET = /^Unexpected server response: 4\d\d/;

/**
 * What an error at startup is about where it names a setting of the connection, or the role that one asks for. A role's
 * or database's own settings are no errors then, but warnings.
 */
function ownSetting({ settings = {} }: ConnectionTarget, said: Refusal): 'setting' | 'role' | undefined {
  if (said instanceof SessionLost || !OF_SETTINGS.has(said.fault.sqlstate)) return undefined;
  // A role that may not connect to the database gets a detail.
  if (said.fault.sqlstate === sqlstate.insufficientPrivilege && said.fault.detail !== undefined)
    return undefined;
  const named = (word: string) =>
    said.fault.message
      .toLowerCase()
      .split(/[^\w.]+/)
      .includes(word.toLowerCase());
  const { role = '', session_authorization = '' } = settings;
  if ([role, session_authorization].some((name) => name !== '' && said.fault.message.includes(name)))
    return 'role';
  return Object.keys(settings).some(named) || NO_OTHER_CAUSE.has(said.fault.sqlstate) ? 'setting' : undefined;
}

/** A value that is refused, or a library that is missing, without the name of the setting. */
const NO_OTHER_CAUSE: ReadonlySet<string> = new Set([
  sqlstate.invalidParameterValue,
  sqlstate.syntaxError,
  sqlstate.undefinedObject,
  sqlstate.cantChangeRuntimeParameter,
  sqlstate.undefinedFile,
]);
const OF_SETTINGS: ReadonlySet<string> = new Set([
  ...NO_OTHER_CAUSE,
  sqlstate.insufficientPrivilege,
  sqlstate.internalError,
]);

function verdictOf(said: Refusal): Verdict {
  if (!(said instanceof SessionLost)) {
    const { sqlstate: code, message } = said.fault;
    if (code === sqlstate.featureNotSupported && message.includes('MULE_INTERNAL'))
      return { passes: false, next: 'encoding' };
    if (code === sqlstate.invalidAuthorization && /^role ".*" does not exist/.test(message))
      return { passes: false, next: 'user' };
    if (code !== sqlstate.internalError)
      return { passes: mayLetUsInLater.has(code), next: SQLSTATES[code] ?? 'reach' };
    return TEXTS.find(([text]) => text.test(message))?.[1] ?? { passes: true, next: 'reach' };
  }
  const { cause } = said;
  if (cause instanceof RefusedByUs) return { passes: false, next: 'reach' };
  if (!(cause instanceof Error)) return { passes: true, next: 'reach' };
  if (cause.message === NO_TLS || NO_WEBSOCKET.test(cause.message)) return { passes: false, next: 'reach' };
  const code = 'code' in cause ? cause.code : undefined;
  if (typeof code === 'string' && CERTIFICATE_REFUSED.test(code)) return { passes: false, next: 'trust' };
  return { passes: true, next: 'reach' };
}

/** The server would let us in, but we refuse to connect. */
export class RefusedByUs extends Error {}

/** Whether the server may let us in a moment later: it starts, restarts, wakes, or is full. */
export function mayPass(said: Refusal): boolean {
  return verdictOf(said).passes;
}

/**
 * Poolers and proxies that accept no startup options report it in different ways: PgBouncer, RDS Proxy, Neon's pooler.
 */
export function refusesOptions(said: Refusal): boolean {
  if (said instanceof SessionLost) return false;
  const { sqlstate: code, message } = said.fault;
  if (code === sqlstate.internalError) return message.startsWith('unsupported startup parameter');
  return code === sqlstate.protocolViolation || code === sqlstate.featureNotSupported;
}

export function unreachable(target: ConnectionTarget, said: Refusal): MigrationError {
  const next = ownSetting(target, said) ?? verdictOf(said).next;
  const where = `${target.host}:${target.port}, database '${target.database}', user '${target.user}'`;
  return new MigrationError({
    code: 'database-unreachable',
    what: `Can't connect to Postgres at ${where}${said instanceof SessionLost ? `: ${reasonOf(said.cause)}.` : '.'}`,
    fault: said instanceof SessionLost ? undefined : { ...said.fault, fromStartup: true },
    applied: 'nothing by this run.',
    next: NEXT[target.token !== undefined && (next === 'password' || isRefusedByPam(said)) ? 'token' : next],
    cause: said,
  });
}

/** How RDS refuses a token: by its PAM module. */
function isRefusedByPam(said: Refusal): boolean {
  return !(said instanceof SessionLost) && /^PAM authentication failed/.test(said.fault.message);
}
