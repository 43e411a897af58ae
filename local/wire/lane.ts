import type { Duplex } from 'node:stream';

interface Errand {
  readonly dueAt: number;
  readonly run: () => void;
  readonly evenIfDropped?: boolean;
}

/** One direction of a relayed connection: everything arrives in order, `latencyMilliseconds` later than it was sent. */
export class Lane {
  readonly #source: Duplex;
  readonly #sink: Duplex;
  readonly #latency: number;
  #queue: Errand[] = [];
  #timer: NodeJS.Timeout | undefined;
  #stalled = false;

  constructor(source: Duplex, sink: Duplex, latencyMilliseconds: number) {
    this.#source = source;
    this.#sink = sink;
    this.#latency = latencyMilliseconds;
  }

  send(bytes: Buffer, extraMilliseconds = 0): void {
    this.afterwards(() => {
      if (this.#sink.writable && !this.#sink.write(bytes)) this.#waitForDrain();
    }, extraMilliseconds);
  }

  /** Resolves when all that was sent before has arrived, or was dropped. */
  settled(): Promise<void> {
    return new Promise((run) => this.#enqueue({ run, evenIfDropped: true }));
  }

  /** Does something after all that was sent before has arrived. */
  afterwards(run: () => void, extraMilliseconds = 0): void {
    this.#enqueue({ run }, extraMilliseconds);
  }

  #enqueue(errand: Omit<Errand, 'dueAt'>, extraMilliseconds = 0): void {
    const delay = this.#latency + extraMilliseconds;
    if (delay === 0 && this.#queue.length === 0 && !this.#stalled) {
      errand.run();
      return;
    }
    // Kept in the order sent: one that is due before its predecessor waits for it.
    this.#queue.push({ ...errand, dueAt: Date.now() + delay });
    this.#schedule();
  }

  stall(): void {
    this.#stalled = true;
  }

  release(): void {
    this.#stalled = false;
    this.#schedule();
  }

  /** Forgets what has not arrived. */
  drop(): void {
    clearTimeout(this.#timer);
    const dropped = this.#queue;
    this.#queue = [];
    this.#stalled = false;
    for (const { run, evenIfDropped } of dropped) if (evenIfDropped) run();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const next = this.#queue[0];
    if (next === undefined || this.#stalled) return;
    this.#timer = setTimeout(() => this.#runDue(), Math.max(0, next.dueAt - Date.now()));
  }

  #runDue(): void {
    const now = Date.now();
    for (let next = this.#queue[0]; next !== undefined && next.dueAt <= now; next = this.#queue[0]) {
      this.#queue.shift();
      next.run();
    }
    this.#schedule();
  }

  #waitForDrain(): void {
    this.#source.pause();
    this.#sink.once('drain', () => this.#source.resume());
  }
}
