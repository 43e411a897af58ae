import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import type { AwsEndpoint } from '../aws/aws-endpoint.ts';
import { CloudFormationTemplate, type LocalResource } from '../aws/cloudformation-template.ts';
import type { ExecutionRequest, RunningExecution } from '../aws/execution.ts';
import { invokeThrough, runStateMachine } from '../step-functions/state-machine-runner.ts';
import { VirtualClock } from '../step-functions/virtual-clock.ts';
import type { AnswerBox } from './answer-box.ts';
import { Sandbox } from './sandbox.ts';

export interface LocalStackOptions {
  readonly aws: AwsEndpoint;
  readonly answers: AnswerBox;
  /** Gets each line that a function logs. */
  readonly log: (line: string) => void;
  /** Environment variables of every function, instead of the template's. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Timeout of our functions, instead of the template's. */
  readonly timeoutSeconds?: number | undefined;
  /** Milliseconds between the Provider's polls, ten seconds on AWS. @default 40 */
  readonly betweenQuestions?: number | undefined;
  /** The earlier deploy: functions that an update does not change stay warm. */
  readonly before?: LocalStack | undefined;
}

/** A synthesized stack's functions and state machines, as `cdk synth` writes them, running on this machine. */
export class LocalStack {
  readonly template: CloudFormationTemplate;
  readonly #options: LocalStackOptions;
  readonly #sandboxes = new Map<string, Sandbox>();
  /** Functions by everything that defines one. */
  readonly #alike = new Map<string, Sandbox>();

  /** Deploys: from now on, replaces code and machines of the same names. */
  constructor(assembly: string, options: LocalStackOptions) {
    this.#options = options;
    const name = readdirSync(assembly).find((file) => file.endsWith('.template.json'));
    if (name === undefined) throw new Error(`${assembly} holds no template.`);
    this.template = new CloudFormationTemplate(JSON.parse(readFileSync(join(assembly, name), 'utf8')));
    bringSdk(assembly);
    options.aws.cloudFormation.put(name.replace(/\.template\.json$/, ''), this.template.described());
    for (const resource of this.template.resourcesOf('AWS::Lambda::Function'))
      this.#function(assembly, resource);
    for (const resource of this.template.resourcesOf('AWS::StepFunctions::StateMachine'))
      this.#machine(resource);
  }

  /** The one whose logical id contains this. */
  sandbox(part: string): Sandbox {
    const found = [...this.#sandboxes].filter(([id]) => id.includes(part));
    const [first] = found;
    if (first === undefined || found.length > 1)
      throw new Error(`${found.length} functions are named ${part}.`);
    return first[1];
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sandboxes.values()].map((sandbox) => sandbox.kill()));
  }

  #function(assembly: string, { logicalId, properties }: LocalResource): void {
    const { Code, Handler, Environment, Timeout: whole } = v.parse(functionProperties, properties);
    const Timeout = isFrameworks(Handler) ? whole : (this.#options.timeoutSeconds ?? whole);
    const { aws, answers, log, environment = {}, before } = this.#options;
    const asset = `asset.${Code.S3Key.replace(/\.zip$/, '')}`;
    const variables = { ...aws.environment, TZ: ':UTC', ...Environment.Variables, ...environment };
    const likeness = JSON.stringify([logicalId, asset, Handler, variables, Timeout]);
    const warm = before === undefined ? undefined : before.#alike.get(likeness);
    const sandbox =
      warm ??
      new Sandbox({
        directory: join(assembly, asset),
        handler: Handler,
        environment: variables,
        timeoutSeconds: Timeout,
        answers,
        log,
      });
    this.#sandboxes.set(logicalId, sandbox);
    this.#alike.set(likeness, sandbox);
    aws.functions.register(logicalId, (event) => sandbox.invoke(event));
  }

  #machine({ logicalId, properties }: LocalResource): void {
    const { aws, betweenQuestions = 40 } = this.#options;
    const definition: unknown = JSON.parse(v.parse(v.string(), properties.DefinitionString));
    const invoke = invokeThrough(aws.functions);
    const run = isWaiter(logicalId)
      ? (request: ExecutionRequest) => runWaiter(definition, invoke, request, betweenQuestions)
      : (request: ExecutionRequest) => runStateMachine({ definition, invoke }, request);
    aws.stepFunctions.register(this.template.arnOf(logicalId), run);
  }
}

const functionProperties = v.object({
  Code: v.object({ S3Key: v.string() }),
  Handler: v.string(),
  Environment: v.optional(v.object({ Variables: v.record(v.string(), v.string()) }), { Variables: {} }),
  Timeout: v.optional(v.number(), 3),
});

function isFrameworks(handler: string): boolean {
  return handler.startsWith('framework.');
}

/** The Provider's own machine, which asks isComplete. */
function isWaiter(logicalId: string): boolean {
  return logicalId.includes('waiterstatemachine');
}

type Invoke = ReturnType<typeof invokeThrough>;

/** In simulated time: its ten seconds between polls pass at once, while functions take their real time. */
function runWaiter(
  definition: unknown,
  invoke: Invoke,
  request: ExecutionRequest,
  betweenQuestions: number,
): RunningExecution {
  const clock = new VirtualClock();
  return runStateMachine(
    {
      definition,
      clock,
      invoke: (arn, payload) =>
        clock.real(async () => {
          await sleep(betweenQuestions);
          return invoke(arn, payload);
        }),
    },
    request,
  );
}

/** Lambda's runtime has the SDK where every function finds it; here it is beside the assets. */
export function bringSdk(assembly: string): void {
  const modules = join(assembly, 'node_modules');
  if (!existsSync(modules))
    symlinkSync(fileURLToPath(new URL('../../node_modules', import.meta.url)), modules);
}
