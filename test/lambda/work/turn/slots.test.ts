import pg from 'pg';
import { expect, it, onTestFinished } from 'vitest';
import { defaultOptions } from '../../../../lambda/migration/options.ts';
import { builderNames, isBuilderOf } from '../../../../lambda/postgres/catalog/builder-names.ts';
import { parseConnectionUrl } from '../../../../lambda/postgres/session/connection-target.ts';
import { takeTurn } from '../../../../lambda/work/turn/turn.ts';
import { emptyFolder } from '../../migration/made-up.ts';
import { type Files, freshScenario, largeTable } from '../../run/scenario.ts';

it('no more tables build side by side than one loop may, whichever loop asks, and whichever ledger it has', async () => {
  const scenario = await freshScenario({ dblink: true });
  const tables: Files = { '1_t.sql': ['a', 'b', 'c'].map(largeTable).join('\n') };
  await scenario.run(tables);
  await scenario.run({
    ...tables,
    '2_i.sql': 'create index concurrently a_x on a (x);\ncreate index concurrently b_x on b (x);',
  });
  const elsewhere = { ledgerSchema: 'elsewhere' };
  await scenario.run({ '1_i.sql': 'create index concurrently c_x on c (x);' }, elsewhere);
  const blocker = new pg.Client({ connectionString: scenario.database.url });
  await blocker.connect();
  onTestFinished(() => blocker.end());
  await blocker.query('begin; insert into a values (501, 501)');

  const turn = (table: string, ledgerSchema = 'migrations') =>
    takeTurn({
      table: { schema: 'public', table },
      turn: 1,
      migrations: emptyFolder,
      target: parseConnectionUrl(scenario.database.url, 'The URL'),
      options: { ...defaultOptions, ledgerSchema, maxConcurrentTables: 1, attachSeconds: 1 },
      deadline: undefined,
      report: () => {},
    });
  const stateOf = async (index: string, ledger = 'migrations') =>
    (await scenario.query(`select state from ${ledger}.index_build where index_name = '${index}'`))[0];

  expect(await turn('a')).toMatchObject({ outcome: 'wait' });
  expect(await turn('b')).toMatchObject({ outcome: 'wait', waitSeconds: expect.any(Number) });
  expect(await turn('c', 'elsewhere')).toMatchObject({ outcome: 'wait' });
  expect([await stateOf('a_x'), await stateOf('b_x'), await stateOf('c_x', 'elsewhere')]).toEqual([
    { state: 'building' },
    { state: 'pending' },
    { state: 'pending' },
  ]);
  await blocker.query('rollback');
  for (const [table, ledger] of [['a'], ['b'], ['c', 'elsewhere']] as const) {
    let done = false;
    while (!done) done = (await turn(table, ledger)).outcome === 'done';
  }
  expect(await scenario.indexes()).toEqual(expect.arrayContaining(['a_x', 'b_x', 'c_x']));
}, 90_000);

it('builders of two ledgers never share a name, however alike those are', () => {
  const ledgers = [
    'migrations',
    'migrations_of_the_billing_service_a',
    'migrations_of_the_billing_service_b',
    'wanderungen_ä',
    'wanderungen_ö',
    'x'.repeat(63),
  ];
  const names = ledgers.flatMap((ledger) => builderNames({ ledger, id: '9223372036854775807' }));
  expect(new Set(names).size).toBe(names.length);
  expect(names.filter((name) => Buffer.byteLength(name) > 63)).toEqual([]);
  for (const ledger of ledgers) {
    const [, builder] = builderNames({ ledger, id: '7' });
    expect(ledgers.filter((other) => isBuilderOf(builder, other))).toEqual([ledger]);
  }
  expect(builderNames({ ledger: 'migrations', id: '7' })).toEqual([
    'migrations supervisor 7',
    'migrations build 7',
  ]);
});
