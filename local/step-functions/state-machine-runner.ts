import './promise-with-resolvers.ts';
import {
  ExecutionAbortedError,
  ExecutionError,
  ExecutionTimeoutError,
  type RunOptions,
  StateMachine,
} from 'aws-local-stepfunctions';
import * as v from 'valibot';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { type AwsFunctions, errorPayload } from '../aws/aws-functions.ts';
import type { ExecutionOutcome, ExecutionRequest, RunningExecution } from '../aws/execution.ts';
import { executionArn, stateMachineArn } from '../aws/local-account.ts';
import { ExecutionHistory, type LoggedEvent, MOST_EVENTS } from './execution-history.ts';
import { type LocalDefinition, type PlacedState, prepareDefinition } from './state-machine-definition.ts';
import { type Clock, systemClock } from './virtual-clock.ts';

export interface LocalStateMachine {
  /** JSON, as `stateMachineOf` returns it. */
  readonly definition: unknown;
  /** Runs a task. What it throws is the function's error, whose name is the error's type. */
  readonly invoke: (functionArn: string, payload: unknown) => Promise<unknown>;
  /** @default the system's */
  readonly clock?: Clock;
  readonly onProgress?: (progress: Progress) => void;
}

export interface Progress {
  readonly kind: 'entered' | 'exited' | 'failed' | 'retried' | 'caught';
  readonly state: string;
  /** As in `History`. */
  readonly execution: string;
  /** Milliseconds since 1970, by the execution's clock. */
  readonly at: number;
}

export interface LocalExecution extends RunningExecution {
  /** Grows as the execution runs; complete when it has an outcome. */
  readonly history: ExecutionHistory;
}

/** How a task failed, in Step Functions' words: an error's name, and a cause that is text. */
export class TaskFault extends Error {
  constructor(error: string, cause: string) {
    super(cause);
    this.name = error;
  }
}

const LARGEST_RESULT_BYTES = 256 * 1024;

/**
 * Starts one execution of a state machine, interpreted by aws-local-stepfunctions.
 *
 * @throws MigrationError where the definition can't be run locally, Error where it is invalid
 */
export function runStateMachine(
  machine: LocalStateMachine,
  request: Partial<ExecutionRequest> = {},
): LocalExecution {
  const { clock = systemClock } = machine;
  const prepared = prepareDefinition(machine.definition);
  const history = new ExecutionHistory(prepared);
  const library = libraryMachine(prepared);
  const handlers = taskHandlers(prepared, machine, clock);
  let abort = (): void => {};
  const outcome = clock.run(async () => {
    const execution = library.run((request.input ?? {}) as never, {
      context: contextOf(request, clock),
      overrides: { taskResourceLocalHandlers: handlers },
    });
    abort = execution.abort;
    let tooLong = false;
    const watched = watch(execution.eventLogs, (event) => {
      const { execution: name, events } = history.add(event);
      report(event, { name, machine, clock });
      if (events <= MOST_EVENTS) return;
      tooLong = true;
      execution.abort();
    });
    const end = await execution.result.then(succeeded, outcomeOf);
    await watched;
    if (tooLong) return failed('States.Runtime', `The execution reached ${MOST_EVENTS} history events.`);
    if (end.status === 'SUCCEEDED' && history.openIterations > 0) {
      throw new Error(`The library kept back events of ${history.openIterations} items of a map.`);
    }
    return end;
  });
  return { outcome, history, abort: () => abort() };
}

const validated = new Set<string>();

/** Definitions validated so far: it takes the library a quarter of a second. */
function libraryMachine({ definition }: LocalDefinition): StateMachine {
  const key = JSON.stringify(definition);
  const machine = new StateMachine(definition, { validationOptions: { noValidate: validated.has(key) } });
  validated.add(key);
  return machine;
}

/** Invokes the functions of the local endpoint, as Step Functions does on AWS. */
export function invokeThrough(functions: AwsFunctions): LocalStateMachine['invoke'] {
  return async (functionArn, payload) => {
    const answer = await functions.invoke(functionArn, JSON.stringify(payload));
    const value: unknown = JSON.parse(answer.payload);
    if (answer.kind === 'returned') return value;
    const { errorType } = v.parse(v.object({ errorType: v.string() }), value);
    throw new TaskFault(errorType, answer.payload);
  };
}

/** The library overwrites Input and StartTime, within maps too, where AWS keeps those of the execution. */
function contextOf(request: Partial<ExecutionRequest>, clock: Clock): NonNullable<RunOptions['context']> {
  const { stateMachineArn: machine = stateMachineArn('Local'), name = 'local' } = request;
  return {
    Execution: {
      Id: request.arn ?? executionArn(machine, name),
      Name: name,
      StartTime: new Date(clock.now()).toISOString(),
    },
    StateMachine: { Id: machine, Name: machine.split(':').at(-1) },
  };
}

type TaskHandlers = NonNullable<NonNullable<RunOptions['overrides']>['taskResourceLocalHandlers']>;

/** Task overrides by state name, as the library takes them. */
function taskHandlers({ states }: LocalDefinition, machine: LocalStateMachine, clock: Clock): TaskHandlers {
  const tasks = [...states.values()].filter(({ state }) => state.Type === 'Task');
  return Object.fromEntries(
    tasks.map((task) => {
      const call = callOf(task);
      const handler = async (input: unknown): Promise<never> => {
        // Events of a map's items reach us through promises: this gives them time to arrive.
        await clock.real(() => new Promise((resolve) => setImmediate(resolve)));
        return (await withinLimits(() => call(input, machine.invoke))) as never;
      };
      return [task.name, handler];
    }),
  );
}

type Call = (input: unknown, invoke: LocalStateMachine['invoke']) => Promise<unknown>;

const invokeParameters = v.looseObject({ FunctionName: v.string(), Payload: v.optional(v.unknown()) });

function callOf({ name, state }: PlacedState): Call {
  const resource = state.Resource ?? '';
  if (/^arn:[\w-]+:lambda:/.test(resource)) return (input, invoke) => invoke(resource, input);
  if (/^arn:[\w-]+:states:::lambda:invoke$/.test(resource)) {
    return async (input, invoke) => {
      const { FunctionName, Payload } = v.parse(invokeParameters, input);
      return {
        ExecutedVersion: '$LATEST',
        StatusCode: 200,
        Payload: await invoke(FunctionName, Payload ?? {}),
      };
    };
  }
  throw new MigrationError({
    code: 'task-unknown',
    what: `The task ${name} calls ${resource}, which can't be run locally.`,
    next: 'let the state machine call a function instead, or teach local/step-functions/state-machine-runner.ts the service.',
  });
}

async function withinLimits(work: () => Promise<unknown>): Promise<unknown> {
  const json = await work().then(
    (value) => JSON.stringify(value ?? null),
    (error: unknown) => {
      if (error instanceof TaskFault) throw error;
      const payload = errorPayload(error);
      throw new TaskFault(payload.errorType, JSON.stringify(payload));
    },
  );
  if (Buffer.byteLength(json) > LARGEST_RESULT_BYTES) {
    throw new TaskFault(
      'States.DataLimitExceeded',
      `The task's result is longer than ${LARGEST_RESULT_BYTES} bytes.`,
    );
  }
  return JSON.parse(json) as unknown;
}

async function watch(events: AsyncIterable<LoggedEvent>, see: (event: LoggedEvent) => void): Promise<void> {
  for await (const event of events) see(event);
}

const PROGRESS_KINDS: Readonly<Record<string, Progress['kind']>> = {
  StateEntered: 'entered',
  StateExited: 'exited',
  StateFailed: 'failed',
  StateRetried: 'retried',
  StateCaught: 'caught',
};

interface Reporting {
  /** Name of the execution that the event belongs to. */
  readonly name: string;
  readonly machine: LocalStateMachine;
  readonly clock: Clock;
}

function report({ type, state }: LoggedEvent, { name, machine, clock }: Reporting): void {
  const kind = PROGRESS_KINDS[type];
  if (kind === undefined || state === undefined) return;
  machine.onProgress?.({ kind, state: state.name, execution: name, at: clock.now() });
}

function succeeded(output: unknown): ExecutionOutcome {
  return { status: 'SUCCEEDED', output };
}

function failed(error: string, cause: string): ExecutionOutcome {
  return { status: 'FAILED', error, cause };
}

function outcomeOf(error: unknown): ExecutionOutcome {
  if (error instanceof ExecutionAbortedError) return { status: 'ABORTED' };
  if (error instanceof ExecutionTimeoutError) return { status: 'TIMED_OUT' };
  if (error instanceof ExecutionError && error.cause instanceof Error) {
    return failed(error.cause.name, error.cause.message);
  }
  throw error;
}
