import { createConnection } from 'node:net';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { describe, expect, it } from 'vitest';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';
import { SessionLost, StatementFault } from '../../../lambda/postgres/session/fault.ts';
import { mayPass } from '../../../lambda/run/may-pass.ts';

const ours = (code: string, sqlstate?: string) =>
  new MigrationError({
    code,
    what: 'it happened',
    next: 'continue',
    ...(sqlstate === undefined ? {} : { fault: { sqlstate, message: 'said so' } }),
  });
const postgres = (sqlstate: string) => new StatementFault({ sqlstate, message: 'said so' });

describe('a fault on the way', () => {
  it.each<[string, unknown]>([
    ['a server that does not answer', ours('database-unreachable')],
    ['a password that is being rotated', ours('database-unreachable', '28P01')],
    ['connections that are lost again and again', ours('connection-lost')],
    ['a throttled secret', ours('secret-unreadable')],
    ['credentials that are not there yet', ours('iam-token')],
    ['a loop that cannot be started', ours('hand-off-failed')],
    ['another run', ours('other-run')],
    ['a session that is lost', new SessionLost(new Error('read ECONNRESET'))],
    ['a server that shuts down', postgres('57P01')],
    ['a server that starts', postgres('57P03')],
    ['full connection slots', postgres('53300')],
    ['a lock that is not to be had', postgres('55P03')],
    ['a deadlock', postgres('40P01')],
    ['a disk that is full', postgres('53100')],
    ['a ledger that cannot be read for want of connections', ours('ledger-unreadable', '53300')],
  ])('may pass: %s', (_, error) => {
    expect(mayPass(error)).toBe(true);
  });

  it.each([
    'statement-failed',
    'drift',
    'late-migration',
    'missing-migration',
    'plain-create-index',
    'lint-refused',
    'interrupted-step',
    'reindex-too-wide',
    'index-builds-failed',
    'deploy-outlasted',
    'transaction-pooler',
    'server-too-old',
    'secret-invalid',
    'connection-invalid',
    'ledger-newer',
    'compiled-format',
    'environment-missing',
    'options-invalid',
  ])('does not pass by waiting: %s', (code) => {
    expect(mayPass(ours(code, '53300'))).toBe(false);
  });

  it.each<[string, unknown]>([
    ['a right that is missing', postgres('42501')],
    ['a ledger that our role may not read', ours('ledger-unreadable', '42501')],
    ['a mistake in our own code', new TypeError('x is not a function')],
    ['what is no error', 'text'],
  ])('does not pass by waiting: %s', (_, error) => {
    expect(mayPass(error)).toBe(false);
  });

  it('may pass where Node or the SDK reports it', async () => {
    const refused = await new Promise((resolve) => createConnection(1, '127.0.0.1').on('error', resolve));
    expect(mayPass(refused)).toBe(true);
    const client = new SecretsManagerClient({
      endpoint: 'http://127.0.0.1:1',
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      maxAttempts: 1,
    });
    const unreachable = await client
      .send(new GetSecretValueCommand({ SecretId: 's' }))
      .catch((error) => error);
    expect(mayPass(unreachable)).toBe(true);
  });
});
