import { randomUUID } from 'node:crypto';
import * as v from 'valibot';
import type { AwsEndpoint } from '../aws/aws-endpoint.ts';
import { localArn } from '../aws/local-account.ts';
import { AnswerBox, type ResourceAnswer } from './answer-box.ts';
import { LocalStack } from './local-stack.ts';

export type RequestType = 'Create' | 'Update' | 'Delete';

/** A request of CloudFormation's, and the answer. */
export interface Exchange extends ResourceAnswer {
  readonly request: RequestType;
}

export type StackStatus =
  | 'NONE'
  | 'CREATE_COMPLETE'
  | 'ROLLBACK_COMPLETE'
  | 'ROLLBACK_FAILED'
  | 'UPDATE_COMPLETE'
  | 'UPDATE_ROLLBACK_COMPLETE'
  | 'UPDATE_ROLLBACK_FAILED'
  | 'DELETE_COMPLETE'
  | 'DELETE_FAILED';

export interface Deployed {
  readonly status: StackStatus;
  /** Requests and answers in order: a failed Create is followed by a Delete, a failed Update by an Update back. */
  readonly exchanges: readonly Exchange[];
}

export interface Delivery {
  /** Deliver each event this many times at once; CloudFormation accepts the first answer. @default 1 */
  readonly times?: number;
  /** Environment variables of all functions, instead of the template's. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Timeout of our functions, instead of the template's. */
  readonly timeoutSeconds?: number;
  /**
   * Milliseconds between the Provider's polls, 360 of which make CloudFormation's hour: more if the work
   * that a deploy waits for takes real time. @default 40
   */
  readonly betweenQuestions?: number;
}

interface Resource {
  readonly logicalId: string;
  readonly serviceToken: string;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** How often Lambda retries a failed asynchronous invocation. */
const ASYNC_RETRIES = 2;

/**
 * CloudFormation, as one custom resource of one stack sees it: it deploys what `cdk synth` wrote, sends the
 * resource its events through the Provider framework's own code, and rolls back when one fails.
 */
export class LocalCloudFormation {
  status: StackStatus = 'NONE';
  /** The stack that is deployed now. */
  stack: LocalStack | undefined;
  /** Everything that functions have logged, in order. */
  readonly log: string[] = [];
  readonly #aws: AwsEndpoint;
  readonly #answers: AnswerBox;
  readonly #listener: (line: string) => void;
  readonly #stacks: LocalStack[] = [];
  readonly #stackId = localArn('cloudformation', `stack/local/${randomUUID()}`);
  readonly #invocations: Promise<unknown>[] = [];
  #assembly: string | undefined;
  #resource: Resource | undefined;
  #physicalId: string | undefined;
  #stopped = false;

  /** @param listener gets each line that any function logs */
  static async open(aws: AwsEndpoint, listener?: (line: string) => void): Promise<LocalCloudFormation> {
    return new LocalCloudFormation(aws, await AnswerBox.open(), listener);
  }

  private constructor(aws: AwsEndpoint, answers: AnswerBox, listener: (line: string) => void = () => {}) {
    this.#aws = aws;
    this.#listener = listener;
    this.#answers = answers;
  }

  /** `cdk deploy` of an assembly: creates the stack or updates it. */
  async deploy(assembly: string, delivery: Delivery = {}): Promise<Deployed> {
    return this.#resource === undefined
      ? this.#create(assembly, delivery)
      : this.#update(assembly, this.#resource, delivery);
  }

  async delete(delivery: Delivery = {}): Promise<Deployed> {
    const exchange = await this.#send('Delete', delivery);
    this.status = exchange.status === 'SUCCESS' ? 'DELETE_COMPLETE' : 'DELETE_FAILED';
    return { status: this.status, exchanges: [exchange] };
  }

  /** Resolves when every event has been handled, including those whose answer was not the first. */
  async settled(): Promise<void> {
    await Promise.all(this.#invocations);
  }

  /** Ends every function and closes. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#stacks.map((stack) => stack.stop()));
    await this.settled();
    await this.#answers.close();
  }

  async #create(assembly: string, delivery: Delivery): Promise<Deployed> {
    this.#install(assembly, delivery);
    const created = await this.#send('Create', delivery);
    this.#physicalId = created.physicalResourceId;
    if (created.status === 'SUCCESS') {
      this.status = 'CREATE_COMPLETE';
      return { status: this.status, exchanges: [created] };
    }
    const deleted = await this.#send('Delete', delivery);
    this.#resource = undefined;
    this.#physicalId = undefined;
    this.status = deleted.status === 'SUCCESS' ? 'ROLLBACK_COMPLETE' : 'ROLLBACK_FAILED';
    return { status: this.status, exchanges: [created, deleted] };
  }

  async #update(assembly: string, old: Resource, delivery: Delivery): Promise<Deployed> {
    const oldAssembly = this.#assembly ?? assembly;
    this.#install(assembly, delivery);
    const exchanges: Exchange[] = [];
    if (old.logicalId !== this.#resource?.logicalId) return this.#createBeside(old, oldAssembly, delivery);
    if (!isSame(old.properties, this.#resource?.properties)) {
      const updated = await this.#exchangeAndReplace(old.properties, delivery, exchanges);
      if (updated === 'FAILED') {
        const attempted = this.#resource?.properties ?? {};
        this.#install(oldAssembly, delivery);
        const back = await this.#exchangeAndReplace(attempted, delivery, exchanges);
        this.status = back === 'SUCCESS' ? 'UPDATE_ROLLBACK_COMPLETE' : 'UPDATE_ROLLBACK_FAILED';
        return { status: this.status, exchanges };
      }
    }
    this.status = 'UPDATE_COMPLETE';
    return { status: this.status, exchanges };
  }

  /** A renamed construct is another resource: it is created first, and the old one deleted when all else is done. */
  async #createBeside(old: Resource, oldAssembly: string, delivery: Delivery): Promise<Deployed> {
    const oldPhysicalId = this.#physicalId;
    this.#physicalId = undefined;
    const created = await this.#send('Create', delivery);
    const [renamed, renamedPhysicalId] = [this.#resource, created.physicalResourceId];
    if (created.status === 'SUCCESS') {
      [this.#resource, this.#physicalId] = [old, oldPhysicalId];
      const deleted = await this.#send('Delete', delivery);
      [this.#resource, this.#physicalId] = [renamed, renamedPhysicalId];
      this.status = 'UPDATE_COMPLETE';
      return { status: this.status, exchanges: [created, deleted] };
    }
    this.#physicalId = renamedPhysicalId;
    const deleted = await this.#send('Delete', delivery);
    this.#install(oldAssembly, delivery);
    this.#physicalId = oldPhysicalId;
    this.status = deleted.status === 'SUCCESS' ? 'UPDATE_ROLLBACK_COMPLETE' : 'UPDATE_ROLLBACK_FAILED';
    return { status: this.status, exchanges: [created, deleted] };
  }

  /** A changed physical id is a replacement: the old one is deleted. */
  async #exchangeAndReplace(
    oldProperties: Resource['properties'],
    delivery: Delivery,
    exchanges: Exchange[],
  ): Promise<Exchange['status']> {
    const updated = await this.#send('Update', delivery, oldProperties);
    exchanges.push(updated);
    if (updated.status === 'SUCCESS' && updated.physicalResourceId !== this.#physicalId) {
      exchanges.push(await this.#send('Delete', delivery));
      this.#physicalId = updated.physicalResourceId;
    }
    return updated.status;
  }

  #install(assembly: string, { environment = {}, timeoutSeconds, betweenQuestions }: Delivery): void {
    const stack = new LocalStack(assembly, {
      aws: this.#aws,
      answers: this.#answers,
      log: (line) => {
        this.log.push(line);
        this.#listener(line);
      },
      environment,
      timeoutSeconds,
      betweenQuestions,
      before: this.stack,
    });
    this.#stacks.push(stack);
    this.stack = stack;
    this.#assembly = assembly;
    const [resource] = stack.template.resourcesOf('Custom::PostgresMigrations');
    if (resource === undefined) throw new Error(`${assembly} holds no Custom::PostgresMigrations.`);
    const { ServiceToken, ...properties } = resource.properties;
    this.#resource = {
      logicalId: resource.logicalId,
      serviceToken: v.parse(v.string(), ServiceToken),
      properties: asStrings(properties),
    };
  }

  async #send(
    request: RequestType,
    { times = 1 }: Delivery,
    oldProperties?: Resource['properties'],
  ): Promise<Exchange> {
    const resource = this.#resource;
    if (resource === undefined) throw new Error('Nothing is deployed.');
    const RequestId = randomUUID();
    const { serviceToken, properties, logicalId } = resource;
    const event = JSON.stringify({
      RequestType: request,
      RequestId,
      ResponseURL: this.#answers.urlFor(RequestId),
      StackId: this.#stackId,
      ServiceToken: serviceToken,
      ResourceType: 'Custom::PostgresMigrations',
      LogicalResourceId: logicalId,
      ...(request === 'Create' ? {} : { PhysicalResourceId: this.#physicalId }),
      ResourceProperties: { ServiceToken: serviceToken, ...properties },
      ...(oldProperties === undefined
        ? {}
        : { OldResourceProperties: { ServiceToken: serviceToken, ...oldProperties } }),
    });
    const deliveries = Array.from({ length: times }, () => this.#invoke(serviceToken, event));
    this.#invocations.push(...deliveries);
    return { request, ...(await this.#answers.answerTo(RequestId)) };
  }

  async #invoke(serviceToken: string, event: string): Promise<void> {
    for (let attempt = 0; attempt <= ASYNC_RETRIES && !this.#stopped; attempt++) {
      const { kind } = await this.#aws.functions.invoke(serviceToken, event);
      if (kind === 'returned') return;
    }
  }
}

/** CloudFormation sends every property as text. */
function asStrings(properties: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(properties).map(([name, value]) => [name, String(value)]));
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
