import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { MigrationError } from '../../../../lambda/migration/migration-error.ts';
import { type ConnectOptions, connect, withSession } from '../../../../lambda/postgres/session/connect.ts';
import {
  type ConnectionTarget,
  parseConnectionUrl,
} from '../../../../lambda/postgres/session/connection-target.ts';
import { StatementFault } from '../../../../lambda/postgres/session/fault.ts';
import { mayPass, unreachable } from '../../../../lambda/postgres/session/refusal.ts';
import { exhaustive } from '../../../support/exhaustive.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { type FreshDatabase, freshDatabase } from '../../../support/fresh-database.ts';
import { startServer } from '../../../support/start-server.ts';

let database: FreshDatabase;
let target: ConnectionTarget;
beforeEach(async () => {
  database = await freshDatabase();
  target = parseConnectionUrl(database.url, 'The URL');
});

async function failure(to: ConnectionTarget, options: ConnectOptions = {}): Promise<MigrationError> {
  const outcome = await connect(to, options).catch((error: unknown) => error);
  if (outcome instanceof MigrationError) return outcome;
  throw new Error('It was to fail with a MigrationError.', { cause: outcome });
}

/** Whoever is asked again would be so for an hour, and the test would not end. */
const HOUR = { patienceSeconds: 3_600 };

const NEXT =
  'Next: check the connection (the secret or the URL), the network (VPC, security group, allow list) and that the database is up; then run again.';

describe('a server that does not let us in', () => {
  it('because nobody listens is tried again for a while, and the error says where', async () => {
    const begun = Date.now();
    const error = await failure({ ...target, port: 1 }, { patienceSeconds: 0.5 });
    expect(Date.now() - begun).toBeGreaterThan(200);
    expect(error.message).toBe(
      [
        `Can't connect to Postgres at 127.0.0.1:1, database '${database.name}', user '${database.owner}': connect ECONNREFUSED 127.0.0.1:1.`,
        'Applied: nothing by this run.',
        NEXT,
      ].join('\n'),
    );
  });

  it('because of the password is not tried again, and no error repeats it', async () => {
    const error = await failure({ ...target, password: 'not-the-password' }, HOUR);
    expect(error.message).toBe(
      [
        `Can't connect to Postgres at 127.0.0.1:${database.port}, database '${database.name}', user '${database.owner}'.`,
        `Postgres: password authentication failed for user "${database.owner}" (SQLSTATE 28P01)`,
        'Applied: nothing by this run.',
        'Next: check user and password of the connection (the secret or the URL; after a rotation, the new one); then run again.',
      ].join('\n'),
    );
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain('not-the-password');
  });

  it('because the database is missing is not tried again', async () => {
    expect((await failure({ ...target, database: 'missing' }, HOUR)).message).toContain(
      'Postgres: database "missing" does not exist (SQLSTATE 3D000)',
    );
  });

  exhaustive.it('is understood alike by its SQLSTATE and, as behind Neon’s proxy, by its text', async () => {
    const server = await startServer();
    const theirs = await freshDatabase(server);
    const { owner, name } = theirs;
    const to = parseConnectionUrl(theirs.url, 'The URL');
    const setting = (key: string, value: string) => ({ ...to, settings: { [key]: value } });
    const words = (...proxyOptions: string[]) => ({ ...to, proxyOptions });
    const reload = (lines: string) => async () => {
      await writeFile(join(dirname(server.logFile), 'data', 'pg_hba.conf'), lines);
      await theirs.adminQuery('select pg_reload_conf()');
    };
    const admin = 'host all postgres all scram-sha-256\n';
    const as = (sql: string) => () => theirs.adminQuery(sql);
    const refusals: [ConnectionTarget, string, (() => Promise<unknown>)?, (() => Promise<unknown>)?][] = [
      [{ ...to, password: 'x' }, 'check user and password'],
      [{ ...to, database: 'x' }, "check the database's name"],
      [to, 'let the role connect', as(`alter role ${owner} nologin`), as(`alter role ${owner} login`)],
      [
        to,
        'every connection slot',
        as(`alter role ${owner} connection limit 0`),
        as(`alter role ${owner} connection limit -1`),
      ],
      [
        to,
        'every connection slot',
        as(`alter database ${name} connection limit 0`),
        as(`alter database ${name} connection limit -1`),
      ],
      [
        { ...to, database: 'postgres' },
        'let the role connect',
        as('revoke connect on database postgres from public'),
      ],
      [{ ...to, database: 'template0' }, "check the database's name"],
      [setting('nothing', '1'), 'the connection itself asks for this setting'],
      [setting('work_mem', 'x'), 'the connection itself asks for this setting'],
      [setting('log_statement', 'all'), 'the connection itself asks for this setting'],
      [setting('shared_buffers', '1GB'), 'the connection itself asks for this setting'],
      [setting('autovacuum', 'off'), 'the connection itself asks for this setting'],
      [setting('role', 'postgres'), 'the connection itself asks for this role'],
      [words('junk'), 'the connection itself asks for this setting'],
      [words('-c', 'name'), 'the connection itself asks for this setting'],
      [to, 'let the role connect', reload(admin)],
      [to, 'let the role connect', reload(`host all ${owner} all reject\n${admin}`)],
    ];
    for (const [refused, next, before, after] of refusals) {
      await before?.();
      const error = await failure(refused, { patienceSeconds: 0.1 });
      await after?.();
      const { fault } = error.details;
      if (fault === undefined) throw error;
      expect(error.message).toContain(`Next: ${next}`);
      const passed = new StatementFault({ ...fault, sqlstate: 'XX000' });
      expect(unreachable(refused, passed).details.next, fault.message).toBe(error.details.next);
      expect(mayPass(passed), fault.message).toBe(fault.sqlstate === '53300');
      expect(mayPass(new StatementFault(fault)), fault.message).toBe(fault.sqlstate === '53300');
    }
  });

  it('because it has no TLS is not tried again', async () => {
    const error = await failure(
      { ...target, tls: { kind: 'verified', rootCertificateFile: undefined } },
      HOUR,
    );
    expect(error.message).toContain('The server does not support SSL connections.');
  });
});

it('a session is closed on every path, and bears our name meanwhile', async () => {
  const ours = () =>
    database.query(
      `select 1 from pg_stat_activity where application_name = 'cdk-postgres-migrations' and datname = current_database()`,
    );
  await withSession(target, async () => expect(await ours()).toHaveLength(1));
  await expect(
    withSession(target, async () => {
      throw new Error('thrown within');
    }),
  ).rejects.toThrow('thrown within');
  await expectEventually(async () => (await ours()).length === 0);
});

describe('a script of many statements', () => {
  it('tells how many completed, each one’s rows, and where it stopped', async () => {
    const outcome = await withSession(target, (session) =>
      session.script(
        `select 1 as a, null as b; create table public.t (x int); select 'ü' as c union all select 'd'; select 1 / 0; select 2`,
      ),
    );
    expect(outcome).toMatchObject({ completed: 3, fault: { fault: { sqlstate: '22012' } } });
    expect(outcome.rows.slice(0, 3)).toEqual([[{ a: '1', b: null }], [], [{ c: 'ü' }, { c: 'd' }]]);
  });

  it('continues after a fault, and a script of nothing is no fault', async () => {
    await withSession(target, async (session) => {
      expect((await session.script('select missing')).fault?.position).toBe(8);
      expect(await session.script(' -- nothing ')).toMatchObject({ completed: 0, fault: undefined });
      expect((await session.script('select 1')).completed).toBe(1);
    });
  });
});

it('a question whose rows have no columns is answered by as many rows', async () => {
  const rows = await withSession(target, (session) =>
    session.query('select from pg_catalog.generate_series(1, 3)'),
  );
  expect(rows).toEqual([{}, {}, {}]);
});
