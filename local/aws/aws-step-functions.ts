import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import { AwsError, epochSeconds, parseRequest } from './aws-error.ts';
import type { ExecutionOutcome, ExecutionRequest, RunningExecution } from './execution.ts';
import { executionArn } from './local-account.ts';

/** Runs one execution of a state machine. */
export type RunMachine = (request: ExecutionRequest) => RunningExecution;

export interface Execution extends Omit<ExecutionRequest, 'input'> {
  /** As it was sent. */
  readonly input: string;
  readonly startedAt: number;
  readonly running: RunningExecution;
  ended: { readonly at: number; readonly outcome: ExecutionOutcome } | undefined;
}

const startExecution = v.object({
  stateMachineArn: v.string(),
  name: v.optional(v.string()),
  input: v.optional(v.string(), '{}'),
});
const byExecution = v.object({
  executionArn: v.string(),
});
const listExecutions = v.object({
  stateMachineArn: v.string(),
  statusFilter: v.optional(v.string()),
  maxResults: v.optional(v.number(), 100),
  nextToken: v.optional(v.string()),
});

const NAME = /^[^\s<>{}[\]?*"#%\\^|~`$&,;:/\p{Cc}]{1,80}$/u;
const LARGEST_INPUT_BYTES = 256 * 1024;

/** Step Functions for STANDARD machines: starts, lists, describes and stops executions of the registered machines. */
export class AwsStepFunctions {
  readonly #machines = new Map<string, RunMachine>();
  /** In the order they were started. */
  readonly executions: Execution[] = [];

  register(machineArn: string, run: RunMachine): void {
    this.#machines.set(machineArn, run);
  }

  /** Resolves when no execution is running, those started meanwhile included. */
  async settled(): Promise<void> {
    while (this.executions.some(({ ended }) => ended === undefined)) {
      await Promise.all(this.executions.map(({ running }) => running.outcome));
    }
  }

  abortAll(): void {
    for (const { running, ended } of this.executions) if (ended === undefined) running.abort();
  }

  handle(operation: string, input: unknown): object {
    switch (operation) {
      case 'StartExecution':
        return this.#start(parseRequest(startExecution, input));
      case 'DescribeExecution':
        return describe(this.#find(parseRequest(byExecution, input).executionArn));
      case 'StopExecution': {
        const execution = this.#find(parseRequest(byExecution, input).executionArn);
        execution.running.abort();
        return { stopDate: epochSeconds(Date.now()) };
      }
      case 'ListExecutions':
        return this.#list(parseRequest(listExecutions, input));
      default:
        throw new AwsError('UnknownOperationException', `${operation} is not supported here.`);
    }
  }

  /** The name and input of a running execution give that execution; anything else with its name is refused. */
  #start(request: v.InferOutput<typeof startExecution>): object {
    const { stateMachineArn, input, name = randomUUID() } = request;
    const run = this.#machine(stateMachineArn);
    if (!NAME.test(name)) throw new AwsError('InvalidName', `Invalid Name: '${name}'`);
    const parsed = parseInput(input);
    const arn = executionArn(stateMachineArn, name);
    const former = this.executions.find((execution) => execution.arn === arn);
    if (former !== undefined) {
      if (former.ended === undefined && former.input === input) return started(former);
      throw new AwsError('ExecutionAlreadyExists', `Execution Already Exists: '${arn}'`);
    }
    const running = run({ arn, name, stateMachineArn, input: parsed });
    const execution: Execution = {
      arn,
      name,
      stateMachineArn,
      input,
      startedAt: Date.now(),
      running,
      ended: undefined,
    };
    this.executions.push(execution);
    void running.outcome.then((outcome) => {
      execution.ended = { at: Date.now(), outcome };
    });
    return started(execution);
  }

  /** Newest first. */
  #list(request: v.InferOutput<typeof listExecutions>): object {
    this.#machine(request.stateMachineArn);
    const from = Number(request.nextToken ?? 0);
    const all = this.executions
      .filter(({ stateMachineArn }) => stateMachineArn === request.stateMachineArn)
      .filter((execution) => (request.statusFilter ?? statusOf(execution)) === statusOf(execution))
      .reverse();
    const page = all.slice(from, from + request.maxResults);
    const more = from + page.length < all.length;
    return { executions: page.map(summary), ...(more ? { nextToken: String(from + page.length) } : {}) };
  }

  #machine(arn: string): RunMachine {
    const run = this.#machines.get(arn);
    if (run === undefined)
      throw new AwsError('StateMachineDoesNotExist', `State Machine Does Not Exist: '${arn}'`);
    return run;
  }

  #find(arn: string): Execution {
    const execution = this.executions.find((candidate) => candidate.arn === arn);
    if (execution === undefined)
      throw new AwsError('ExecutionDoesNotExist', `Execution Does Not Exist: '${arn}'`);
    return execution;
  }
}

function parseInput(input: string): unknown {
  if (Buffer.byteLength(input) > LARGEST_INPUT_BYTES)
    throw new AwsError('ValidationException', 'The input is longer than 262144 bytes.');
  try {
    return JSON.parse(input) as unknown;
  } catch {
    throw new AwsError('InvalidExecutionInput', 'Invalid State Machine Execution Input: not JSON');
  }
}

function started({ arn, startedAt }: Execution): object {
  return { executionArn: arn, startDate: epochSeconds(startedAt) };
}

function statusOf({ ended }: Execution): string {
  return ended?.outcome.status ?? 'RUNNING';
}

function summary(execution: Execution): object {
  return {
    executionArn: execution.arn,
    stateMachineArn: execution.stateMachineArn,
    name: execution.name,
    status: statusOf(execution),
    startDate: epochSeconds(execution.startedAt),
    ...(execution.ended === undefined ? {} : { stopDate: epochSeconds(execution.ended.at) }),
  };
}

function describe(execution: Execution): object {
  const outcome = execution.ended?.outcome;
  const end =
    outcome?.status === 'SUCCEEDED'
      ? { output: JSON.stringify(outcome.output) }
      : outcome?.status === 'FAILED'
        ? { error: outcome.error, cause: outcome.cause }
        : {};
  return { ...summary(execution), input: execution.input, ...end };
}
