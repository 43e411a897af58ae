import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { preflight } from '../../../lambda/foresight/preflight.ts';
import { defaultOptions } from '../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../lambda/postgres/session/connection-target.ts';
import { exhaustive } from '../../support/exhaustive.ts';
import { createDatabase, freshDatabase } from '../../support/fresh-database.ts';
import { startServer } from '../../support/start-server.ts';
import { compile, scenarioOn } from './scenario.ts';

const files = { '1_t.sql': 'create table t (a int);' };

it('a role that may not create the ledger’s schema is told what to grant, by a plan and by a run', async () => {
  const database = await freshDatabase();
  const scenario = scenarioOn(database);
  const role = `${database.owner}_guest`;
  await database.adminQuery(`create role ${role} login password 'x'`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'x';
  const asGuest = { url: url.href };
  const said = [
    `There is no ledger yet, and ${role} may not create the schema 'migrations' for it.`,
    'Applied: nothing by this run.',
    `Next: create the schema as a superuser or the database's owner (create schema "migrations" authorization "${role}"), or let the role create it (grant create on database … to "${role}"); then run again.`,
  ].join('\n');
  expect((await scenario.plan(files, asGuest)).refused).toBe(said);
  expect((await scenario.failure(files, asGuest)).message).toBe(said);
  await database.adminQuery(
    `create schema "migrations" authorization "${role}"; grant create on schema public to ${role}`,
  );
  expect(await scenario.run(files, asGuest)).toMatchObject({ outcome: 'done' });
  await database.adminQuery(`drop owned by ${role}; drop role ${role}`);
});

exhaustive.it.each([
  ['the role', (owner: string) => `alter role ${owner} set default_transaction_read_only = on`],
  [
    'the database',
    (_: string, name: string) => `alter database ${name} set default_transaction_read_only = on`,
  ],
])('where %s is read-only, a plan says so, and a run before it tries', async (_, statement) => {
  const database = await freshDatabase();
  const scenario = scenarioOn(database);
  await database.adminQuery(statement(database.owner, database.name));
  const { refused } = await scenario.plan(files);
  expect(refused).toMatch(/^Sessions of .* are read-only here \(default_transaction_read_only is on\)\.\n/);
  const { code, message } = await scenario.failure(files);
  expect({ code, message }).toEqual({ code: 'read-only', message: refused });
  const asked = await scenario
    .failure(files, { url: `${database.url}?options=-c%20default_transaction_read_only%3Doff` })
    .then(() => 'failed')
    .catch(() => 'applied');
  expect(asked).toBe('applied');
});

exhaustive.it('a hot standby is told from the primary', async () => {
  const server = await startServer();
  const database = await createDatabase(server);
  const scenario = scenarioOn(database);
  await server.halt('fast');
  await writeFile(join(dirname(server.logFile), 'data', 'standby.signal'), '');
  await server.start();
  const said = `The server is a replica (hot standby), which accepts no changes.
Applied: nothing by this run.
Next: put the primary's address into the secret or the URL (of a cluster, the writer's endpoint); then run again.`;
  expect((await scenario.plan(files)).refused).toBe(said);
  expect((await scenario.failure(files)).message).toBe(said);
  const target = parseConnectionUrl(database.url, 'The URL');
  const { findings } = await preflight({ target, options: defaultOptions, migrations: await compile(files) });
  expect(findings).toEqual([said]);
});
