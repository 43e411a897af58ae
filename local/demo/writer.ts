import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

export interface WriterResult {
  readonly writes: number;
  readonly failed: number;
  readonly slowestMs: number;
}

/** An application that keeps writing while the deploy goes on: inserts and updates, each timed. */
export class Writer {
  #writes = 0;
  #failed = 0;
  #slowest = 0;
  #stopped = false;
  #running: Promise<void> | undefined;
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  start(): void {
    this.#running = Promise.all([this.#write(1), this.#write(2)]).then(() => undefined);
  }

  get result(): WriterResult {
    return { writes: this.#writes, failed: this.#failed, slowestMs: Math.round(this.#slowest * 10) / 10 };
  }

  async stop(): Promise<WriterResult> {
    this.#stopped = true;
    await this.#running;
    return this.result;
  }

  async #write(number: number): Promise<void> {
    let client: pg.Client | undefined;
    for (let turn = 0; !this.#stopped; turn += 1) {
      try {
        client ??= await this.#connect();
        await this.#timed(client, turn, number);
      } catch {
        this.#failed += 1;
        await client?.end().catch(() => undefined);
        client = undefined;
        await sleep(100);
      }
      await sleep(5);
    }
    await client?.end().catch(() => undefined);
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#url, application_name: 'the application' });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async #timed(client: pg.Client, turn: number, number: number): Promise<void> {
    const user = 1 + ((turn * 7 + number) % 100);
    const begun = performance.now();
    if (turn % 2 === 0) {
      await client.query(`insert into messages (user_id, role, content) values ($1, 'user', 'w1 w2 w3')`, [
        user,
      ]);
    } else {
      await client.query('update messages set read_at = now() where id = $1', [1 + turn * 2 + number]);
    }
    this.#slowest = Math.max(this.#slowest, performance.now() - begun);
    this.#writes += 1;
  }
}
