import { AsyncLocalStorage } from 'node:async_hooks';

/** The time that an execution runs in: real or virtual. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Runs something in this time. */
  run<T>(work: () => Promise<T>): Promise<T>;
  /** Runs something that takes real time; a virtual clock stands still meanwhile. */
  real<T>(work: () => Promise<T>): Promise<T>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  run: (work) => work(),
  real: (work) => work(),
};

interface VirtualTimer {
  readonly dueAt: number;
  readonly fire: () => void;
}

/** The clock of the running code, wherever it was called from. */
const currentClock = new AsyncLocalStorage<VirtualClock>();
const realSetTimeout = globalThis.setTimeout;
const realClearTimeout = globalThis.clearTimeout;
const realSetImmediate = globalThis.setImmediate;

/**
 * A discrete-event simulation of time: timers inside `run` take no real time; when everything waits, the clock
 * jumps to the earliest timer. Days pass in a second, and what runs side by side stays in
 * order.
 *
 * A library that waits calls the global setTimeout, so that is replaced while a clock runs, and the
 * replacement looks at its caller: outside `run`, and inside `real`, it is the real one.
 */
export class VirtualClock implements Clock {
  #now: number;
  #timers: VirtualTimer[] = [];
  #busy = 0;
  #onIdle = (): void => {};
  #runs = 0;
  #turning = false;
  #stuck: ((error: Error) => void)[] = [];

  constructor(startAt = Date.UTC(2026, 0, 1)) {
    this.#now = startAt;
  }

  now(): number {
    return this.#now;
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => void this.setTimer(resolve, milliseconds));
  }

  setTimer(fire: () => void, milliseconds: number): VirtualTimer {
    const timer = { dueAt: this.#now + Math.max(0, milliseconds), fire };
    // After all others due at the same moment: first come, first served.
    const place = this.#timers.findIndex(({ dueAt }) => dueAt > timer.dueAt);
    this.#timers.splice(place === -1 ? this.#timers.length : place, 0, timer);
    return timer;
  }

  cancelTimer(timer: VirtualTimer): void {
    const place = this.#timers.indexOf(timer);
    if (place !== -1) this.#timers.splice(place, 1);
  }

  async real<T>(work: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await currentClock.exit(work);
    } finally {
      if (--this.#busy === 0) this.#onIdle();
    }
  }

  /** @throws Error when everything waits for something other than time */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const stuck = new Promise<never>((_, reject) => this.#stuck.push(reject));
    stuck.catch(() => {});
    const release = takeOverTimers();
    this.#runs++;
    if (!this.#turning) void this.#turnHands();
    try {
      return await Promise.race([currentClock.run(this, work), stuck]);
    } finally {
      this.#runs--;
      release();
    }
  }

  async #turnHands(): Promise<void> {
    this.#turning = true;
    for (;;) {
      await this.#quiet();
      if (this.#runs === 0) break;
      const next = this.#timers[0];
      if (next === undefined) {
        const error = new Error(
          'The simulation stands still: everything waits, and nothing for a moment in time.',
        );
        for (const reject of this.#stuck) reject(error);
        break;
      }
      this.#now = next.dueAt;
      const due = this.#timers.filter(({ dueAt }) => dueAt <= this.#now);
      this.#timers = this.#timers.slice(due.length);
      for (const { fire } of due) currentClock.run(this, fire);
    }
    this.#turning = false;
    this.#stuck = [];
  }

  /** Resolves when nothing can continue until time passes. */
  async #quiet(): Promise<void> {
    for (;;) {
      // Before an immediate runs, all promises that can be resolved are.
      await new Promise((resolve) => realSetImmediate(resolve));
      if (this.#busy === 0) return;
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
  }
}

const clocksRunning = { count: 0 };
const virtualTimers = new WeakMap<object, VirtualClock>();

/** Returns a function that restores them. */
function takeOverTimers(): () => void {
  if (clocksRunning.count++ === 0) {
    globalThis.setTimeout = Object.defineProperties(
      setTimeoutOfCaller,
      Object.getOwnPropertyDescriptors(realSetTimeout),
    ) as unknown as typeof realSetTimeout;
    globalThis.clearTimeout = clearTimeoutOfCaller as typeof realClearTimeout;
  }
  return () => {
    if (--clocksRunning.count > 0) return;
    globalThis.setTimeout = realSetTimeout;
    globalThis.clearTimeout = realClearTimeout;
  };
}

function setTimeoutOfCaller(
  fire: (...values: unknown[]) => void,
  milliseconds = 0,
  ...values: unknown[]
): object {
  const clock = currentClock.getStore();
  if (clock === undefined) return realSetTimeout(fire, milliseconds, ...values);
  const timer = clock.setTimer(() => fire(...values), milliseconds);
  virtualTimers.set(timer, clock);
  return timer;
}

function clearTimeoutOfCaller(timer: unknown): void {
  const clock = typeof timer === 'object' && timer !== null ? virtualTimers.get(timer) : undefined;
  if (clock === undefined) realClearTimeout(timer as NodeJS.Timeout);
  else clock.cancelTimer(timer as VirtualTimer);
}
