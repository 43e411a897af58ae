import { AwsError } from './aws-error.ts';
import { functionArn } from './local-account.ts';

/** A Lambda handler: what it returns must be JSON; what it throws becomes the function's error. */
export type FunctionHandler = (event: unknown) => unknown;

/** What Lambda answers to a synchronous invocation. */
export type FunctionAnswer =
  | { readonly kind: 'returned'; readonly payload: string }
  | { readonly kind: 'threw'; readonly payload: string };

/** Lambda's limit for the payload and the response of a synchronous invocation. */
const LARGEST_BYTES = 6 * 1024 * 1024;

/** Lambda: functions by name, run in this process. */
export class AwsFunctions {
  readonly #handlers = new Map<string, FunctionHandler>();
  readonly #running = new Set<Promise<unknown>>();

  /** Adds a function, or replaces its code. Returns its ARN. */
  register(name: string, handler: FunctionHandler): string {
    this.#handlers.set(name, handler);
    return functionArn(name);
  }

  /** Finds by name or ARN; a version or alias at its end is ignored. */
  async invoke(nameOrArn: string, payload: string): Promise<FunctionAnswer> {
    const handler = this.#handlers.get(nameOf(nameOrArn));
    if (handler === undefined) throw notFound(nameOrArn);
    const answer = runHandler(handler, payload);
    this.#running.add(answer);
    return answer.finally(() => this.#running.delete(answer));
  }

  describe(nameOrArn: string): object {
    const name = nameOf(nameOrArn);
    if (!this.#handlers.has(name)) throw notFound(nameOrArn);
    const configuration = { FunctionName: name, FunctionArn: functionArn(name), State: 'Active' };
    return { Configuration: { ...configuration, LastUpdateStatus: 'Successful' } };
  }

  /** Resolves when no function is running. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }
}

/** Values cross to a function and back as JSON, so nothing is shared with the caller. */
async function runHandler(handler: FunctionHandler, payload: string): Promise<FunctionAnswer> {
  try {
    const event: unknown = payload === '' ? {} : JSON.parse(payload);
    const returned = JSON.stringify((await handler(event)) ?? null);
    if (Buffer.byteLength(returned) > LARGEST_BYTES) {
      const errorMessage = `Response payload size exceeded maximum allowed payload size (${LARGEST_BYTES} bytes).`;
      return threw({ errorType: 'Function.ResponseSizeTooLarge', errorMessage });
    }
    return { kind: 'returned', payload: returned };
  } catch (error) {
    return threw(errorPayload(error));
  }
}

function threw(payload: object): FunctionAnswer {
  return { kind: 'threw', payload: JSON.stringify(payload) };
}

export interface ErrorPayload {
  readonly errorType: string;
  readonly errorMessage: string;
  readonly trace: readonly string[];
}

/** An error as Lambda's runtime for Node.js reports it. */
export function errorPayload(error: unknown): ErrorPayload {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error), trace: [] };
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') };
}

function nameOf(nameOrArn: string): string {
  return /(?:^|:)function:([^:]+)/.exec(nameOrArn)?.[1] ?? nameOrArn.replace(/:.*$/, '');
}

function notFound(nameOrArn: string): AwsError {
  const arn = functionArn(nameOf(nameOrArn));
  return new AwsError('ResourceNotFoundException', `Function not found: ${arn}`, 404);
}
