import { expect, it, onTestFinished, vi } from 'vitest';
import { environment } from '../../../lambda/environment.ts';
import { startNeonProxy } from '../../../local/wire/neon-proxy.ts';
import { startTcpProxy } from '../../../local/wire/tcp-proxy.ts';
import { exhaustive, firstOf } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { roleWorld } from '../../support/role-world.ts';
import { type Files, freshScenario, type Scenario, scenarioOn } from './scenario.ts';

/** Long enough that the connection can be forgotten meanwhile, and that a look finds the statement still at work. */
const files = {
  '1_slow.sql': 'create table a (x int); insert into a select 1 from pg_catalog.pg_sleep(4);',
  '2_more.sql': 'insert into a values (2);',
};

async function behind(way: 'WebSocket' | 'TCP', scenario: Scenario) {
  const options = { target: scenario.database.url };
  const proxy = way === 'TCP' ? await startTcpProxy(options) : await startNeonProxy(options);
  onTestFinished(() => proxy.stop());
  if ('wsProxy' in proxy) {
    vi.stubEnv(environment.neonProxy, proxy.wsProxy);
    onTestFinished(() => void vi.unstubAllEnvs());
  }
  return { proxy, url: 'url' in proxy ? proxy.url : scenario.database.url };
}

/** Its session is forgotten while its first statement is under way, and it goes on. */
async function goesOn(scenario: Scenario, way: 'WebSocket' | 'TCP', wanted: Files): Promise<void> {
  const { proxy, url } = await behind(way, scenario);
  const run = scenario.run(wanted, { url, silentSeconds: 2 });
  await expectEventually(
    async () =>
      (
        await scenario.database.adminQuery(
          `select 1 from pg_stat_activity
            where datname = current_database() and state = 'active' and wait_event = 'PgSleep' and query like '%select 1 from%'`,
        )
      ).length > 0,
  );
  proxy.forgetFlows();
  expect(await run).toMatchObject({ outcome: 'done' });
  expect(scenario.events.filter(({ kind }) => kind === 'reconnecting')).toEqual([
    {
      kind: 'reconnecting',
      // The end of the session, which the watchdog brings about, may be heard of first.
      because: expect.stringMatching(
        /the server has answered, and nothing has arrived|Connection terminated/,
      ),
    },
  ]);
}

it.each(firstOf(1, ['TCP', 'WebSocket'] as const))(
  'a run whose connection is forgotten without a word continues with what is recorded, over %s',
  async (way) => {
    const scenario = await freshScenario();
    await goesOn(scenario, way, files);
    expect(await scenario.query('select x from a order by x')).toEqual([{ x: 1 }, { x: 2 }]);
  },
);

exhaustive.it('… also where the role begins its sessions as another one, and does not inherit', async () => {
  const { database } = await roleWorld("role's own SET role");
  const scenario = scenarioOn(database);
  const path = { '0_path.sql': 'create table fin.a (x int);' };
  await scenario.run(path);
  await goesOn(scenario, 'TCP', {
    ...path,
    '1_slow.sql': 'insert into fin.a select 1 from pg_catalog.pg_sleep(4);',
    '2_more.sql': 'insert into fin.a values (2);',
  });
  expect(await database.adminQuery('select x from fin.a order by x')).toEqual([{ x: 1 }, { x: 2 }]);
});
