import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { AwsCloudFormation, xml } from './aws-cloudformation.ts';
import { AwsError } from './aws-error.ts';
import { AwsEvents } from './aws-events.ts';
import { AwsFunctions } from './aws-functions.ts';
import { AwsSecrets } from './aws-secrets.ts';
import { AwsStepFunctions } from './aws-step-functions.ts';
import { closeServer, listen } from './listen.ts';
import { localAccount } from './local-account.ts';

export type AwsService = 'secrets' | 'stepFunctions' | 'events' | 'functions' | 'cloudFormation';

export interface RecordedRequest {
  readonly service: AwsService;
  /** `GetSecretValue`, `Invoke`, … */
  readonly operation: string;
  /** As it was sent. */
  readonly body: string;
}

export interface PlannedFault {
  /** @default any */
  readonly operation?: string;
  /** How many calls fail. @default 1 */
  readonly count?: number;
  /** @default a throttle, which the SDK's clients retry */
  readonly fault?: AwsError;
}

export interface AwsEndpoint {
  readonly url: string;
  /** Points the SDK's clients here, in this process or in one that gets these variables. */
  readonly environment: Readonly<Record<string, string>>;
  readonly secrets: AwsSecrets;
  readonly stepFunctions: AwsStepFunctions;
  readonly events: AwsEvents;
  readonly functions: AwsFunctions;
  readonly cloudFormation: AwsCloudFormation;
  /** All calls, refused ones included, in order. */
  readonly requests: readonly RecordedRequest[];
  /** The next calls of that kind fail. */
  fail(planned: PlannedFault): void;
  /** Aborts what is running, and closes. */
  stop(): Promise<void>;
}

/** By the prefix of the X-Amz-Target header, for the services that speak AWS JSON. */
const TARGETS: Readonly<Record<string, Exclude<AwsService, 'functions' | 'cloudFormation'>>> = {
  secretsmanager: 'secrets',
  AWSStepFunctions: 'stepFunctions',
  AWSEvents: 'events',
};

/** Starts the endpoint, lends it to `work`, and ends it. */
export async function withAwsEndpoint<T>(work: (aws: AwsEndpoint) => Promise<T>): Promise<T> {
  const aws = await startAwsEndpoint();
  try {
    return await work(aws);
  } finally {
    await aws.stop();
  }
}

/** One HTTP server that implements, for the SDK's real clients, the few operations of AWS services that we call. */
export async function startAwsEndpoint(): Promise<AwsEndpoint> {
  const secrets = new AwsSecrets();
  const stepFunctions = new AwsStepFunctions();
  const events = new AwsEvents();
  const functions = new AwsFunctions();
  const cloudFormation = new AwsCloudFormation();
  const json = { secrets, stepFunctions, events };
  const requests: RecordedRequest[] = [];
  const planned: { operation: string | undefined; left: number; fault: AwsError | undefined }[] = [];

  const record = (request: RecordedRequest): void => {
    requests.push(request);
    const due = planned.find(
      ({ operation, left }) => left > 0 && (operation ?? request.operation) === request.operation,
    );
    if (due === undefined) return;
    due.left--;
    throw due.fault ?? throttle(request.service);
  };

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await textOf(request);
    const call = request.headers['x-amz-target'];
    if (typeof call === 'string') {
      const [target = '', operation = ''] = call.split('.');
      const service = TARGETS[target];
      if (service === undefined)
        throw new AwsError('UnknownOperationException', `${call} is not supported here.`);
      record({ service, operation, body });
      return send(response, 200, JSON.stringify(json[service].handle(operation, JSON.parse(body))));
    }
    if (request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true) {
      const query = new URLSearchParams(body);
      record({ service: 'cloudFormation', operation: query.get('Action') ?? '', body });
      const answered = cloudFormation.handle(query);
      response.writeHead(200, { 'Content-Type': 'text/xml' }).end(answered);
      return;
    }
    const path = /^\/2015-03-31\/functions\/([^/?]+)(\/invocations)?/.exec(request.url ?? '');
    const name = path?.[1];
    if (name === undefined)
      throw new AwsError('UnknownOperationException', `${request.url} is not supported here.`, 404);
    const operation = path?.[2] === undefined ? 'GetFunction' : 'Invoke';
    record({ service: 'functions', operation, body });
    const nameOrArn = decodeURIComponent(name);
    if (operation === 'GetFunction')
      return send(response, 200, JSON.stringify(functions.describe(nameOrArn)));
    const type = request.headers['x-amz-invocation-type'] ?? 'RequestResponse';
    const running = functions.invoke(nameOrArn, body);
    if (type === 'Event') {
      running.catch(() => {});
      return send(response, 202, '');
    }
    const { kind, payload } = await running;
    if (kind === 'threw') response.setHeader('X-Amz-Function-Error', 'Unhandled');
    response.setHeader('X-Amz-Executed-Version', '$LATEST');
    send(response, 200, payload);
  };

  const server = createServer((request, response) => {
    response.setHeader('x-amzn-RequestId', randomUUID());
    answer(request, response).catch((error: unknown) => {
      const query = request.headers['content-type']?.startsWith('application/x-www-form-urlencoded') === true;
      if (query) sendQueryFault(response, asFault(error));
      else sendFault(response, asFault(error));
    });
  });
  const url = `http://127.0.0.1:${await listen(server)}`;
  return {
    url,
    environment: environmentFor(url),
    secrets,
    stepFunctions,
    events,
    functions,
    cloudFormation,
    requests,
    fail: ({ operation, count = 1, fault }) => void planned.push({ operation, left: count, fault }),
    stop: async () => {
      stepFunctions.abortAll();
      const closed = closeServer(server);
      server.closeAllConnections();
      await closed;
    },
  };
}

function environmentFor(url: string): Record<string, string> {
  return {
    AWS_ENDPOINT_URL_SECRETS_MANAGER: url,
    AWS_ENDPOINT_URL_SFN: url,
    AWS_ENDPOINT_URL_EVENTBRIDGE: url,
    AWS_ENDPOINT_URL_LAMBDA: url,
    AWS_ENDPOINT_URL_CLOUDFORMATION: url,
    AWS_REGION: localAccount.region,
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
  };
}

function throttle(service: AwsService): AwsError {
  return service === 'functions'
    ? new AwsError('TooManyRequestsException', 'Rate Exceeded.', 429)
    : new AwsError('ThrottlingException', 'Rate exceeded');
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Type': 'application/x-amz-json-1.1' }).end(body);
}

function asFault(error: unknown): AwsError {
  return error instanceof AwsError ? error : new AwsError('InternalFailure', String(error), 500);
}

function sendFault(response: ServerResponse, fault: AwsError): void {
  response.setHeader('x-amzn-ErrorType', fault.type);
  send(response, fault.status, JSON.stringify({ __type: fault.type, message: fault.message }));
}

/** An error in the query protocol's form. */
function sendQueryFault(response: ServerResponse, { type, message, status }: AwsError): void {
  const error = xml('Error', [xml('Type', 'Sender'), xml('Code', type), xml('Message', message)]);
  response.writeHead(status, { 'Content-Type': 'text/xml' }).end(xml('ErrorResponse', [error]));
}
