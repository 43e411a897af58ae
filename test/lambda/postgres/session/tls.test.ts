import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MigrationError } from '../../../../lambda/migration/migration-error.ts';
import { type ConnectOptions, withSession } from '../../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { startAwsEndpoint } from '../../../../local/aws/aws-endpoint.ts';
import { serverCertificate } from '../../../support/certificates.ts';
import { startServer } from '../../../support/start-server.ts';
import { assemblyOf, statusOf } from '../../lifecycle/life-cycle.ts';

async function tlsServer(name: string) {
  const { settings, rootFile } = await serverCertificate(name);
  const server = await startServer({ settings });
  const urlWith = (host: string, parameters: string) =>
    `${server.urlOf({ host })}?${new URLSearchParams(parameters)}`;
  return { urlWith, rootFile, url: server.url };
}

const isEncrypted = (url: string, options: ConnectOptions = {}) =>
  withSession(
    parseConnectionUrl(url, 'The URL'),
    async (session) => {
      const [row] = await session.query(
        'select ssl from pg_catalog.pg_stat_ssl where pid = pg_catalog.pg_backend_pid()',
      );
      return row?.ssl;
    },
    options,
  );

async function refusal(url: string): Promise<string> {
  // No retry fixes a certificate: the server would be asked again for an hour, and the test would not end.
  const outcome = await isEncrypted(url, { patienceSeconds: 3_600 }).catch((error: unknown) => error);
  if (outcome instanceof MigrationError) return outcome.message;
  throw new Error('It was to be refused.', { cause: outcome });
}

const TRUST =
  "Next: give the root certificate of the server's authority: the prop rootCertificate, or on the command line sslrootcert=FILE in the URL; and connect by the name that the certificate has; then run again.";

describe('a server with a certificate of an authority of its own', () => {
  it('is trusted with that authority’s root, by the name that the certificate has', async () => {
    const { urlWith, rootFile } = await tlsServer('localhost');
    expect(await isEncrypted(urlWith('localhost', `sslmode=verify-full&sslrootcert=${rootFile}`))).toBe(true);
  });

  it('is refused without it, whatever sslmode asks for but no-verify, and the error says what to give', async () => {
    const { urlWith } = await tlsServer('localhost');
    for (const mode of ['require', 'verify-ca', 'verify-full']) {
      const lines = (await refusal(urlWith('localhost', `sslmode=${mode}`))).split('\n');
      expect(lines[0]).toMatch(/^Can't connect to Postgres at localhost:\d+, .*certificate/);
      expect(lines.at(-1)).toBe(TRUST);
    }
    expect(await isEncrypted(urlWith('localhost', 'sslmode=no-verify'))).toBe(true);
  });

  it('is refused under another name', async () => {
    const { urlWith, rootFile } = await tlsServer('db.example.com');
    expect(await refusal(urlWith('localhost', `sslmode=verify-full&sslrootcert=${rootFile}`))).toMatch(
      /^Can't connect .*Hostname\/IP does not match certificate's altnames/,
    );
  });
});

describe('the prop rootCertificate', () => {
  /** The migrator as Lambda starts it: the file beside the code, named by NODE_EXTRA_CA_CERTS. */
  async function status(rootCertificate: string | undefined, url: string): Promise<unknown> {
    const aws = await startAwsEndpoint();
    onTestFinished(() => aws.stop());
    aws.secrets.put('database', url);
    const assembly = assemblyOf({}, rootCertificate === undefined ? {} : { rootCertificate });
    return statusOf(assembly, (code) => ({
      ...aws.environment,
      DATABASE_SECRET_ARN: 'database',
      ...(rootCertificate === undefined ? {} : { NODE_EXTRA_CA_CERTS: join(code, 'root-certificate.pem') }),
    }));
  }

  it('makes the deployed functions trust the server; without it they do not', async () => {
    const { urlWith, rootFile } = await tlsServer('localhost');
    const url = urlWith('localhost', 'sslmode=verify-full');
    expect(await status(rootFile, url)).toMatchObject({ migrations: [], builds: [] });
    expect(await status(undefined, url)).toMatch(
      /^Can't connect to Postgres at localhost:\d+, .*certificate/,
    );
  });
});
