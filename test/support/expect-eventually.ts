import { setTimeout as sleep } from 'node:timers/promises';

export interface Patience {
  /** @default 10 seconds */
  readonly withinMilliseconds?: number;
  /** @default 20 */
  readonly everyMilliseconds?: number;
  /** What was expected, for the error. */
  readonly what?: string;
}

/**
 * Asks again until the answer is neither false, undefined nor null, and gives it. A condition that throws counts as not yet true, so
 * assertions can be used inside; the last one's error is the cause.
 *
 * @throws Error when the time is up.
 */
export async function expectEventually<T>(
  condition: () => T | Promise<T>,
  patience: Patience = {},
): Promise<Exclude<T, false | undefined | null>> {
  const { withinMilliseconds = 10_000, everyMilliseconds = 20, what = 'the condition' } = patience;
  const deadline = Date.now() + withinMilliseconds;
  for (;;) {
    let seen: unknown;
    try {
      const answer = await condition();
      if (answer !== false && answer !== undefined && answer !== null) {
        return answer as Exclude<T, false | undefined | null>;
      }
      seen = answer;
    } catch (error) {
      seen = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`Waited ${withinMilliseconds} ms in vain for ${what}; at the end: ${String(seen)}`, {
        cause: seen,
      });
    }
    await sleep(everyMilliseconds);
  }
}
