/** How an execution of a state machine ended. */
export type ExecutionOutcome =
  | { readonly status: 'SUCCEEDED'; readonly output: unknown }
  | { readonly status: 'FAILED'; readonly error: string; readonly cause: string }
  | { readonly status: 'TIMED_OUT' }
  | { readonly status: 'ABORTED' };

/** A running execution, in whatever interpreter. */
export interface RunningExecution {
  /** Never rejects: an error of the machine is an outcome. */
  readonly outcome: Promise<ExecutionOutcome>;
  /** Makes the outcome ABORTED, unless it has ended; running tasks continue, as functions do on AWS. */
  abort(): void;
}

export interface ExecutionRequest {
  readonly arn: string;
  readonly name: string;
  readonly stateMachineArn: string;
  readonly input: unknown;
}
