import { beforeEach, expect, it } from 'vitest';
import { exhaustive } from '../../support/exhaustive.ts';
import { eventually, type LifeCycle, largeTable, newLifeCycle } from './life-cycle.ts';

let life: LifeCycle;
beforeEach(async () => {
  life = await newLifeCycle();
  await life.deploy(tables);
});

const tables = { '1_large.sql': largeTable('large') };
const withIndex = { ...tables, '2_index.sql': 'create index concurrently i on large (x);' };
const withWaiting = { ...withIndex, '3_waits.sql': 'alter table large add column y int;' };

const loops = () => life.aws.stepFunctions.executions.filter(({ name }) => name.startsWith('hand-off-'));
const called = (operation: string, calls: readonly string[]) =>
  calls.filter((call) => call === operation).length;

/** All calls of Step Functions. The first loop is never started, as if the function had been killed before it. */
function withoutFirstLoop(): string[] {
  const { stepFunctions } = life.aws;
  const handle = stepFunctions.handle.bind(stepFunctions);
  const calls: string[] = [];
  stepFunctions.handle = (operation, input) => {
    const ofTheLoop = operation !== 'StartExecution' || JSON.stringify(input).includes('hand-off-');
    if (ofTheLoop) calls.push(operation);
    if (ofTheLoop && operation === 'StartExecution' && called(operation, calls) === 1) {
      return { executionArn: 'arn:lost', startDate: Date.now() / 1000 };
    }
    return handle(operation, input);
  };
  return calls;
}

exhaustive.it.each([
  ['waits for its builds', withWaiting, {}],
  ['leaves its builds behind', withIndex, {}],
  ['waits for nothing', withWaiting, { waitFor: 'nothing' as const }],
])(
  'a deploy whose run was killed before it could start the loop, and that %s, starts it, once',
  async (_, files, props) => {
    const calls = withoutFirstLoop();
    expect(await life.deploy(files, { props })).toMatchObject({ status: 'UPDATE_COMPLETE' });
    await life.aws.stepFunctions.settled();
    expect(loops().map(({ ended }) => ended?.outcome.status)).toEqual(['SUCCEEDED']);
    expect(called('ListExecutions', calls)).toBeLessThanOrEqual(1);
    expect(await life.indexes()).toEqual(['i', 'large_pkey']);
  },
);

it('an update back to earlier code starts a loop for the builds that lie there without one', async () => {
  const blocker = await life.session();
  await blocker.query('begin; insert into large values (501, 501)');
  await life.deploy(withIndex);
  await eventually(() => loops().length === 1);
  loops()[0]?.running.abort();
  await eventually(() => loops()[0]?.ended !== undefined);
  expect((await life.deploy(tables)).exchanges[0]?.data).toMatchObject({ Outcome: 'kept' });
  await blocker.query('commit');
  await life.aws.stepFunctions.settled();
  expect(loops()).toHaveLength(2);
  expect(await life.indexes()).toEqual(['i', 'large_pkey']);
});

exhaustive.it(
  'a deploy whose loop is stopped in the middle of a build starts another one, and is completed',
  {
    timeout: 120_000,
  },
  async () => {
    const blocker = await life.session();
    await blocker.query('begin; insert into large values (501, 501)');
    const deploying = life.deploy(withWaiting);
    await eventually(async () => {
      const [build] = await life.database.query('select state from migrations.index_build');
      return build?.state === 'building';
    });
    loops()[0]?.running.abort();
    await eventually(() => loops()[0]?.ended !== undefined);
    // Five minutes after the first loop, the next one may be started.
    life.cloudFormation.stack?.sandbox('MigrationsIsComplete').passTime(6 * 60_000);
    await eventually(() => loops().length === 2);
    await blocker.query('rollback');
    expect(await deploying).toMatchObject({ status: 'UPDATE_COMPLETE' });
    await life.aws.stepFunctions.settled();
    expect(loops().map(({ ended }) => ended?.outcome.status)).toEqual(['ABORTED', 'SUCCEEDED']);
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
  },
);
