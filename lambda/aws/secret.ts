import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { MigrationError } from '../migration/migration-error.ts';
import {
  type ConnectionTarget,
  PORT_EXPECTED,
  parseConnectionUrl,
  parsePort,
} from '../postgres/session/connection-target.ts';
import { CALL_MILLISECONDS, clientLimits, isBusy, isUnanswered, noWayTo, within } from './client-limits.ts';

/** After one whose attempts have all met a busy service. */
const MORE_CALLS = 2;

/** Reads the secret on each call, so that a rotated password is used from then on. */
export async function readSecret(secretArn: string): Promise<ConnectionTarget> {
  // Imported here and not at the top, so that tests of the parser do not pay for loading the SDK.
  const { SecretsManagerClient, GetSecretValueCommand } = await import('@aws-sdk/client-secrets-manager');
  const client = new SecretsManagerClient(clientLimits);
  const call = () =>
    client.send(new GetSecretValueCommand({ SecretId: secretArn }), within(CALL_MILLISECONDS));
  try {
    const { SecretString: text } = await whileBusy(call);
    if (text === undefined) throw invalid('it holds binary data');
    return parseSecret(text);
  } catch (error) {
    if (error instanceof MigrationError) throw error;
    const said = error instanceof Error ? error.message : String(error);
    const unanswered = isUnanswered(error);
    throw new MigrationError({
      code: 'secret-unreadable',
      what: unanswered
        ? `Secrets Manager does not answer, so the secret ${secretArn} can't be read: ${said}`
        : `The secret ${secretArn} can't be read: ${said}`,
      applied: 'nothing by this run.',
      next: unanswered
        ? `${noWayTo('secretsmanager')}; then run again.`
        : 'check that the secret exists in this region and that the function may read it and its key; then run again.',
      cause: error,
    });
  } finally {
    client.destroy();
  }
}

/** Calls again where the service is busy: without the secret a deploy fails, and its rollback too. */
async function whileBusy<T>(call: () => Promise<T>): Promise<T> {
  for (let left = MORE_CALLS; ; left -= 1) {
    try {
      return await call();
    } catch (error) {
      if (left === 0 || !isBusy(error)) throw error;
      await sleep(500 + 1_000 * Math.random());
    }
  }
}

const urlForm = v.union([
  v.pipe(
    v.object({ DATABASE_URL: v.string() }),
    v.transform((secret) => secret.DATABASE_URL),
  ),
  v.pipe(
    v.object({ connectionString: v.string() }),
    v.transform((secret) => secret.connectionString),
  ),
  v.pipe(
    v.object({ url: v.string() }),
    v.transform((secret) => secret.url),
  ),
]);

const rdsForm = v.object({
  host: v.string(),
  username: v.string(),
  password: v.string(),
  port: v.optional(v.union([v.number(), v.string()])),
  dbname: v.optional(v.string()),
  engine: v.optional(v.string()),
});

/** A URL; JSON with `DATABASE_URL`, `connectionString` or `url`; or the JSON that RDS writes. */
export function parseSecret(text: string): ConnectionTarget {
  const trimmed = text.trim();
  if (!trimmed.startsWith('{')) return parseConnectionUrl(trimmed, 'The secret');
  let json: unknown;
  try {
    json = JSON.parse(trimmed);
  } catch {
    throw invalid('it begins as JSON but is not valid JSON');
  }
  const url = v.safeParse(urlForm, json);
  if (url.success) return parseConnectionUrl(url.output, 'The secret');
  const rds = v.safeParse(rdsForm, json);
  if (!rds.success) throw invalid(`its keys are ${keysOf(json)}`);
  const { host, username, password, port, dbname, engine } = rds.output;
  if (engine !== undefined && !engine.includes('postgres')) throw invalid(`its engine is '${engine}'`);
  // Given an invalid host, the URL parser would keep part of it, or nothing.
  if (!isIPv6(host) && !/^[\w.-]+$/.test(host)) throw invalid('its host is no host name');
  const portNumber = parsePort(String(port ?? 5432));
  if (portNumber === undefined) throw invalid(PORT_EXPECTED);
  const [user, secret, database] = [username, password, dbname ?? 'postgres'].map(encodeURIComponent);
  const address = `${isIPv6(host) ? `[${host}]` : host}:${portNumber}`;
  return parseConnectionUrl(`postgres://${user}:${secret}@${address}/${database}`, 'The secret');
}

/** Names of the keys, never their values. */
function keysOf(json: unknown): string {
  return typeof json === 'object' && json !== null ? Object.keys(json).join(', ') || 'none' : 'none';
}

function invalid(problem: string): MigrationError {
  return new MigrationError({
    code: 'secret-invalid',
    what: `The secret is not a usable connection: ${problem}.`,
    applied: 'nothing by this run.',
    next: 'store postgres://user:password@host/database; or JSON with DATABASE_URL, connectionString or url; or JSON with host, username, password, port and dbname.',
  });
}
