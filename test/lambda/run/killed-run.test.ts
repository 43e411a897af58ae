import { describe, expect, it } from 'vitest';
import type { FaultAction } from '../../../local/wire/message-faults.ts';
import type { Direction } from '../../../local/wire/protocol-messages.ts';
import { withTcpProxy } from '../../../local/wire/tcp-proxy.ts';
import { exhaustive, whole } from '../../support/exhaustive.ts';
import { expectEventually } from '../../support/expect-eventually.ts';
import { type Files, freshScenario, largeTable, type Scenario, type ScenarioOptions } from './scenario.ts';

/** In tables of its own, so that one database sees all the faults. */
const filesOf = (round: number): Files => ({
  '1_tables.sql': `create table log_${round} (what text); insert into log_${round} values ('tables');`,
  '2_steps.sql': `create type kind_${round} as enum ('a');
alter type kind_${round} add value 'b';
insert into log_${round} values ('value');
vacuum log_${round};
insert into log_${round} values ('vacuum');
create index concurrently large_x_${round} on large (x);
insert into log_${round} values ('handed off');`,
  '3_sets.sql': `set work_mem = '7MB'; insert into log_${round} values ('sets');`,
});

interface Cut {
  readonly direction: Direction;
  readonly message: number;
  readonly action: FaultAction;
}

/** Cuts one message of a run, then lets another run, and expects what an undisturbed run comes to. */
async function survives(scenario: Scenario, round: number, { cut, dies }: { cut: Cut; dies: boolean }) {
  const options: ScenarioOptions = {
    ledgerSchema: `ledger_${round}`,
    hears: ({ kind }) => {
      if (dies && kind === 'reconnecting') throw new Error('the process died');
    },
  };
  await withTcpProxy({ target: scenario.database.url }, async (proxy) => {
    const cutHere = proxy.inject(cut);
    const run = scenario.run(filesOf(round), { ...options, url: proxy.url });
    const outcome = await run.then(
      ({ outcome }) => outcome,
      (error: Error) => error.message,
    );
    expect(['done', ...(dies ? ['the process died'] : [])], JSON.stringify(cut)).toContain(outcome);
    if (cut.direction === 'to-server') await cutHere;
  });
  expect((await scenario.run(filesOf(round), options)).outcome).toBe('done');
  const [row] = await scenario.query(`select
    (select string_agg(what, ', ' order by ctid) from log_${round}) as log,
    (select string_agg(version || '.' || step || ' ' || state, ', ' order by version, step) from ledger_${round}.step) as steps,
    (select count(*)::int from ledger_${round}.index_build) as builds`);
  expect(row, JSON.stringify(cut)).toEqual({
    log: 'tables, value, vacuum, handed off, sets',
    steps:
      '1.0 applied, 2.0 applied, 2.1 applied, 2.2 applied, 2.3 applied, 2.4 applied, 2.5 pending, 2.6 applied, 3.0 applied',
    builds: 1,
  });
}

it('a run whose connection is cut at a message comes to the same result: by itself, or where it dies, by the next', async () => {
  const scenario = await freshScenario();
  await scenario.query(largeTable('large'));
  let messages = { 'to-server': 0, 'to-client': 0 };
  await withTcpProxy({ target: scenario.database.url }, async (proxy) => {
    await scenario.run(filesOf(0), { url: proxy.url, ledgerSchema: 'ledger_0' });
    messages = structuredClone(proxy.traffic.messages);
  });
  const cuts: Cut[] = [];
  for (let message = 1; message <= messages['to-server']; message += 1) {
    for (const action of ['cut-before', 'cut-after'] as const)
      cuts.push({ direction: 'to-server', message, action });
  }
  // Where in an answer it is cut matters less.
  for (let message = 1; message <= messages['to-client']; message += 3) {
    cuts.push({ direction: 'to-client', message, action: 'cut-before' });
  }
  expect(cuts.length).toBeGreaterThan(50);
  const rounds = cuts
    .map((cut, index) => ({ round: index + 1, cut, dies: Math.floor(index / 2) % 2 === 0 }))
    .filter(({ round }) => whole || round % 5 === 0);
  while (rounds.length > 0) {
    await Promise.all(rounds.splice(0, 4).map(({ round, ...fault }) => survives(scenario, round, fault)));
  }
  const left = () =>
    scenario.query(`select from pg_stat_activity where application_name = 'cdk-postgres-migrations'
      and datname = current_database()`);
  await expectEventually(async () => (await left()).length === 0);
}, 120_000);

/** Runs until the statement is cut, and dies. */
async function dieAt(scenario: Scenario, files: Files, cut: { containing: string; action: FaultAction }) {
  await withTcpProxy({ target: scenario.database.url }, async (proxy) => {
    void proxy.inject({ direction: 'to-server', type: 'Q', ...cut });
    const hears = ({ kind }: { kind: string }) => {
      if (kind === 'reconnecting') throw new Error('the process died');
    };
    await expect(scenario.run(files, { url: proxy.url, hears })).rejects.toThrow('the process died');
  });
}

describe('a run that died in a statement that commits by itself', () => {
  const name = (scenario: Scenario) => `${scenario.database.name}_made`;
  const made = async (scenario: Scenario) =>
    (await scenario.query('select from pg_database where datname = $1', [name(scenario)])).length === 1;

  it.each([
    ['cut-before', false],
    ['cut-after', true],
  ] as const)(
    'leaves its row, and the next run asks the catalog whether it happened: %s',
    async (action, happens) => {
      const scenario = await freshScenario();
      const files = {
        '1_database.sql': `create database ${name(scenario)};`,
        '2_after.sql': 'create table after ();',
      };
      await dieAt(scenario, files, { containing: 'create database', action });
      expect(await scenario.steps()).toEqual(['1.0 started']);
      if (happens) await expectEventually(() => made(scenario));
      expect((await scenario.run(files)).outcome).toBe('done');
      expect(await made(scenario)).toBe(true);
      expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied']);
      await scenario.database.adminQuery(`drop database ${name(scenario)}`);
    },
  );

  exhaustive.it('repeats what may be repeated', async () => {
    const scenario = await freshScenario();
    const files = { '1_vacuum.sql': 'create table t (x int); vacuum t;' };
    await dieAt(scenario, files, { containing: 'vacuum t', action: 'cut-after' });
    expect(await scenario.steps()).toEqual(['1.0 applied', '1.1 started']);
    await scenario.run(files);
    expect(await scenario.steps()).toEqual(['1.0 applied', '1.1 applied']);
  });

  it('stops where nothing can tell, and says how to repair', async () => {
    const scenario = await freshScenario();
    const files = {
      '1_log.sql': 'create table log (x int);',
      '2_batches.sql': `insert into log values (0);\ndo $$ begin insert into log values (1); commit; end $$;`,
    };
    await dieAt(scenario, files, { containing: 'begin insert into log', action: 'cut-after' });
    for (const _ of ['the next run', 'and the one after it']) {
      const error = await scenario.failure(files);
      expect(error.code).toBe('interrupted-step');
      expect(error.message).toBe(
        [
          '2_batches.sql:2:1: A run died while it carried out this statement, which commits by itself; whether it happened cannot be told.',
          'Statement: do $$ begin insert into log values (1); commit; end $$',
          'Applied: the steps before this one.',
          'Next: look at the database, then say so with the action repair: version 2, step 2, as "applied" or "not-applied"; then run again.',
        ].join('\n'),
      );
    }
    expect(await scenario.steps()).toEqual(['1.0 applied', '2.0 applied', '2.1 started']);
  });
});

it('a DO block that fails after it has committed a part says that this part stays', async () => {
  const scenario = await freshScenario();
  const error = await scenario.failure({
    '1_batches.sql': `create table log (x int);
do $$ begin insert into log values (1); commit; perform 1 / 0; end $$;`,
  });
  expect(error.message).toContain(
    'Applied: 1_batches by this run; of step 2 of 1_batches.sql, what it committed by itself before it failed.\n',
  );
  expect(await scenario.query('select * from log')).toEqual([{ x: 1 }]);
});
