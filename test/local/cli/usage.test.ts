import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../../local/postgres/free-port.ts';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { freshDatabase } from '../../support/fresh-database.ts';
import { folderOf, migrate } from './command-line.ts';

const somewhere = 'postgres://somebody:hush@127.0.0.1:1/app';
const dir = () => ['--dir', folderOf({ '1_a.sql': 'create table a ();' })];

describe('the command itself', () => {
  it.each(
    firstOf(3, [
      [['up', '--nope'], "error: unknown option '--nope'\n(--help shows what is possible)\n"],
      [['upp'], "error: unknown command 'upp'\n(Did you mean up?)\n(--help shows what is possible)\n"],
      [
        ['up', '--small-table-rows', 'few'],
        "error: option '--small-table-rows <rows>' argument 'few' is invalid. It has to be a whole number.\n(--help shows what is possible)\n",
      ],
      [
        ['up', '--max-attempts', '0'],
        "error: option '--max-attempts <count>' argument '0' is invalid. It has to be at least 1.\n(--help shows what is possible)\n",
      ],
      [
        ['up', '--index-strategy', 'never'],
        "error: option '--index-strategy <strategy>' argument 'never' is invalid. Allowed choices are auto, inline, concurrent.\n(--help shows what is possible)\n",
      ],
      [
        ['status', '--schema', 'x'.repeat(64)],
        `error: option '--schema <name>' argument '${'x'.repeat(64)}' is invalid. It has to be a name of 1 to 63 bytes.\n(--help shows what is possible)\n`,
      ],
      [
        ['up'],
        'No database is named.\nNext: give --database-url postgres://user:password@host:5432/database, or set DATABASE_URL; or --stack NAME for what is deployed.\n',
      ],
      [
        ['status', '--database-url', 'mysql://root:hush@localhost/x'],
        '--database-url is not a usable connection: its scheme is not postgres.\nNext: write it as postgres://user:password@host:5432/database?sslmode=verify-full (percent-encode special characters in the password).\n',
      ],
    ]),
  )('refuses %j with exit code 2, and touches nothing', async (args, stderr) => {
    expect(await migrate(args)).toEqual({ code: 2, stdout: '', stderr });
  });

  it('shows with --help every option, the environment, the exit codes and examples', async () => {
    for (const verb of ['up', 'status', 'export']) {
      const { code, stdout } = await migrate([verb, '--help']);
      expect(code).toBe(0);
      for (const part of ['--dir', '--database-url', 'DATABASE_URL', 'NO_COLOR', 'Exit codes:', 'Example'])
        expect(stdout).toContain(part);
    }
  });

  exhaustive.it('is what npm run migrate starts', () => {
    const root = fileURLToPath(new URL('../../..', import.meta.url));
    const { scripts } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
    expect(scripts.migrate).toBe('tsx local/cli/main.ts');
    const { status, stdout } = spawnSync(
      process.execPath,
      ['--import', 'tsx', 'local/cli/main.ts', '--help'],
      {
        cwd: root,
        encoding: 'utf8',
      },
    );
    expect({ status, firstLine: stdout.split('\n')[0] }).toEqual({
      status: 0,
      firstLine: 'Usage: cdk-postgres-migrations [options] [command]',
    });
  });
});

describe('a database that cannot be had', () => {
  it.concurrent('is said to be down, without its password, where nothing listens', async () => {
    const port = await freePort();
    const up = await migrate(['up', ...dir(), '--json'], {
      DATABASE_URL: somewhere.replace(':1/', `:${port}/`),
    });
    expect(up.code).toBe(1);
    expect(JSON.parse(up.stdout)).toEqual({
      ok: false,
      error: {
        code: 'database-unreachable',
        what: `Can't connect to Postgres at 127.0.0.1:${port}, database 'app', user 'somebody': connect ECONNREFUSED 127.0.0.1:${port}.`,
        place: null,
        fault: null,
        applied: 'nothing by this run.',
        next: 'check the connection (the secret or the URL), the network (VPC, security group, allow list) and that the database is up; then run again.',
      },
    });
    expect(up.stdout + up.stderr).not.toContain('hush');
  });

  it.concurrent('is said to be down where somebody listens and never answers', async () => {
    const sockets = new Set<{ destroy(): void }>();
    const silent = createServer((socket) => void sockets.add(socket)).listen(0, '127.0.0.1');
    onTestFinished(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    await new Promise((resolve) => silent.once('listening', resolve));
    const address = silent.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const status = await migrate(['status', ...dir()], {
      DATABASE_URL: `${somewhere.replace(':1/', `:${port}/`)}?connect_timeout=1`,
    });
    expect(status.code).toBe(1);
    expect(status.stderr).toContain(`Can't connect to Postgres at 127.0.0.1:${port}`);
    expect(status.stderr).not.toContain('hush');
  }, 120_000);

  exhaustive.it('refuses a wrong password at once', async () => {
    const { url, password, name, owner } = await freshDatabase();
    const up = await migrate(['up', ...dir(), '--database-url', url.replace(password, 'wrong')]);
    expect(up.code).toBe(1);
    expect(up.stderr).toContain(
      `database '${name}', user '${owner}'.\nPostgres: password authentication failed for user "${owner}" (SQLSTATE 28P01)\n`,
    );
  });
});

describe('the terminal', () => {
  const failing = () => ['up', '--dir', folderOf({ '1_a.sql': 'select nothing;' })];

  exhaustive.it('has no colours where it is not a terminal', async () => {
    const { url } = await freshDatabase();
    const { stdout, stderr } = await migrate(failing(), { DATABASE_URL: url });
    expect(stdout + stderr).not.toContain('\u001b');
  });

  exhaustive.it('has colours where they are requested, and none with NO_COLOR', async () => {
    const { url } = await freshDatabase();
    const coloured = await migrate(failing(), { DATABASE_URL: url, FORCE_COLOR: '1' });
    expect(coloured.stderr).toContain('\u001b[1m\u001b[31m1_a.sql:1:8: This statement failed.');
    const plain = await migrate(failing(), { DATABASE_URL: url, FORCE_COLOR: '1', NO_COLOR: '1' });
    expect(plain.stdout + plain.stderr).not.toContain('\u001b');
  });

  it('shows all mistakes of a folder before the database is asked', async () => {
    const bad = folderOf({ '1_a.sql': 'create tabel a ();', '2_b.sql': 'select 1;', '2_c.sql': '' });
    const up = await migrate(['up', '--dir', bad, '--database-url', somewhere]);
    expect(up).toEqual({
      code: 1,
      stdout: '',
      stderr: `2_c.sql: Version 2 is taken by 2_b.sql already.
Give one of the two another version.

1_a.sql:1:8: syntax error at or near "tabel".
    create tabel a ();
           ^

Next: Correct these 2 files, then try again. The database was not touched.
`,
    });
  });

  exhaustive.it('shows the mistakes of files that are new, and leaves the database as it was', async () => {
    const database = await freshDatabase();
    const url = ['--database-url', database.url];
    const good = { '1_a.sql': 'create table a ();' };
    expect(await migrate(['up', '--dir', folderOf(good), ...url])).toMatchObject({ code: 0 });
    const runs = () => database.query('select id from migrations.run');
    const before = await runs();

    const up = await migrate(['up', '--dir', folderOf({ ...good, '2_b.sql': 'create tabel b ();' }), ...url]);

    expect(up).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('2_b.sql:1:8: syntax error at or near "tabel".'),
    });
    expect(up.stderr).toContain('The database was not touched.');
    expect(await runs()).toEqual(before);
  });
});
