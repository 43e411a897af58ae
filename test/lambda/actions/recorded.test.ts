import { expect, it } from 'vitest';
import { largeTable } from '../run/scenario.ts';
import { freshOperator } from './operator.ts';

it('every run and every action is recorded: who, from where, what it did and how it ended', async () => {
  const operator = await freshOperator();
  const files = {
    '1_large.sql': `${largeTable('large')}\nupdate large set x = 1;`,
    '1_large.down.sql': 'drop table large;',
    '2_index.sql': 'create unique index concurrently u on large (x);',
    '2_index.down.sql': 'drop index concurrently u;',
    '3_waits.sql': 'alter table large add column y int;',
    '3_waits.down.sql': 'alter table large drop column y;',
    '4_base.sql': 'create table base ();',
    '4_base.down.sql': 'select;',
  };
  const upTo = (version: number) =>
    Object.fromEntries(Object.entries(files).filter(([name]) => Number(name[0]) <= version));
  const by = { by: 'anna' };
  const sure = { confirm: true, ...by };
  await operator.run({ '1_large.sql': files['1_large.sql'] });
  await operator.deploy(upTo(3));
  await operator.query('update large set x = id');
  await operator.act({ action: 'retry', ...by }, upTo(3));
  await operator.act({ action: 'cancel', index: 'u', ...by }, upTo(3));
  await operator.act({ action: 'retry', ...by }, upTo(3));
  await operator.loop(upTo(3));
  await operator.act({ action: 'baseline', version: 4, ...sure }, files);
  await operator.act({ action: 'repair', version: 4, forget: true, ...sure }, files);
  await operator.refusal({ action: 'repair', version: 4, forget: true, ...sure }, files);
  await operator.act({ action: 'undo', to: 1, ...sure }, files);
  await operator.failure({ ...upTo(1), '5_bad.sql': 'alter table nobody add x int;' });

  const { runs, lastRun } = await operator.status(files);
  expect(runs[0]).toEqual(lastRun);
  const told = runs.map(({ action, cause, actor, outcome, did, error }) =>
    [action, cause, actor, outcome, did, error?.split('\n')[0]].join(' | '),
  );
  expect(told).toEqual([
    'run | cloudformation | Update of stack test | failed |  | 5_bad.sql:1:1: This statement failed.',
    'undo | console | anna | done | undone 3_waits … 2_index (2 in all) | ',
    'repair | console | anna | failed |  | The ledger has no record of version 4.',
    'repair | console | anna | done | changed 4_base is forgotten: the next run applies it again | ',
    'baseline | console | anna | done | changed 4_base is taken as applied | ',
    // At the end of a loop, as the deployed one does, in case a failed run can continue by now.
    'resume | loop | Update of stack test | done |  | ',
    'resume | loop | Update of stack test | done | applied 3_waits | ',
    'retry | console | anna | done | retried u on public.large | ',
    'cancel | console | anna | done | cancelled u on public.large | ',
    'retry | console | anna | done | retried u on public.large | ',
  ]);
  expect(runs.every(({ startedAt, finishedAt }) => finishedAt !== undefined && startedAt <= finishedAt)).toBe(
    true,
  );
  const [all] = await operator.query<{ count: number }>('select count(*)::int from migrations.run');
  expect(all).toEqual({ count: 13 });
});
