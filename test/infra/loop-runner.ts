import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { ExecutionError, StateMachine, type StateMachineDefinition } from 'aws-local-stepfunctions';
import { IndexBuildLoop } from '../../infra/index-build-loop.ts';
import { attendTables } from '../../lambda/loop/attend-tables.ts';
import type {
  BuildTable,
  LoopTask,
  ResumeResult,
  SettleResult,
  TablesResult,
  TurnResult,
} from '../../lambda/work/loop-task.ts';
import { type Resource, temporaryFolder } from './synthesized.ts';

// Node 20 has it not, and the runner needs it.
const promise = Promise as unknown as { withResolvers?: unknown };
promise.withResolvers ??= () => {
  let resolve: unknown;
  let reject: unknown;
  const pending = new Promise((...settlers) => {
    [resolve, reject] = settlers;
  });
  return { promise: pending, resolve, reject };
};

/** The loop's definition, from a synthesized template. */
export function loopDefinition(maxConcurrentTables = 4): StateMachineDefinition {
  const stack = new Stack(new App({ outdir: temporaryFolder() }), 'Stack');
  const indexBuild = lambda.Function.fromFunctionArn(
    stack,
    'Build',
    'arn:aws:lambda:eu-central-1:123456789012:function:index-build',
  );
  new IndexBuildLoop(stack, 'Loop', {
    indexBuild,
    maxConcurrentTables,
    logRetention: logs.RetentionDays.ONE_DAY,
  });
  const machines = Template.fromStack(stack).findResources('AWS::StepFunctions::StateMachine');
  const [machine] = Object.values(machines) as Resource[];
  return JSON.parse(String(machine?.Properties.DefinitionString));
}

/** What does the tasks in a test; each may throw, as a function may. */
export interface IndexBuildFunction {
  tables(): TablesResult;
  turn(table: BuildTable, turn: number): TurnResult | Promise<TurnResult>;
  /** Instead of all that a branch's turn gives. */
  branch?(turn: number): unknown;
  /** Tables that were handed off while others build; whoever asks has them. */
  unattended?(): readonly BuildTable[];
  /** The steps that waited for what has ended by now are applied at once. */
  resumeSoon?(): void;
  resume(): ResumeResult;
  settle(execution: string): SettleResult;
}

export interface Execution {
  /** `undefined` where it succeeded. */
  readonly failure: { readonly error: string; readonly cause: string } | undefined;
  /** States in the order in which they were entered, branches mixed. */
  readonly entered: readonly string[];
  readonly tasks: readonly LoopTask[];
}

/** Runs the definition without ever waiting, retries included. */
export async function runLoop(
  indexBuild: IndexBuildFunction,
  definition: StateMachineDefinition = loopDefinition(),
): Promise<Execution> {
  const tasks: LoopTask[] = [];
  const answer = async (input: unknown): Promise<never> => {
    const task = input as LoopTask;
    tasks.push(task);
    return (await does(indexBuild, task)) as never;
  };
  const states = ['FindTables', 'Turn', 'Resume', 'Settle'];
  const execution = new StateMachine(definition).run(
    {},
    {
      context: { Execution: { Name: 'hand-off-1' } },
      overrides: {
        taskResourceLocalHandlers: Object.fromEntries(states.map((state) => [state, answer])),
        waitTimeOverrides: { WaitForBuild: 0 },
        retryIntervalOverrides: Object.fromEntries(states.map((state) => [state, 0])),
      },
    },
  );
  const entered: string[] = [];
  const failure = execution.result.then(
    () => undefined,
    (error: unknown) => failureOf(error),
  );
  for await (const event of execution.eventLogs) {
    if (event.type === 'StateEntered') entered.push(event.state.name);
  }
  return { failure: await failure, entered, tasks };
}

function does(indexBuild: IndexBuildFunction, task: LoopTask): unknown {
  switch (task.task) {
    case 'tables':
      return indexBuild.tables();
    case 'turn':
      if (indexBuild.branch !== undefined) return indexBuild.branch(task.turn);
      return attendTables({
        tables: task.tables,
        turn: task.turn,
        turnOf: async (table) => indexBuild.turn(table, task.turn),
        resume: async () => {
          await indexBuild.resumeSoon?.();
          return 'done';
        },
        unattended: async () => indexBuild.unattended?.() ?? [],
        isLate: () => false,
      });
    case 'resume':
      return indexBuild.resume();
    case 'settle':
      return indexBuild.settle(task.execution);
  }
}

function failureOf(error: unknown): Execution['failure'] {
  if (!(error instanceof ExecutionError) || !(error.cause instanceof Error)) throw error;
  return { error: error.cause.name, cause: error.cause.message };
}
