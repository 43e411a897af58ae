import { describe, expect, it } from 'vitest';
import { defaultOptions } from '../../../../lambda/migration/options.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { takeTurn } from '../../../../lambda/work/turn/turn.ts';
import { pauseSeconds } from '../../../../lambda/work/wait-seconds.ts';
import type { FreshDatabase } from '../../../support/fresh-database.ts';
import { emptyFolder } from '../../migration/made-up.ts';
import { type Files, freshScenario, largeTable } from '../../run/scenario.ts';

const tables: Files = { '1_t.sql': largeTable('t') };
const files: Files = { ...tables, '2_i.sql': 'create index concurrently i on t (x);' };

async function handedOff() {
  const scenario = await freshScenario({ dblink: true });
  await scenario.run(tables);
  await scenario.run(files);
  return scenario;
}

const turn = (database: FreshDatabase) =>
  takeTurn({
    table: { schema: 'public', table: 't' },
    turn: 1,
    migrations: emptyFolder,
    target: parseConnectionUrl(database.url, 'The URL'),
    options: { ...defaultOptions, attachSeconds: 5 },
    deadline: Date.now() + 100_000,
    report: () => {},
  });

const build = async (database: FreshDatabase) =>
  (
    await database.query<{ state: string; attempts: number; session: string; fault: string | null }>(
      `select state, attempts, session, attempt_outcome #>> '{fault,sqlstate}' as fault from migrations.index_build`,
    )
  )[0];

describe('between two attempts', () => {
  it.each([
    ['57014', [10, 120, 600, 600]],
    ['40P01', [10, 120, 600, 600]],
    [undefined, [10, 120, 600, 600]],
    ['53100', [60, 600, 1800, 1800]],
    ['53300', [60, 600, 1800, 1800]],
  ])('of a build that ended with %s there are pauses, ever longer', (sqlstate, pauses) => {
    const fault = sqlstate === undefined ? undefined : { sqlstate, message: '' };
    expect([1, 2, 3, 4].map((attempts) => pauseSeconds(attempts, fault))).toEqual(pauses);
  });

  it('a moment without connections costs one attempt, and is no reason to build attached', async () => {
    const { database } = await handedOff();
    // The turn has one, and the server none for itself.
    await database.adminQuery(`alter role ${database.owner} connection limit 1`);
    expect(await turn(database)).toMatchObject({ outcome: 'wait', waitSeconds: 10 });
    await database.adminQuery(`alter role ${database.owner} connection limit -1`);
    expect(await build(database)).toEqual({
      state: 'pending',
      attempts: 1,
      session: 'loopback',
      fault: '08001',
    });
    // It is left alone until then.
    const { outcome, waitSeconds } = await turn(database);
    expect(outcome).toBe('wait');
    expect(waitSeconds).toBeGreaterThan(0);
    expect(waitSeconds).toBeLessThanOrEqual(10);
    expect(await build(database)).toMatchObject({ attempts: 1 });

    await database.query("update migrations.index_build set started_at = started_at - interval '10 seconds'");
    expect(await turn(database)).toMatchObject({ outcome: 'done' });
    expect(await build(database)).toMatchObject({ state: 'done', attempts: 2, session: 'loopback' });
    expect(await database.query('select from migrations.session_probe where not survives')).toEqual([]);
  });
});
