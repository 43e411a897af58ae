import { environment } from '../../lambda/environment.ts';
import type { AwsEndpoint } from '../aws-endpoint.ts';
import { invokeThrough, type LocalStateMachine, runStateMachine } from '../state-machine-runner.ts';
import { LambdaFunction } from './lambda-function.ts';
import type { SynthesizedRelease } from './synthesized-release.ts';

export interface LocalAwsOptions {
  readonly endpoint: AwsEndpoint;
  /** `host:port/path` of the proxy through which the functions reach the database. */
  readonly neonProxy: string;
  readonly onLog: (functionName: string, line: string) => void;
  /** Called with each task of the loop that has been answered. */
  readonly onTask: (task: unknown, answer: unknown) => void;
}

/** The account into which releases are deployed: functions in processes of their own, and the loop. */
export class LocalAws {
  readonly #options: LocalAwsOptions;
  readonly #functions: LambdaFunction[] = [];

  constructor(options: LocalAwsOptions) {
    this.#options = options;
  }

  /** New code for the functions and a new definition for the loop; what runs goes on with the old, as on AWS. */
  install(release: SynthesizedRelease): void {
    const { endpoint, neonProxy, onLog } = this.#options;
    for (const code of release.functions) {
      const lambda = new LambdaFunction({
        ...code,
        variables: { ...code.variables, ...endpoint.environment, [environment.neonProxy]: neonProxy },
        onLog: (line) => onLog(code.name, line),
      });
      this.#functions.push(lambda);
      endpoint.functions.register(code.name, (event) => lambda.invoke(event));
    }
    const machine: LocalStateMachine = { definition: release.loop.definition, invoke: this.#watched() };
    endpoint.stepFunctions.register(release.loop.arn, (request) => runStateMachine(machine, request));
  }

  /** Ends every function, whatever it does. */
  async stop(): Promise<void> {
    await Promise.all(this.#functions.map((lambda) => lambda.stop()));
  }

  #watched(): LocalStateMachine['invoke'] {
    const invoke = invokeThrough(this.#options.endpoint.functions);
    return async (functionArn, payload) => {
      const answer = await invoke(functionArn, payload);
      this.#options.onTask(payload, answer);
      return answer;
    };
  }
}
