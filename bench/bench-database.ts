import pg from 'pg';
import { type EmbeddedPostgres, withEmbeddedPostgres } from '../local/postgres/embedded-postgres.ts';

/** The server that all contenders of a benchmark share: durable as in production, with nothing else running on it. */
export function withBenchServer<T>(work: (server: EmbeddedPostgres) => Promise<T>): Promise<T> {
  return withEmbeddedPostgres({ settings: { shared_buffers: '256MB', max_wal_size: '4GB' } }, work);
}

let databases = 0;

/** An empty database for one measurement, dropped afterwards. */
export async function withDatabase<T>(
  server: EmbeddedPostgres,
  work: (url: string) => Promise<T>,
): Promise<T> {
  databases += 1;
  const database = `bench_${databases}`;
  await query(server.url, `create database ${database} template template0`);
  // Otherwise the last measurement's dirty pages would be written during this one.
  await query(server.url, 'checkpoint');
  try {
    return await work(server.urlOf({ database }));
  } finally {
    await query(server.url, `drop database ${database} with (force)`);
  }
}

export async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const answer: pg.QueryResult | pg.QueryResult[] = await client.query(text);
    return (Array.isArray(answer) ? answer.at(-1)?.rows : answer.rows) ?? [];
  } finally {
    await client.end();
  }
}
