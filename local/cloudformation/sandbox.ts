import { Worker } from 'node:worker_threads';

export interface SandboxOptions {
  /** Directory of the function's code. */
  readonly directory: string;
  /** `file.export`, as Lambda names it. */
  readonly handler: string;
  /** The function's whole environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
  /** Where answers to CloudFormation go: requests to this host are sent to this port of 127.0.0.1. */
  readonly answers: { readonly host: string; readonly port: number };
  /** Gets each line that the function logs. */
  readonly log: (line: string) => void;
}

interface Reply {
  readonly id: number;
  readonly payload?: string;
  readonly error?: { readonly type: string; readonly message: string; readonly stack?: string };
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/**
 * What Lambda runs a function in: its own thread, with its own environment and its own copies of all modules,
 * that is kept warm from one event to the next, and can be killed at any moment.
 */
export class Sandbox {
  readonly #options: SandboxOptions;
  #worker: Worker | undefined;
  #next = 1;
  readonly #waiting = new Map<number, Waiting>();

  constructor(options: SandboxOptions) {
    this.#options = options;
  }

  /** Events that it has not answered yet. */
  get busy(): number {
    return this.#waiting.size;
  }

  invoke(event: unknown): Promise<unknown> {
    this.#worker ??= this.#start();
    const id = this.#next++;
    const milliseconds = this.#options.timeoutSeconds * 1000;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker?.postMessage({ id, payload: JSON.stringify(event ?? {}), milliseconds });
    });
  }

  /** This much time passes at once for the function, as between two events of a waiting deploy. */
  passTime(milliseconds: number): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage({ passed: milliseconds });
  }

  /** Ends it at any point, as a crash or Lambda's timeout does. The next event gets a new one. */
  async kill(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
    for (const { reject } of this.#waiting.values()) reject(killed());
    this.#waiting.clear();
  }

  #start(): Worker {
    const { directory, handler, environment, answers, log } = this.#options;
    const worker = new Worker(new URL('sandbox-worker.mjs', import.meta.url), {
      workerData: { directory, handler, answers },
      env: { ...environment },
      execArgv: [],
      stdout: true,
      stderr: true,
    });
    worker.unref();
    for (const stream of [worker.stdout, worker.stderr]) readLines(stream, log);
    worker.on('message', ({ id, payload, error }: Reply) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(JSON.parse(payload ?? 'null'));
      else waiting?.reject(asError(error));
    });
    worker.on('error', (error) => log(`sandbox ended: ${error.stack ?? error.message}`));
    return worker;
  }
}

function readLines(stream: NodeJS.ReadableStream, log: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = `${rest}${chunk}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) log(line);
  });
}

function asError({ type, message, stack }: NonNullable<Reply['error']>): Error {
  const error = new Error(message);
  error.name = type;
  error.stack = stack ?? '';
  return error;
}

/** A failure as Lambda words it. */
function killed(): Error {
  const error = new Error('RequestId: 00000000 Error: Runtime exited with error: signal: killed');
  error.name = 'Runtime.ExitError';
  error.stack = '';
  return error;
}
