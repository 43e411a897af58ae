import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

export interface Writes {
  readonly writes: number;
  readonly failed: number;
  readonly slowestMilliseconds: number;
}

/** Sessions that insert and update as an application does, until `work` is done. */
export async function writingDuring(url: string, work: () => Promise<unknown>): Promise<Writes> {
  let [writes, failed, slowest, writing] = [0, 0, 0, true];
  const writer = async (random: () => number) => {
    const client = new pg.Client({ connectionString: url, application_name: 'writer' });
    await client.connect();
    try {
      while (writing) {
        const [text, values] =
          random() < 0.5
            ? [
                `insert into messages (user_id, role, body, created_at) values ($1, 'user', 'written', now())`,
                [7],
              ]
            : [`update messages set body = 'changed' where id = $1`, [1 + Math.floor(random() * 1000)]];
        const begun = performance.now();
        await client.query({ text: text as string, values: values as number[] }).catch(() => {
          failed += 1;
        });
        slowest = Math.max(slowest, performance.now() - begun);
        writes += 1;
        await sleep(2);
      }
    } finally {
      await client.end();
    }
  };
  const writers = [writer(seeded(1)), writer(seeded(2))];
  try {
    await work();
  } finally {
    writing = false;
    await Promise.all(writers);
  }
  return { writes, failed, slowestMilliseconds: slowest };
}

/** The same choices in each measurement. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}
