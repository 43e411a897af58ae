import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';

const writerResult = v.object({
  writes: v.number(),
  failed: v.number(),
  /** Of these, so many because the server was not there. */
  failedForServer: v.number(),
  /** Of those that did not fail. */
  slowestMs: v.number(),
  /** What the first write was told that failed for another reason. */
  firstFailure: v.optional(v.string()),
});

export type WriterResult = v.InferOutput<typeof writerResult>;

/**
 * An application that keeps writing while the deploy runs. It is a separate process, so that this one's load does
 * not look like a slow write.
 */
export class Writer {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  /** Resolves when it has written for the first time. */
  static async start(url: string): Promise<Writer> {
    const program = fileURLToPath(new URL('writer-process.ts', import.meta.url));
    const child = fork(program, { env: { ...process.env, WRITER_DATABASE_URL: url } });
    await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(() => Promise.reject(new Error('The writer ended before it wrote.'))),
    ]);
    return new Writer(child);
  }

  /** Lets the writes under way end. */
  async stop(): Promise<WriterResult> {
    const [answer] = await Promise.all([once(this.#process, 'message'), this.#process.send('stop')]);
    return v.parse(writerResult, answer[0]);
  }

  /** Ends it at once; does nothing where it has ended. */
  kill(): void {
    this.#process.kill('SIGKILL');
  }
}
