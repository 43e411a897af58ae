import { expect, it } from 'vitest';
import { performAction } from '../../../../lambda/actions/perform-action.ts';
import { defaultOptions } from '../../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { takeTurn } from '../../../../lambda/work/turn/turn.ts';
import { freshDatabase } from '../../../support/fresh-database.ts';
import { HERE } from '../../../support/here.ts';
import { type PoolerOptions, startPooler } from '../../../support/pooler.ts';
import { startServer } from '../../../support/start-server.ts';
import { compile, largeTable, scenarioOn } from '../../run/scenario.ts';

const files = { '1_t.sql': 'create table t (x int);' };

async function behind(options: Omit<PoolerOptions, 'target'>) {
  const server = await startServer({ authentication: 'password' });
  const database = await freshDatabase(server);
  const url = await startPooler({ ...options, target: database.url });
  return { scenario: { ...scenarioOn(database, { url }), url }, port: new URL(url).port, database };
}

it.each(['refused', 'refused as by RDS Proxy', 'left out'] as const)(
  'a transaction-mode pooler is refused before anything is written, its startup options being %s',
  async (startupOptions) => {
    const { scenario, port, database } = await behind({ mode: 'transaction', startupOptions });
    const error = await scenario.failure(files);
    expect(error.code).toBe('transaction-pooler');
    expect(error.message).toBe(
      `127.0.0.1:${port} is a transaction-mode pooler: it gives one database session to several clients, and settings and locks of a migration would land on other people's sessions.
Applied: nothing by this run.
Next: put the database's direct address into the secret (Neon: the host without -pooler; Supabase: port 5432 of the direct host; RDS Proxy: the cluster's endpoint; PgBouncer: the server behind it).`,
    );
    expect(await database.query("select from pg_namespace where nspname = 'migrations'")).toEqual([]);
  },
);

it.each(['refused', 'refused as by RDS Proxy', 'left out'] as const)(
  'a session-mode pooler is as good as the server, its startup options being %s',
  async (startupOptions) => {
    const { scenario } = await behind({ mode: 'session', startupOptions });
    expect(await scenario.run(files)).toMatchObject({ outcome: 'done' });
    expect(await scenario.steps()).toEqual(['1.0 applied']);
  },
);

it('nor does an action or a turn of the loop go through a transaction-mode pooler', async () => {
  const { scenario, database } = await behind({ mode: 'transaction', startupOptions: 'left out' });
  const large = {
    '1_large.sql': largeTable('large'),
    '2_i.sql': 'create index concurrently i on large (x);',
  };
  const direct = { url: database.url };
  await scenario.run({ '1_large.sql': large['1_large.sql'] }, direct);
  await scenario.run(large, direct);
  const request = {
    migrations: await compile(large),
    target: parseConnectionUrl(scenario.url, 'The URL'),
    options: defaultOptions,
    cause: { kind: 'console', actor: 'anna' } as const,
    deadline: undefined,
    report: () => undefined,
  };
  await expect(performAction({ action: 'retry' }, request)).rejects.toThrow('is a transaction-mode pooler');
  const turn = takeTurn({ ...request, table: { schema: 'public', table: 'large' }, turn: 1 });
  await expect(turn).rejects.toThrow('is a transaction-mode pooler');
  const locks = await database.query(
    `select 1 from pg_locks where locktype = 'advisory' and database = ${HERE}`,
  );
  expect(locks).toEqual([]);
  expect(await scenario.loop(large, direct)).toEqual({ outcome: 'valid', message: '' });
});
