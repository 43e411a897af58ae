import { describe, expect, it } from 'vitest';
import { parseSecret } from '../../../lambda/aws/secret.ts';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';
import type { ConnectionTarget } from '../../../lambda/postgres/session/connection-target.ts';

const shop: ConnectionTarget = {
  host: 'db.example.com',
  port: 5432,
  database: 'shop',
  user: 'app',
  password: 'pw',
  tls: { kind: 'verified', rootCertificateFile: undefined },
};
const url = 'postgres://app:pw@db.example.com/shop';
const rds = { host: 'db.example.com', username: 'app', password: 'pw', dbname: 'shop' };

describe('a secret', () => {
  it.each<[string, string, Partial<ConnectionTarget>]>([
    ['a URL', url, {}],
    ['a URL with a line end', `${url}\n`, {}],
    ['JSON with DATABASE_URL', JSON.stringify({ DATABASE_URL: url }), {}],
    ['JSON with connectionString', JSON.stringify({ connectionString: url, other: 1 }), {}],
    ['JSON with url', ` ${JSON.stringify({ url })}`, {}],
    ['RDS’s JSON', JSON.stringify({ ...rds, port: 5432, engine: 'postgres' }), {}],
    [
      'RDS’s JSON of an Aurora cluster',
      JSON.stringify({ ...rds, port: 6000, engine: 'aurora-postgresql', dbClusterIdentifier: 'c' }),
      { port: 6000 },
    ],
    ['RDS’s JSON with the port as text', JSON.stringify({ ...rds, port: '6000' }), { port: 6000 }],
    [
      'RDS’s JSON without a database',
      JSON.stringify({ ...rds, dbname: undefined }),
      { database: 'postgres' },
    ],
    [
      'RDS’s JSON with special characters',
      JSON.stringify({ ...rds, username: 'a@b', password: `p@ss/w:rd%#?"'\\ü`, dbname: 'my shop/2' }),
      { user: 'a@b', password: `p@ss/w:rd%#?"'\\ü`, database: 'my shop/2' },
    ],
    [
      'RDS’s JSON with an IPv6 address',
      JSON.stringify({ ...rds, host: '2001:db8::1' }),
      { host: '2001:db8::1' },
    ],
    [
      'RDS’s JSON with Neon’s pooled host',
      JSON.stringify({ ...rds, host: 'ep-x-1-pooler.aws.neon.tech' }),
      { host: 'ep-x-1.aws.neon.tech' },
    ],
  ])('may be %s', (_, text, expected) => {
    expect(parseSecret(text)).toEqual({ ...shop, ...expected });
  });

  const usable =
    'Applied: nothing by this run.\nNext: store postgres://user:password@host/database; or JSON with DATABASE_URL, connectionString or url; or JSON with host, username, password, port and dbname.';

  it.each([
    ['JSON that is cut', '{"password": "s3cret"', 'it begins as JSON but is not valid JSON'],
    ['JSON of other keys', '{"user": "app", "pass": "s3cret"}', 'its keys are user, pass'],
    ['JSON without keys', '{}', 'its keys are none'],
    [
      'another engine',
      JSON.stringify({ ...rds, password: 's3cret', engine: 'mysql' }),
      "its engine is 'mysql'",
    ],
    [
      'a host with its port',
      JSON.stringify({ ...rds, password: 's3cret', host: 'db.example.com:5432' }),
      'its host is no host name',
    ],
    ['an empty host', JSON.stringify({ ...rds, password: 's3cret', host: '' }), 'its host is no host name'],
    [
      'a host that is a URL',
      JSON.stringify({ ...rds, host: 'postgres://app:s3cret@db.example.com' }),
      'its host is no host name',
    ],
    [
      'an impossible port',
      JSON.stringify({ ...rds, password: 's3cret', port: 70_000 }),
      'its port is not a number from 1 to 65535',
    ],
  ])('that cannot be used is refused without repeating it: %s', (_, text, problem) => {
    const error = thrownBy(text);
    expect(error.message).toBe(`The secret is not a usable connection: ${problem}.\n${usable}`);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('s3cret');
  });

  it.each([
    'postgres://:s3cret@db.example.com/shop',
    's3cret',
    's3cret:s3cret',
    '"s3cret"',
    '{"DATABASE_URL": "s3cret"}',
    '{"url": "mysql://app:s3cret@db/shop"}',
  ])('is never repeated in an error: %s', (text) => {
    const error = thrownBy(text);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('s3cret');
  });
});

function thrownBy(text: string): MigrationError {
  try {
    parseSecret(text);
  } catch (error) {
    if (error instanceof MigrationError) return error;
    throw error;
  }
  throw new Error(`${text} was taken`);
}
