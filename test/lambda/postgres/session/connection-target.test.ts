import { describe, expect, it } from 'vitest';
import { MigrationError } from '../../../../lambda/migration/migration-error.ts';
import {
  type ConnectionTarget,
  directHost,
  parseConnectionUrl,
} from '../../../../lambda/postgres/session/connection-target.ts';

const parse = (text: string): ConnectionTarget => parseConnectionUrl(text, 'The URL');
const verified = { kind: 'verified', rootCertificateFile: undefined };

const shop: ConnectionTarget = {
  host: 'db.example.com',
  port: 5432,
  database: 'shop',
  user: 'app',
  password: 'pw',
  tls: { kind: 'verified', rootCertificateFile: undefined },
};

describe('a connection URL', () => {
  it.each<[string, Partial<ConnectionTarget>]>([
    ['postgres://app:pw@db.example.com/shop', {}],
    ['postgresql://app:pw@db.example.com:6543/shop', { port: 6543 }],
    ['  postgres://app:pw@db.example.com/shop\n', {}],
    ['postgres://app@db.example.com/shop', { password: undefined }],
    ['postgres://app:pw@db.example.com', { database: 'app' }],
    ['postgres://app:pw@db.example.com/', { database: 'app' }],
    ['postgres://app:p%40ss%2Fw%3Ard%25@db.example.com/shop', { password: 'p@ss/w:rd%' }],
    ['postgres://app:p@ss@db.example.com/shop', { password: 'p@ss' }],
    ['postgres://a%40b:pw@db.example.com/my%20shop', { user: 'a@b', database: 'my shop' }],
    ['postgres://app:pw@[2001:db8::1]:5433/shop', { host: '2001:db8::1', port: 5433 }],
    ['postgres://db.example.com/shop?user=app&password=pw&port=5433', { port: 5433 }],
    [
      'postgres:///shop?host=/var/run/postgresql&user=app&password=pw',
      { host: '/var/run/postgresql', tls: { kind: 'off' } },
    ],
    ['postgres://app:pw@db.example.com/?dbname=shop', {}],
    [
      'postgres://app:pw@db.example.com/shop?application_name=x&connect_timeout=10',
      { applicationName: 'x', connectSeconds: 10 },
    ],
    ['postgres://app:pw@db.example.com/shop?ApplicationName=x&loginTimeout=0', { applicationName: 'x' }],
    ['postgres://app:pw@db.example.com/shop?channel_binding=require', { channelBinding: 'required' }],
  ])('%s', (text, expected) => {
    expect(parse(text)).toEqual({ ...shop, ...expected });
  });

  it.each([
    ['db.example.com', '', verified],
    ['db.example.com', 'prefer', verified],
    ['db.example.com', 'allow', verified],
    ['db.example.com', 'require', verified],
    ['db.example.com', 'verify-ca', verified],
    ['db.example.com', 'verify-full', verified],
    [
      'db.example.com',
      'verify-full&sslrootcert=/ca.pem',
      { kind: 'verified', rootCertificateFile: '/ca.pem' },
    ],
    ['db.example.com', 'no-verify', { kind: 'unverified' }],
    ['db.example.com', 'disable', { kind: 'off' }],
    ['localhost', '', { kind: 'off' }],
    ['localhost', 'prefer', { kind: 'off' }],
    ['localhost', 'require', verified],
    ['127.0.0.1', '', { kind: 'off' }],
    ['127.1.2.3', '', { kind: 'off' }],
    ['[::1]', '', { kind: 'off' }],
    ['db.localhost', '', { kind: 'off' }],
    ['localhost.example.com', '', verified],
    ['db.example.com', 'require&sslaccept=accept_invalid_certs', { kind: 'unverified' }],
    ['db.example.com', 'require&ssl_min_protocol_version=TLSv1.3', { ...verified, oldestVersion: 'TLSv1.3' }],
    ['localhost', 'require&sslnegotiation=direct', { ...verified, direct: true }],
    [
      'db.example.com',
      'require&sslcert=/c.pem&sslkey=/k.pem&sslpassword=p',
      { ...verified, client: { certificateFile: '/c.pem', keyFile: '/k.pem', password: 'p' } },
    ],
  ])('to %s with sslmode=%s has TLS %j', (host, mode, tls) => {
    const parameter = mode === '' ? '' : `?sslmode=${mode}`;
    expect(parse(`postgres://app:pw@${host}/shop${parameter}`).tls).toEqual(tls);
  });

  it.each([
    ['', 'it is not a URL'],
    ['s3cret', 'it is not a URL'],
    ['app:s3cret@db.example.com/shop', 'its scheme is not postgres'],
    ['s3cret:s3cret', 'its scheme is not postgres'],
    ['mysql://app:s3cret@db.example.com/shop', 'its scheme is not postgres'],
    ['postgres://app:s3cret/x@db.example.com/shop', 'it is not a URL'],
    ['postgres://app:s3cret#x@db.example.com/shop', 'it is not a URL'],
    ['postgres://app:123/s3cret@db.example.com/shop', 'it names no user'],
    ['postgres://app:123?s3cret@db.example.com/shop', 'it names no user'],
    ['postgres://app:123#s3cret@db.example.com/shop', 'it names no user'],
    ['postgres://app:s3cret%zz@db.example.com/shop', "its password has a '%' that begins no valid escape"],
    ['postgres://%zz:s3cret@db.example.com/shop', "its user has a '%' that begins no valid escape"],
    ['postgres://:s3cret@db.example.com/shop', 'it names no user'],
    ['postgres:///shop?user=app&password=s3cret', 'it names no host'],
    ['postgres://app:s3cret@db.example.com:70000/shop', 'it is not a URL'],
    [
      'postgres://db.example.com/shop?user=app&password=s3cret&port=many',
      'its port is not a number from 1 to 65535',
    ],
    [
      'postgres://app:s3cret@db.example.com/shop?sslmode=s3cret',
      'its sslmode is unknown (disable, require, verify-ca, verify-full or no-verify)',
    ],
  ])('that cannot be used is refused without repeating it: %s', (text, problem) => {
    const refused = (() => {
      try {
        return parse(text);
      } catch (error) {
        return error;
      }
    })();
    expect(refused).toBeInstanceOf(MigrationError);
    expect((refused as MigrationError).message).toBe(
      `The URL is not a usable connection: ${problem}.\nNext: write it as postgres://user:password@host:5432/database?sslmode=verify-full (percent-encode special characters in the password).`,
    );
    expect(JSON.stringify(refused, Object.getOwnPropertyNames(refused))).not.toContain('s3cret');
  });
});

describe('the direct host of', () => {
  it.each([
    ['ep-cool-rain-123-pooler.eu-central-1.aws.neon.tech', 'ep-cool-rain-123.eu-central-1.aws.neon.tech'],
    ['ep-cool-rain-123.eu-central-1.aws.neon.tech', 'ep-cool-rain-123.eu-central-1.aws.neon.tech'],
    ['ep-pooler-rain-123.aws.neon.tech', 'ep-pooler-rain-123.aws.neon.tech'],
    ['ep-x-pooler.aws.neon.build', 'ep-x.aws.neon.build'],
    ['db-pooler.example.com', 'db-pooler.example.com'],
    ['neon.tech.example.com', 'neon.tech.example.com'],
    ['localhost', 'localhost'],
  ])('%s is %s', (host, direct) => {
    expect(directHost(host)).toBe(direct);
    expect(parse(`postgres://app:pw@${host}/shop`).host).toBe(direct);
  });
});
