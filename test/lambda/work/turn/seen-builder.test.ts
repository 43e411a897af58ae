import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { seeBuilder } from '../../../../lambda/postgres/catalog/seen-builder.ts';
import { connect } from '../../../../lambda/postgres/session/connect.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import type { Build } from '../../../../lambda/work/build.ts';
import { freshScenario } from '../../run/scenario.ts';

it.each([
  ['web', 'web'],
  ['migrations supervisor 99', undefined],
])('a build that waits for the session %s waits, as a person is told, for %s', async (application, named) => {
  const scenario = await freshScenario();
  const { url } = scenario.database;
  await scenario.run({ '1_t.sql': 'create table t (x int);' });
  const open = async (application_name: string) => {
    const client = new pg.Client({ connectionString: url, application_name });
    client.on('error', () => {});
    await client.connect();
    onTestFinished(() => client.end());
    return client;
  };
  const holder = await open(application);
  await holder.query('begin; insert into t values (1)');
  const builder = await open('migrations build 1');
  const building = builder.query('create index concurrently i on t (x)');
  const session = await connect(parseConnectionUrl(url, 'The URL'), {});
  onTestFinished(() => session.close());
  const build = {
    ledger: 'migrations',
    id: '1',
    operation: 'create',
    schema: 'public',
    table: 't',
    index: 'i',
    settings: [] as readonly string[],
    attemptOutcome: undefined,
  } as Build;
  await expect.poll(async () => (await seeBuilder(session, build)).progress?.phase).toContain('waiting');
  const seen = await seeBuilder(session, build);
  expect(seen.alive).toBe(true);
  expect(seen.blocker?.application).toBe(named);
  await holder.query('commit');
  await building;
});
