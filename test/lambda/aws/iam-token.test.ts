import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { withIamToken } from '../../../lambda/aws/iam-token.ts';
import { withSession } from '../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { startIamFront } from '../../support/iam-front.ts';
import { startServer } from '../../support/start-server.ts';
import { assemblyOf, statusOf } from '../lifecycle/life-cycle.ts';

const signing = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  region: 'eu-central-1',
};
const identity = {
  AWS_ACCESS_KEY_ID: signing.accessKeyId,
  AWS_SECRET_ACCESS_KEY: signing.secretAccessKey,
  AWS_REGION: signing.region,
};

afterEach(() => vi.unstubAllEnvs());

async function database() {
  const server = await startServer({ authentication: 'password' });
  const front = await startIamFront(server.url, signing);
  return { server, ...front, url: `postgres://${server.user}@localhost:${front.port}/postgres` };
}

/** A session's own word for who it is. */
const who = (url: string, region = signing.region) =>
  withSession(withIamToken(parseConnectionUrl(url, 'The URL'), { region }), async (session) => {
    const [row] = await session.query('select current_user as name');
    return row?.name;
  });

describe('a connection with IAM authentication', () => {
  it('sends a token that is signed for its user, address and region, a new one for each connection', async () => {
    for (const [name, value] of Object.entries(identity)) vi.stubEnv(name, value);
    const { url, server, rootFile, tokens } = await database();
    const verified = `${url}?sslmode=verify-full&sslrootcert=${rootFile}`;
    const target = withIamToken(parseConnectionUrl(verified, 'The URL'), { region: signing.region });
    for (const pause of [1_100, 0]) {
      await withSession(target, async (session) => {
        expect(await session.query('select current_user as name')).toEqual([{ name: server.user }]);
      });
      // The time of signing has whole seconds.
      await sleep(pause);
    }
    expect(new Set(tokens).size).toBe(2);
    expect(await server.log(), 'no token reaches the log').not.toContain('X-Amz-Signature');
  });

  it('that is refused says what IAM authentication needs', async () => {
    for (const [name, value] of Object.entries(identity)) vi.stubEnv(name, value);
    const { url, rootFile } = await database();
    const verified = `${url}?sslmode=verify-full&sslrootcert=${rootFile}`;
    await expect(who(verified, 'us-east-1')).rejects.toThrow(
      /PAM authentication failed for user "[^"]+"[\s\S]*Next: grant rds_iam to the user .*rds-db:connect as this user/,
    );
  });

  it.each([
    ['', 'asks for no TLS with a checked certificate'],
    ['?sslmode=no-verify', 'asks for no TLS with a checked certificate'],
    ['?sslmode=verify-full&password=secret', 'has a password, which is not used'],
  ])('is not made to localhost%s: it %s', (parameters, problem) => {
    const target = parseConnectionUrl(`postgres://app@localhost/app${parameters}`, 'The URL');
    expect(() => withIamToken(target, {})).toThrow(
      `The connection can't be used with IAM authentication: it ${problem}.`,
    );
  });

  it('without credentials fails at once, and says what to give', async () => {
    for (const name of [...Object.keys(identity), 'AWS_PROFILE', 'HOME']) vi.stubEnv(name, '');
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nowhere');
    vi.stubEnv('AWS_CONFIG_FILE', '/nowhere');
    await expect(who('postgres://app@localhost:1/app?sslmode=verify-full')).rejects.toMatchObject({
      code: 'iam-token',
      message: expect.stringMatching(
        /^No token can be signed for user 'app' at localhost:1: .*\n.*\nNext: give AWS/,
      ),
    });
  });
});

describe('the functions', () => {
  it('are told where to connect by their environment, and need no secret', async () => {
    const { server, port, rootFile, tokens } = await database();
    const status = await statusOf(assemblyOf({}), () => ({
      ...identity,
      DATABASE_HOST: 'localhost',
      DATABASE_PORT: String(port),
      DATABASE_NAME: 'postgres',
      DATABASE_USER: server.user,
      NODE_EXTRA_CA_CERTS: rootFile,
    }));
    expect(status).toMatchObject({ migrations: [], builds: [] });
    expect(tokens.length).toBeGreaterThan(0);
  });
});
