import pg from 'pg';
import pico from 'picocolors';
import { expect, it, onTestFinished } from 'vitest';
import { preflight } from '../../../../lambda/foresight/preflight.ts';
import { defaultOptions } from '../../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import type { TurnEvent } from '../../../../lambda/work/turn/turn-request.ts';
import { statusView } from '../../../../local/cli/status-view.ts';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { compile, freshScenario, largeTable, type Scenario } from '../../run/scenario.ts';
import { turnOf } from './building.ts';

/** A session of another role, of which Postgres shows ours no more than that it is there. */
async function stranger({ database }: Scenario): Promise<pg.Client> {
  const role = `app_${database.name}`;
  await database.adminQuery(`create role ${role} login password 'x'; grant select on big to ${role}`);
  const url = new URL(database.url);
  url.username = role;
  url.password = 'x';
  const client = new pg.Client({ connectionString: url.href, application_name: 'web' });
  await client.connect();
  onTestFinished(async () => {
    await client.end();
    await database.adminQuery(`drop owned by ${role}; drop role ${role}`);
  });
  return client;
}

const table = { '1_big.sql': largeTable('big') };
const files = { ...table, '2_index.sql': 'create index concurrently big_x on big (x);' };

it('a build that waits for another role’s transaction, of an age that Postgres hides, has a clock of its own', async () => {
  const scenario = await freshScenario({ dblink: true });
  await scenario.run(table);
  const app = await stranger(scenario);
  await app.query('begin isolation level repeatable read; select count(*) from big');
  await scenario.run(files);
  const progress = async () => {
    const events: TurnEvent[] = [];
    await turnOf(scenario.database, { attachSeconds: 0, deadline: Date.now() + 100_000, events });
    const seen = events.flatMap((event) => (event.kind === 'progress' ? [event.progress] : []));
    return seen.at(-1);
  };
  await expectEventually(async () => (await progress())?.blocker !== undefined, {
    withinMilliseconds: 20_000,
  });
  const first = await progress();
  await expectEventually(
    async () => ((await progress())?.blockedSeconds ?? 0) > (first?.blockedSeconds ?? 0) + 1,
    {
      withinMilliseconds: 20_000,
    },
  );
  const later = await progress();
  expect(later?.blocker).toMatchObject({ application: 'web', state: 'unknown' });
  expect(later?.blocker?.seconds).toBeCloseTo(later?.blockedSeconds ?? 0, 0);

  const status = await scenario.status(files);
  const { owner } = scenario.database;
  expect(status.blindRole).toBe(owner);
  expect(statusView(status, { colors: pico.createColors(false), all: false, now: Date.now() })).toContain(
    `Next: grant pg_read_all_stats to "${owner}" (with inherit true, where it does not inherit), to see what other roles do`,
  );

  // The next transaction of the same session is another blocker; the build waits for as long as before.
  await app.query('commit');
  expect(await scenario.loop(files)).toEqual({ outcome: 'valid', message: '' });
  expect((await scenario.status(files)).blindRole).toBeUndefined();
});

it('preflight finds who holds a lock, of an age that Postgres hides, if he is still there a little later', async () => {
  const scenario = await freshScenario();
  await scenario.run(table);
  const app = await stranger(scenario);
  await app.query('begin; select count(*) from big');
  const look = async () =>
    preflight({
      target: parseConnectionUrl(scenario.database.url, 'The URL'),
      options: defaultOptions,
      migrations: await compile({ ...table, '2_column.sql': 'alter table big add column y int;' }),
    });
  const { findings } = await look();
  expect(findings).toHaveLength(1);
  expect(findings[0]).toMatch(
    /^2_column\.sql needs the access exclusive lock on big, which pid \d+ \(app_\w+, "web", unknown for [56] s, AccessShareLock on big\) blocks\.\nNext: let that transaction end \(how old it is, Postgres tells roles with pg_read_all_stats only: it was there for as long as this looked\), or end it: select pg_terminate_backend\(\d+\)\.$/,
  );
  const changing = setInterval(() => void app.query('commit; begin; select count(*) from big'), 300);
  try {
    expect((await look()).findings).toEqual([]);
  } finally {
    clearInterval(changing);
  }
});
