import { expect, it } from 'vitest';
import { startIamFront } from '../../support/iam-front.ts';
import { startServer } from '../../support/start-server.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { migrate, write } from './command-line.ts';

const signing = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  region: 'eu-central-1',
};
const identity = {
  AWS_ACCESS_KEY_ID: signing.accessKeyId,
  AWS_SECRET_ACCESS_KEY: signing.secretAccessKey,
};

it('--iam signs for the region of --region, and builds in a session of its own, with the reason', async () => {
  const server = await startServer({ authentication: 'password' });
  const front = await startIamFront(server.url, signing);
  const url = `postgres://${server.user}@localhost:${front.port}/postgres?sslmode=verify-full&sslrootcert=${front.rootFile}`;
  const dir = temporaryFolder();
  const up = (...more: string[]) =>
    migrate(['up', '--dir', dir, '--iam', '--database-url', url, ...more], identity);
  const here = ['--region', signing.region];

  write(dir, { '1_words.sql': 'create table words (word text);\ninsert into words values (1);\n' });
  const first = await up(...here);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  write(dir, { '2_index.sql': 'create index concurrently words_word on words (word);\n' });
  const { code, stdout } = await up(...here, '--index-strategy', 'concurrent');
  expect(code).toBe(0);
  expect(stdout).toContain(
    'building    words_word on public.words (attempt 1, attached session: with IAM authentication there is no password by which the server could connect to itself)',
  );
  expect(stdout).toContain('valid       words_word on public.words');

  const elsewhere = await up('--region', 'us-east-1');
  expect(elsewhere.code).toBe(1);
  expect(elsewhere.stderr).toContain('PAM authentication failed');
  expect(elsewhere.stderr).toContain('rds-db:connect');
});

it('--iam is refused for a connection that has a password or no TLS, and beside --stack', async () => {
  const [password, plain, stack] = await Promise.all([
    migrate(['status', '--iam', '--database-url', 'postgres://a:b@db.example.com/a']),
    migrate(['status', '--iam', '--database-url', 'postgres://a@db.example.com/a?sslmode=disable']),
    migrate(['status', '--iam', '--stack', 'Shop']),
  ]);
  expect([password.code, plain.code, stack.code]).toEqual([2, 2, 2]);
  expect(password.stderr).toContain('it has a password, which is not used');
  expect(plain.stderr).toContain('it asks for no TLS with a checked certificate');
  expect(stack.stderr).toContain("option '--stack <name>' cannot be used with option '--iam'");
});
