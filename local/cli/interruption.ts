import { setTimeout as sleep } from 'node:timers/promises';
import { type ExitCode, exitCode } from './exit-code.ts';

/** Ctrl-C, or the end of the terminal. */
export class Interrupted extends Error {
  readonly exitCode: ExitCode;

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`);
    this.exitCode = signal === 'SIGINT' ? exitCode.interrupted : exitCode.terminated;
  }
}

/** npm and tsx pass a terminal's Ctrl-C on, so one press may come twice, a moment apart. */
const ECHO_MILLISECONDS = 300;

export interface InterruptibleOptions {
  /** How long to wait for work that was asked to stop. @default until it has stopped */
  readonly graceMilliseconds?: number;
}

/**
 * Runs work that a person may interrupt: the first signal asks it to stop, the second ends the process at once.
 * Throws Interrupted.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  { graceMilliseconds }: InterruptibleOptions = {},
): Promise<T> {
  const controller = new AbortController();
  const { signal } = controller;
  let since = 0;
  const onSignal = (name: NodeJS.Signals) => {
    const interrupted = new Interrupted(name);
    if (!signal.aborted) {
      since = Date.now();
      controller.abort(interrupted);
    } else if (Date.now() - since > ECHO_MILLISECONDS) process.exit(interrupted.exitCode);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const overdue = new Promise<never>((_, reject) => {
    if (graceMilliseconds === undefined) return;
    signal.addEventListener('abort', () => {
      sleep(graceMilliseconds, undefined, { ref: false }).then(() => reject(signal.reason), reject);
    });
  });
  try {
    return await Promise.race([work(signal), overdue]);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    // Stays in place after an interruption, so that a second signal can end the final output, too.
    if (!signal.aborted) {
      process.off('SIGINT', onSignal);
      process.off('SIGTERM', onSignal);
    }
  }
}

/**
 * Rejects as soon as the signal fires; the work can be abandoned at any point, since it could also be killed at any
 * point.
 */
export async function leftAtSignal<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  if (signal === undefined) return work();
  signal.throwIfAborted();
  let leave: () => void = () => undefined;
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
  });
  const working = work();
  working.catch(() => undefined);
  try {
    return await Promise.race([working, left]);
  } finally {
    signal.removeEventListener('abort', leave);
  }
}
