import { expect, it } from 'vitest';
import { expectEventually } from '../../../support/expect-eventually.ts';
import { freshScenario } from '../../run/scenario.ts';
import { sessionsOf, theBuild, turnOf } from './building.ts';

/** Nothing tells how a build ended whose session nobody heard: its indexes have to, those that Postgres does not skip. */
it('REINDEX TABLE CONCURRENTLY that nobody heard the end of is done once, though Postgres skips some of its indexes', async () => {
  const scenario = await freshScenario();
  const { database } = scenario;
  const table = {
    '1_rooms.sql': `create table big (id int primary key, room int, twice int, exclude using btree (room with =));
insert into big select i, i, i % 10 from generate_series(1, 500) i;
create function slow(i int) returns int language plpgsql immutable as 'begin perform pg_sleep(0.004); return i; end';
create index big_slow on big (slow(id));`,
  };
  await scenario.run(table);
  await scenario.query('create unique index concurrently big_invalid on big (twice)').catch(() => undefined);
  expect(await scenario.indexes()).toContain('big_invalid INVALID');
  await scenario.run({ ...table, '2_reindex.sql': 'reindex table concurrently big;' });
  const deadline = Date.now() + 100_000;
  await expectEventually(
    async () => (await turnOf(database, { attachSeconds: 0, deadline })).outcome === 'done',
    { withinMilliseconds: 60_000 },
  );
  expect(await sessionsOf(database)).toEqual([]);
  expect(await theBuild(database)).toMatchObject({
    state: 'done',
    session: 'orphan',
    attempts: 1,
    outcome: null,
  });
  expect(await scenario.indexes()).toEqual(['big_invalid INVALID', 'big_pkey', 'big_room_excl', 'big_slow']);
});
