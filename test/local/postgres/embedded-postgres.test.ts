import { execFile } from 'node:child_process';
import { access, chmod, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startEmbeddedPostgres, withEmbeddedPostgres } from '../../../local/postgres/embedded-postgres.ts';
import { packagedBinaries } from '../../../local/postgres/postgres-binaries.ts';
import { chooseUser } from '../../../local/postgres/unprivileged-user.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { queryOnce } from '../../support/query-once.ts';
import { secondAddress } from '../../support/second-address.ts';
import { startServer } from '../../support/start-server.ts';

const run = promisify(execFile);

describe('an embedded Postgres', () => {
  it('asks for its password, takes settings, logs to a file that can be read, and brings dblink along', async () => {
    const postgres = await startServer({ settings: { log_statement: 'all', work_mem: '7MB' } });
    expect(await queryOnce(postgres.url, 'show work_mem')).toEqual([{ work_mem: '7MB' }]);
    expect(await postgres.log()).toContain('statement: show work_mem');
    await expect(queryOnce(postgres.urlOf({ password: 'wrong' }), 'select 1')).rejects.toMatchObject({
      code: '28P01',
    });
    await queryOnce(postgres.url, 'create extension dblink');
  });

  it('lets a trusted address in without a password and asks at the other', async () => {
    const other = secondAddress();
    const postgres = await startServer({ addresses: ['127.0.0.1', other], trusted: ['127.0.0.1'] });
    await queryOnce(postgres.urlOf({ password: 'wrong' }), 'select 1');
    const elsewhere = postgres.urlOf({ password: 'wrong', host: other });
    await expect(queryOnce(elsewhere, 'select 1')).rejects.toMatchObject({ code: '28P01' });
    await queryOnce(postgres.urlOf({ host: other }), 'select 1');
  });

  it('keeps its data and its port over a restart, a crash, and a kill under a running statement', async () => {
    const postgres = await startServer();
    const recovered = async () => (await postgres.log()).split('automatic recovery in progress').length - 1;
    const kept = () => queryOnce(postgres.url, 'select x from kept');
    await queryOnce(postgres.url, 'create table kept (x int); insert into kept values (1)');
    await postgres.restart('fast');
    expect(await kept()).toEqual([{ x: 1 }]);
    expect(await recovered()).toBe(0);
    await postgres.restart('immediate');
    expect(await kept()).toEqual([{ x: 1 }]);
    expect(await recovered()).toBe(1);

    const client = new pg.Client({ connectionString: postgres.url });
    client.on('error', () => {});
    await client.connect();
    const lost = expect(client.query('select pg_sleep(60)')).rejects.toThrow(/terminat/);
    await postgres.halt('kill');
    await postgres.start();
    await lost;
    expect(await kept()).toEqual([{ x: 1 }]);
    expect(await recovered()).toBe(2);
  });

  it('says what the server said where it does not start', async () => {
    await expect(startEmbeddedPostgres({ settings: { shared_buffers: 'much' } })).rejects.toThrow(
      /did not start.*invalid value for parameter "shared_buffers": "much"/s,
    );
  });

  it('leaves no file behind', async () => {
    const logFile = await withEmbeddedPostgres({ durability: 'none' }, async (postgres) => postgres.logFile);
    await expect(access(dirname(dirname(logFile)))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('ends with the process that started it, by SIGINT, by SIGTERM, even by SIGKILL', async () => {
    await Promise.all(['SIGINT', 'SIGTERM', 'SIGKILL'].map(expectEndingWith));
  });

  it('runs from a package whose install script never ran, in a directory that only its owner can enter', async () => {
    const hidden = await mkdtemp(join(tmpdir(), 'hidden-'));
    onTestFinished(() => rm(hidden, { recursive: true }));
    const directory = join(hidden, 'native');
    await cp(packagedBinaries().directory, directory, { recursive: true, verbatimSymlinks: true });
    await rm(join(directory, 'lib', 'libpq.so.5'), { force: true });
    await chmod(join(directory, 'bin', 'postgres'), 0o644);
    await chmod(hidden, 0o700);
    const postgres = await startServer({ binaries: { directory } });
    // Loads libpq, whose link was missing.
    await queryOnce(postgres.url, 'create extension dblink');
  });
});

async function expectEndingWith(signal: string): Promise<void> {
  const script = `
    import { startEmbeddedPostgres } from './local/postgres/embedded-postgres.ts';
    const { port, logFile } = await startEmbeddedPostgres({ durability: 'none' });
    console.log(JSON.stringify({ port, logFile }));
    process.kill(process.pid, '${signal}');
    setInterval(() => {}, 1000);`;
  const root = fileURLToPath(new URL('../../..', import.meta.url));
  const ended: unknown = await run(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '--eval', script],
    { cwd: root },
  ).catch((error: unknown) => error);
  expect(ended).toMatchObject({ signal });
  const { port, logFile } = JSON.parse((ended as { stdout: string }).stdout) as {
    port: number;
    logFile: string;
  };
  await expectEventually(async () => {
    await expect(access(dirname(dirname(logFile)))).rejects.toMatchObject({ code: 'ENOENT' });
    const url = `postgresql://postgres:x@127.0.0.1:${port}/postgres`;
    await expect(queryOnce(url, 'select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    return true;
  });
}

describe('the user that Postgres runs as', () => {
  it('is the system user for it where there is one, and nobody otherwise', () => {
    const root = 'root:x:0:0:root:/root:/bin/bash';
    const person = 'ann:x:1000:1000::/home/ann:/bin/sh';
    const nobody = 'nobody:x:65534:65534::/:/sbin/nologin';
    expect(chooseUser([root, person, nobody, 'postgres:x:70:71::/:/bin/sh', ''].join('\n'))).toEqual({
      uid: 70,
      gid: 71,
    });
    expect(chooseUser([root, person, nobody].join('\n'))).toEqual({ uid: 65534, gid: 65534 });
    expect(chooseUser([root, person, '#', ''].join('\n'))).toEqual({ uid: 1000, gid: 1000 });
    expect(chooseUser(root)).toBeUndefined();
  });
});
