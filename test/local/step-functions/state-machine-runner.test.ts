import { SFNClient, StartExecutionCommand } from '@aws-sdk/client-sfn';
import { App, Duration, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startAwsEndpoint } from '../../../local/aws/aws-endpoint.ts';
import { stateMachineOf } from '../../../local/step-functions/state-machine-definition.ts';
import {
  invokeThrough,
  type LocalStateMachine,
  type Progress,
  runStateMachine,
} from '../../../local/step-functions/state-machine-runner.ts';
import { VirtualClock } from '../../../local/step-functions/virtual-clock.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** A loop of the kind that index builds need, made by the CDK and taken from its template. */
function synthesizedLoop(change: (turn: tasks.LambdaInvoke, stack: Stack) => void = () => {}): {
  arn: string;
  definition: unknown;
} {
  const stack = new Stack(new App({ outdir: temporaryFolder() }), 'Stack');
  const worker = new lambda.Function(stack, 'Worker', {
    runtime: lambda.Runtime.NODEJS_22_X,
    handler: 'index.handler',
    code: lambda.Code.fromInline('exports.handler = () => {}'),
  });
  const task = (id: string, payload: object, more: object = {}) =>
    new tasks.LambdaInvoke(stack, id, {
      lambdaFunction: worker,
      payload: sfn.TaskInput.fromObject({ ...payload }),
      payloadResponseOnly: true,
      retryOnServiceExceptions: false,
      ...more,
    });
  const turn = task('Turn', { task: 'turn', 'table.$': '$.table' }, { resultPath: '$.last' });
  turn.addRetry({ errors: ['Busy'], interval: Duration.seconds(10), backoffRate: 2, maxAttempts: 3 });
  change(turn, stack);
  const wait = new sfn.Wait(stack, 'Wait', { time: sfn.WaitTime.secondsPath('$.last.waitSeconds') });
  turn.next(
    new sfn.Choice(stack, 'TurnOutcome')
      .when(sfn.Condition.stringEquals('$.last.outcome', 'wait'), wait.next(turn))
      .otherwise(new sfn.Pass(stack, 'TableDone', { outputPath: '$.table' })),
  );
  const build = new sfn.DistributedMap(stack, 'BuildTables', {
    itemsPath: '$.tables',
    itemSelector: { 'table.$': '$$.Map.Item.Value' },
    maxConcurrency: 40,
    toleratedFailurePercentage: 100,
    resultPath: '$.built',
  }).itemProcessor(turn);
  const settle = task('Settle', { task: 'settle', 'execution.$': '$$.Execution.Name', 'built.$': '$.built' });
  const end = new sfn.Choice(stack, 'SettleOutcome')
    .when(
      sfn.Condition.stringEquals('$.outcome', 'failed'),
      new sfn.Fail(stack, 'Failed', { errorPath: '$.error', causePath: '$.message' }),
    )
    .otherwise(new sfn.Succeed(stack, 'Valid'));
  const definition = task('FindTables', { task: 'tables' }).next(build).next(settle).next(end);
  new sfn.StateMachine(stack, 'Machine', { definitionBody: sfn.DefinitionBody.fromChainable(definition) });
  return stateMachineOf(Template.fromStack(stack).toJSON());
}

interface Asked {
  readonly task: 'tables' | 'turn' | 'settle';
  readonly table?: string;
  readonly execution?: string;
  readonly built?: readonly string[];
}

/** Each table is done after its seconds; a turn takes one second, and asks to be called again after some more. */
function builds(seconds: Readonly<Record<string, number>>, clock: VirtualClock, waitSeconds: number) {
  const begun = clock.now();
  const ends = new Map<string, number>();
  const invoke = async (_: string, payload: unknown): Promise<unknown> => {
    const { task, table = '' } = payload as Asked;
    if (task === 'tables') return { tables: Object.keys(seconds) };
    if (task === 'settle') return { outcome: 'valid' };
    await clock.sleep(1000);
    const elapsed = (clock.now() - begun) / 1000;
    if (elapsed < (seconds[table] ?? 0)) return { outcome: 'wait', waitSeconds };
    ends.set(table, elapsed);
    return { outcome: 'done' };
  };
  return { invoke, ends };
}

describe('a state machine from a synthesized template', () => {
  it('runs to its end, with the functions of the template as tasks', async () => {
    const { definition } = synthesizedLoop();
    const asked: [string, unknown][] = [];
    let turns = 0;
    const invoke: LocalStateMachine['invoke'] = async (arn, payload) => {
      asked.push([arn, payload]);
      const { task } = payload as Asked;
      if (task === 'tables') return { tables: ['a', 'b'] };
      if (task === 'turn') return turns++ < 2 ? { outcome: 'wait', waitSeconds: 0 } : { outcome: 'done' };
      return { outcome: 'valid' };
    };
    const { outcome } = runStateMachine({ definition, invoke }, { name: 'deploy-7', input: {} });
    expect(await outcome).toEqual({ status: 'SUCCEEDED', output: { outcome: 'valid' } });
    expect(asked[0]).toEqual([
      expect.stringMatching(/^arn:aws:lambda:us-east-1:123456789012:function:Worker\w+$/),
      { task: 'tables' },
    ]);
    expect(asked.at(-1)?.[1]).toEqual({ task: 'settle', execution: 'deploy-7', built: ['a', 'b'] });
  });

  it('ends with the error and the cause that its Fail state takes from the state', async () => {
    const { definition } = synthesizedLoop();
    const invoke: LocalStateMachine['invoke'] = async (_, payload) =>
      (payload as Asked).task === 'tables'
        ? { tables: [] }
        : { outcome: 'failed', error: 'BuildsFailed', message: 'index i: duplicates' };
    expect(await runStateMachine({ definition, invoke }).outcome).toEqual({
      status: 'FAILED',
      error: 'BuildsFailed',
      cause: 'index i: duplicates',
    });
  });

  it('fails with the function’s own error, as Lambda words it, where nothing catches it', async () => {
    const { definition } = synthesizedLoop();
    const invoke: LocalStateMachine['invoke'] = async () => {
      throw new RangeError('too far');
    };
    const outcome = await runStateMachine({ definition, invoke }).outcome;
    expect(outcome).toMatchObject({ status: 'FAILED', error: 'RangeError' });
    expect(JSON.parse((outcome as { cause: string }).cause)).toMatchObject({
      errorType: 'RangeError',
      errorMessage: 'too far',
    });
  });

  it('is started, stopped and described through the endpoint, and its tasks are functions there', async () => {
    const aws = await startAwsEndpoint();
    for (const [name, value] of Object.entries(aws.environment)) vi.stubEnv(name, value);
    onTestFinished(async () => {
      vi.unstubAllEnvs();
      await aws.stop();
    });
    const { arn, definition } = synthesizedLoop();
    const invoke = invokeThrough(aws.functions);
    aws.stepFunctions.register(arn, (request) => runStateMachine({ definition, invoke }, request));
    const worker = /function:(Worker\w+)/.exec(JSON.stringify(definition))?.[1] ?? '';
    aws.functions.register(worker, (event) => {
      const { task } = event as Asked;
      if (task === 'tables') return { tables: ['slow'] };
      if (task === 'turn') return { outcome: 'wait', waitSeconds: 3600 };
      throw new Error('never reached');
    });
    const start = { stateMachineArn: arn, name: 'one', input: '{}' };
    await new SFNClient().send(new StartExecutionCommand(start));
    await vi.waitFor(() => expect(aws.stepFunctions.executions).toHaveLength(1));
    aws.stepFunctions.abortAll();
    await aws.stepFunctions.settled();
    expect(aws.stepFunctions.executions[0]?.ended?.outcome).toEqual({ status: 'ABORTED' });

    aws.functions.register(worker, () => {
      throw new TypeError('broken');
    });
    await new SFNClient().send(new StartExecutionCommand({ ...start, name: 'two' }));
    await aws.stepFunctions.settled();
    expect(aws.stepFunctions.executions[1]?.ended?.outcome).toMatchObject({
      status: 'FAILED',
      error: 'TypeError',
    });
  });

  it('is refused where the local interpreter would do something else than AWS', () => {
    const machine = (state: object) => ({ StartAt: 'A', States: { A: { End: true, ...state } } });
    const invoke = async () => ({});
    expect(() =>
      runStateMachine({
        definition: machine({ Type: 'Pass', Parameters: { 'x.$': '$$.State.Name' } }),
        invoke,
      }),
    ).toThrow('$$.State.Name of the context object is not known locally');
    expect(() =>
      runStateMachine({
        definition: machine({ Type: 'Task', Resource: 'arn:aws:states:::sns:publish' }),
        invoke,
      }),
    ).toThrow("The task A calls arn:aws:states:::sns:publish, which can't be run locally.");
  });
});

describe('a simulated execution', () => {
  it('lets tables build side by side for a day, each ending at its own time', async () => {
    const { definition } = synthesizedLoop();
    const clock = new VirtualClock();
    const seconds = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`t${i}`, 24 * 3600 - i * 600]));
    const { invoke, ends } = builds(seconds, clock, 300);
    const begun = clock.now();
    const { outcome, history } = runStateMachine({ definition, invoke, clock });
    expect(await outcome).toMatchObject({ status: 'SUCCEEDED' });
    // Every 301 s there is a turn: a table ends with the first one after its time.
    for (const [table, needed] of Object.entries(seconds)) {
      const ended = ends.get(table) ?? 0;
      expect(ended - needed).toBeGreaterThanOrEqual(0);
      expect(ended - needed).toBeLessThan(301);
      expect(ended % 301).toBe(1);
    }
    expect((clock.now() - begun) / 1000).toBe(ends.get('t0'));
    expect(history.histories).toHaveLength(41);
  });

  it('counts the events that each execution would have, and the transitions of all', async () => {
    const { definition } = synthesizedLoop();
    const clock = new VirtualClock();
    const { invoke } = builds({ short: 0, long: 20 }, clock, 9);
    const { outcome, history } = runStateMachine({ definition, invoke, clock });
    await outcome;
    const events = Object.fromEntries(history.histories.map(({ execution, events }) => [execution, events]));
    // Started, FindTables 5, BuildTables 6, Settle 5, SettleOutcome 2, Valid 2, succeeded.
    expect(events.execution).toBe(22);
    // Started, Turn 5, TurnOutcome 2, TableDone 2, succeeded.
    expect(events['BuildTables[0]']).toBe(11);
    // The same and two more turns, with Turn 5, TurnOutcome 2, Wait 2 each.
    expect(events['BuildTables[1]']).toBe(11 + 2 * 9);
    expect(history.transitions).toBe(6 + 4 + (4 + 2 * 3));
    expect(history.longest.execution).toBe('BuildTables[1]');
  });

  it('waits for retries in virtual time, and counts them', async () => {
    const { definition } = synthesizedLoop();
    const clock = new VirtualClock();
    const at: number[] = [];
    const invoke: LocalStateMachine['invoke'] = async (_, payload) => {
      const { task } = payload as Asked;
      if (task === 'tables') return { tables: ['a'] };
      if (task === 'settle') return { outcome: 'valid' };
      at.push(clock.now());
      if (at.length <= 3) throw Object.assign(new Error('try later'), { name: 'Busy' });
      return { outcome: 'done' };
    };
    const progress: Progress[] = [];
    const begun = clock.now();
    const onProgress = (step: Progress) => progress.push(step);
    const { outcome, history } = runStateMachine({ definition, invoke, clock, onProgress });
    expect(await outcome).toMatchObject({ status: 'SUCCEEDED' });
    expect(at.map((moment) => (moment - begun) / 1000)).toEqual([0, 10, 30, 70]);
    expect(progress.filter(({ kind }) => kind === 'retried')).toMatchObject([
      { state: 'Turn', execution: 'BuildTables[0]', at: begun + 10_000 },
      { at: begun + 30_000 },
      { at: begun + 70_000 },
    ]);
    expect(history.histories[1]).toEqual({ execution: 'BuildTables[0]', events: 11 + 3 * 3 });
  });

  it('lets a task time out that hangs', async () => {
    const { definition } = synthesizedLoop((turn, stack) =>
      turn.addCatch(new sfn.Pass(stack, 'TimedOut'), { errors: [sfn.Errors.TIMEOUT] }),
    );
    Object.assign(findState(definition, 'Turn'), { TimeoutSeconds: 900 });
    const clock = new VirtualClock();
    const invoke: LocalStateMachine['invoke'] = async (_, payload) => {
      const { task } = payload as Asked;
      if (task === 'turn') await clock.sleep(7 * 24 * 3600_000);
      return task === 'tables' ? { tables: ['a'] } : { outcome: 'valid' };
    };
    const states: string[] = [];
    const begun = clock.now();
    const onProgress = ({ state, kind }: Progress) => kind === 'entered' && states.push(state);
    await runStateMachine({ definition, invoke, clock, onProgress }).outcome;
    expect(states).toContain('TimedOut');
    expect((clock.now() - begun) / 1000).toBe(900);
  });

  it('stands still while real work is done, and leaves the timers of others alone', async () => {
    const { definition } = synthesizedLoop();
    const clock = new VirtualClock();
    const inner = builds({ a: 3600 }, clock, 600);
    const invoke: LocalStateMachine['invoke'] = (arn, payload) =>
      clock
        .real(() => new Promise((resolve) => setTimeout(resolve, 5)))
        .then(() => inner.invoke(arn, payload));
    let elsewhere = 0;
    const timer = setInterval(() => elsewhere++, 1);
    await runStateMachine({ definition, invoke, clock }).outcome;
    clearInterval(timer);
    expect(elsewhere).toBeGreaterThan(5);
    expect(inner.ends.get('a')).toBeGreaterThanOrEqual(3600);
  });

  it.each([undefined, 'DISTRIBUTED'])('counts a map of many items at the very end (%s)', async (Mode) => {
    const item = { StartAt: 'B', States: { B: { Type: 'Pass', Next: 'C' }, C: { Type: 'Pass', End: true } } };
    const ProcessorConfig = { Mode, ExecutionType: 'STANDARD' };
    const ItemProcessor = Mode === undefined ? item : { ...item, ProcessorConfig };
    const definition = { StartAt: 'A', States: { A: { Type: 'Map', ItemProcessor, End: true } } };
    const input = Array.from({ length: 100 }, (_, i) => i);
    const { outcome, history } = runStateMachine({ definition, invoke: async () => ({}) }, { input });
    expect(await outcome).toEqual({ status: 'SUCCEEDED', output: input });
    expect(history.openIterations).toBe(0);
    expect(history.histories.map(({ events }) => events)).toEqual(
      Mode === undefined ? [2 + 4 + 100 * 6] : [2 + 6, ...Array(100).fill(6)],
    );
  });

  it('fails as on AWS when a history becomes too long', async () => {
    const clock = new VirtualClock();
    const { invoke } = builds({ endless: Number.POSITIVE_INFINITY }, clock, 1);
    const { outcome, history } = runStateMachine({ definition: synthesizedLoop().definition, invoke, clock });
    expect(await outcome).toMatchObject({ status: 'FAILED', cause: expect.stringContaining('25000') });
    expect(history.longest.execution).toBe('BuildTables[0]');
  });

  it('says so when it stands still forever', async () => {
    const clock = new VirtualClock();
    const invoke = () => new Promise<never>(() => {});
    const definition = { StartAt: 'A', States: { A: { Type: 'Wait', Seconds: 1, End: true } } };
    await runStateMachine({ definition, invoke, clock }).outcome;
    await expect(clock.run(() => invoke())).rejects.toThrow('stands still');
  });
});

function findState(definition: unknown, name: string): object {
  const build = (
    definition as { States: { BuildTables: { ItemProcessor: { States: Record<string, object> } } } }
  ).States.BuildTables;
  return build.ItemProcessor.States[name] ?? {};
}
