import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { AwsError } from '../../../local/aws/aws-error.ts';
import { startTcpProxy, type TcpProxy } from '../../../local/wire/tcp-proxy.ts';
import { createDatabase } from '../../support/fresh-database.ts';
import { startServer } from '../../support/start-server.ts';
import { blockerIn, tables, withIndex, withWaiting } from './blocked-build.ts';
import { askIsComplete, eventually, type LifeCycle, newLifeCycle, newLifeCycleIn } from './life-cycle.ts';

const MINUTE = 60_000;

const BUSY: readonly [string, AwsError | undefined][] = [
  ['ThrottlingException', undefined],
  ['InternalServiceError', new AwsError('InternalServiceError', 'An error occurred.', 500)],
  ['ServiceUnavailable', new AwsError('ServiceUnavailable', 'Come back later.', 503)],
];

/** Those of one call; the secret, without which nothing can be done, has three. */
const ATTEMPTS = 3;
const attemptsOf = (operation: string): number => (operation === 'GetSecretValue' ? 3 * ATTEMPTS : ATTEMPTS);

/** A look of a deploy that has come so far, with the request that it would have been. */
function look(life: LifeCycle, Outcome: string, passed = 0): Promise<unknown> {
  return askIsComplete(life, { StartedAt: new Date(Date.now() + passed).toISOString(), Outcome });
}

/** The database by way of a proxy that breaks connections. */
async function byProxy(life: LifeCycle): Promise<TcpProxy> {
  const proxy = await startTcpProxy({ target: life.database.url });
  onTestFinished(() => proxy.stop());
  life.aws.secrets.put('database', proxy.url);
  return proxy;
}

/** Cuts each message of what `again` asks, one after the other. */
async function atEachMessage(proxy: TcpProxy, again: () => Promise<void>): Promise<number> {
  let cuts = 0;
  for (const direction of ['to-server', 'to-client'] as const) {
    for (let message = 1; ; message += 1) {
      const before = proxy.firedFaults.length;
      const connection = proxy.traffic.connections + 1;
      const fired = proxy.inject({ direction, message, connection, action: 'cut-before' });
      void fired;
      await again();
      if (proxy.firedFaults.length === before) break;
      cuts += 1;
    }
  }
  return cuts;
}

describe('while a deploy waits for a build, a fault that passes rolls nothing back', () => {
  let life: LifeCycle;
  beforeEach(async () => {
    life = await newLifeCycle();
    await life.deploy(tables);
    await life.deploy(withWaiting);
    await life.aws.stepFunctions.settled();
    // As if it had just handed the build off.
    await life.database.query(`drop index i; alter table large drop column y;
      delete from migrations.step where version = '3';
      update migrations.step set state = 'pending' where version = '2';
      update migrations.work set state = 'pending', attempts = 0, attempt_outcome = null`);
    const open = await blockerIn(life);
    onTestFinished(() => open.end());
  });

  it('whatever message of the look is the last', { timeout: 5 * MINUTE }, async () => {
    const proxy = await byProxy(life);
    // Whose own connections would be in the way.
    const { stepFunctions } = life.aws;
    const handle = stepFunctions.handle.bind(stepFunctions);
    stepFunctions.handle = (operation, input) =>
      operation === 'ListExecutions' ? { executions: [{}] } : handle(operation, input);
    const cuts = await atEachMessage(proxy, async () => {
      expect(await look(life, 'waiting')).toEqual({ IsComplete: false });
    });
    expect(cuts).toBeGreaterThan(20);
  });

  it.each(BUSY)('where a service says %s', { timeout: 5 * MINUTE }, async (_, fault) => {
    const given = fault === undefined ? {} : { fault };
    const isComplete = life.cloudFormation.stack?.sandbox('MigrationsIsComplete');
    let passed = 0;
    for (const operation of ['GetSecretValue', 'ListExecutions', 'StartExecution']) {
      if (operation === 'StartExecution') {
        life.aws.stepFunctions.abortAll();
        await eventually(() => life.aws.stepFunctions.executions.every(({ ended }) => ended !== undefined));
      }
      isComplete?.passTime(2 * MINUTE);
      passed += 2 * MINUTE;
      const before = life.aws.requests.filter((request) => request.operation === operation).length;
      life.aws.fail({ operation, count: attemptsOf(operation), ...given });
      expect(await look(life, 'waiting', passed)).toEqual({ IsComplete: false });
      const asked = life.aws.requests.filter((request) => request.operation === operation).length;
      expect([operation, asked - before]).toEqual([operation, attemptsOf(operation)]);
    }
  });
});

it('a run that a deploy begins while it waits is gone on with, whatever message is the last', {
  timeout: 10 * MINUTE,
}, async () => {
  const life = await newLifeCycle();
  const files = { '1_a.sql': 'create table a (x int);', '2_b.sql': 'create table b (x int);' };
  await life.deploy(files);
  const proxy = await byProxy(life);
  const cuts = await atEachMessage(proxy, async () => {
    await life.database.query('drop schema migrations cascade; drop table a, b');
    expect(await look(life, 'unfinished')).toEqual({ IsComplete: false });
    for (;;) {
      const { IsComplete } = (await look(life, 'unfinished')) as { IsComplete: boolean };
      if (IsComplete) break;
    }
    expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied']);
  });
  expect(cuts).toBeGreaterThan(20);
});

it('a server that restarts, and is not there for a while, rolls nothing back', {
  timeout: 5 * MINUTE,
}, async () => {
  const server = await startServer();
  const database = await createDatabase(server);
  await database.adminQuery('create extension dblink');
  const life = await newLifeCycleIn(database);
  await life.deploy(tables);
  const open = await blockerIn(life);
  const deploying = life.deploy(withWaiting);
  await eventually(() => life.cloudFormation.log.some((text) => text.includes('"in-progress"')));
  await server.halt('immediate');
  await eventually(() => life.cloudFormation.log.some((text) => text.includes('"out-of-sight"')));
  await server.start();
  await open.end().catch(() => undefined);
  expect(await deploying).toMatchObject({ status: 'UPDATE_COMPLETE' });
  expect(await life.steps()).toEqual(['1.0 applied', '2.0 applied', '3.0 applied']);
});

describe.each(BUSY)('where Step Functions says %s when the loop is to be started', (_, fault) => {
  it.each([
    ['waits for its build', withWaiting, {}],
    ['leaves its build behind', withIndex, {}],
    ['waits for nothing', withWaiting, { waitFor: 'nothing' as const }],
  ])(
    'a deploy that %s is not rolled back, and starts it later, once',
    { timeout: 2 * MINUTE },
    async (_, files, props) => {
      const life = await newLifeCycle();
      await life.deploy(tables);
      let left = ATTEMPTS;
      const { stepFunctions } = life.aws;
      const handle = stepFunctions.handle.bind(stepFunctions);
      stepFunctions.handle = (operation, input) => {
        const ofTheLoop = operation === 'StartExecution' && JSON.stringify(input).includes('hand-off-');
        if (ofTheLoop && left-- > 0) throw fault ?? new AwsError('ThrottlingException', 'Rate exceeded');
        return handle(operation, input);
      };
      expect(await life.deploy(files, { props })).toMatchObject({ status: 'UPDATE_COMPLETE' });
      await stepFunctions.settled();
      const loops = stepFunctions.executions.filter(({ name }) => name.startsWith('hand-off-'));
      expect(loops.map(({ ended }) => ended?.outcome.status)).toEqual(['SUCCEEDED']);
      expect(await life.indexes()).toEqual(['i', 'large_pkey']);
    },
  );
});

it('a deploy begins though the secret is throttled for some seconds', { timeout: 5 * MINUTE }, async () => {
  const life = await newLifeCycle();
  await life.deploy(tables);
  life.aws.fail({ operation: 'GetSecretValue', count: 8 });
  expect(await life.deploy(withIndex)).toMatchObject({ status: 'UPDATE_COMPLETE' });
});
