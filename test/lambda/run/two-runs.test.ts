import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { whole } from '../../support/exhaustive.ts';
import { type Files, freshScenario, largeTable, type Scenario } from './scenario.ts';

const ROUNDS = whole ? 54 : 12;
const AT_ONCE = 6;

/** What a round does, in tables of its own: rows that would be double, types and statements that would fail. */
function filesOf(round: number): Files {
  return {
    '1_tables.sql': `create table log_${round} (what text); insert into log_${round} values ('tables');`,
    '2_many_steps.sql': `create type kind_${round} as enum ('a');
alter type kind_${round} add value 'b';
insert into log_${round} values ('value');
vacuum log_${round};
create index concurrently on log_${round} (what);
insert into log_${round} values ('index');`,
    '3_rows.sql': `insert into log_${round} values ('rows');`,
  };
}

const update: Files = { '4_more.sql': `insert into log_ROUND values ('more');` };

/** Two runs whose beginnings are some milliseconds apart, so that they meet everywhere. */
async function twoAtOnce(scenario: Scenario, files: Files, round: number) {
  const options = { ledgerSchema: `ledger_${round}` };
  return Promise.all([
    scenario.run(files, options),
    sleep((round * 7) % 40).then(() => scenario.run(files, options)),
  ]);
}

it(`two runs at once share the work, ${ROUNDS} times over, first runs and updates: each step is applied once`, async () => {
  const scenario = await freshScenario();
  const play = async (round: number) => {
    const first = await twoAtOnce(scenario, filesOf(round), round);
    const more = { '4_more.sql': update['4_more.sql']?.replace('ROUND', String(round)) ?? '' };
    const second = await twoAtOnce(scenario, { ...filesOf(round), ...more }, round);
    for (const { outcome } of [...first, ...second]) expect(outcome).toBe('done');
    const steps = first.flatMap(({ applied }) =>
      applied.map(({ migration, step }) => `${migration.name} ${step}`),
    );
    expect(steps.sort()).toEqual([
      '1_tables 0',
      '2_many_steps 0',
      '2_many_steps 1',
      '2_many_steps 2',
      '2_many_steps 3',
      '2_many_steps 4',
      '2_many_steps 5',
      '3_rows 0',
    ]);
    expect(second.flatMap(({ applied }) => applied.map(({ migration }) => migration.name))).toEqual([
      '4_more',
    ]);
    expect(await scenario.query(`select string_agg(what, ' ') as what from log_${round}`)).toEqual([
      { what: 'tables value index rows more' },
    ]);
    expect(
      await scenario.query(
        `select count(*)::int as runs, count(distinct outcome)::int as outcomes from ledger_${round}.run`,
      ),
    ).toEqual([{ runs: 4, outcomes: 1 }]);
  };
  for (let round = 0; round < ROUNDS; round += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, offset) => play(round + offset)));
  }
}, 60_000);

it('five first runs at once on an empty database all succeed, and one of them applies everything', async () => {
  const scenario = await freshScenario();
  const files = {
    '1_users.sql': 'create table users (id int);',
    '2_rows.sql': 'insert into users values (1);',
  };
  const results = await Promise.all(Array.from({ length: 5 }, () => scenario.run(files)));
  expect(results.flatMap(({ applied }) => applied)).toHaveLength(2);
  expect(await scenario.query('select * from users')).toEqual([{ id: 1 }]);
});

it('two runs and two loops at once hand off and build each index once', async () => {
  const scenario = await freshScenario({ dblink: true });
  const tables = { '1_tables.sql': ['a', 'b', 'c'].map(largeTable).join('\n') };
  await scenario.run(tables);
  const files = {
    ...tables,
    '2_indexes.sql': ['a', 'b', 'c']
      .flatMap((table) => [
        `create index concurrently ${table}_x on ${table} (x);`,
        `create unique index concurrently ${table}_id_x on ${table} (id, x);`,
      ])
      .join('\n'),
  };
  const settled = await Promise.all([scenario.deploy(files), scenario.deploy(files)]);
  expect(settled).toEqual([
    { outcome: 'valid', message: '' },
    { outcome: 'valid', message: '' },
  ]);
  expect(
    await scenario.query(
      'select index_name, state, attempts, adopted from migrations.index_build order by id',
    ),
  ).toEqual(
    ['a_x', 'a_id_x', 'b_x', 'b_id_x', 'c_x', 'c_id_x'].map((index_name) => ({
      index_name,
      state: 'done',
      attempts: 1,
      adopted: false,
    })),
  );
});
