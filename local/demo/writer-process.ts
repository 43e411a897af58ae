import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/**
 * The program of `Writer`: an application with a few connections of its own. It reports its writes, stops on request,
 * and ends with the process that started it.
 */
const url = process.env.WRITER_DATABASE_URL;
const CONNECTIONS = 3;
/** Between two writes of one connection. */
const PAUSE_MILLISECONDS = 5;
const RECONNECT_MILLISECONDS = 100;

let writes = 0;
let failed = 0;
let failedForServer = 0;
let slowestMs = 0;
let firstFailure: string | undefined;
let stopping = false;

// Ctrl-C reaches every process of the terminal; the parent says when this one ends.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit());

interface Write {
  readonly sql: string;
  readonly values: readonly unknown[];
}

/**
 * What the application does, in turn: insert a message, mark an old one as read, save a word, update the daily count.
 */
function writeOf(turn: number, connection: number): Write {
  const user = 1 + ((turn * 7 + connection) % 100);
  switch (turn % 4) {
    case 0:
      return {
        sql: `insert into messages (user_id, role, content) values ($1, 'user', 'w1 w2 w3')`,
        values: [user],
      };
    case 1:
      return {
        sql: 'update messages set read_at = now() where id = $1',
        values: [1 + turn * CONNECTIONS + connection],
      };
    case 2:
      return {
        sql: `insert into saved_words (user_id, language, word) values ($1, 'fr', $2)`,
        values: [user, `mot ${connection} ${turn}`],
      };
    default:
      return {
        sql: `insert into daily_stats (user_id, day, messages) values ($1, current_date, 1)
              on conflict (user_id, day) do update set messages = daily_stats.messages + 1`,
        values: [user],
      };
  }
}

async function keepWriting(connection: number): Promise<void> {
  let client: pg.Client | undefined;
  for (let turn = 0; !stopping; turn += 1) {
    try {
      client ??= await connect();
      const { sql, values } = writeOf(turn, connection);
      const begun = performance.now();
      await client.query(sql, [...values]);
      slowestMs = Math.max(slowestMs, performance.now() - begun);
      writes += 1;
      if (writes === 1) process.send?.('writing');
      await sleep(PAUSE_MILLISECONDS);
    } catch (error) {
      failed += 1;
      if (isServerGone(error)) failedForServer += 1;
      else firstFailure ??= error instanceof Error ? error.message : String(error);
      await client?.end().catch(() => undefined);
      client = undefined;
      await sleep(RECONNECT_MILLISECONDS);
    }
  }
  await client?.end().catch(() => undefined);
}

/** The server ended the session, is not there, or is starting: class 57P of SQLSTATE, or no answer at all. */
function isServerGone(error: unknown): boolean {
  const code = error instanceof pg.DatabaseError ? error.code : undefined;
  return code === undefined || code.startsWith('57P');
}

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'the application' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

const writing = Promise.all(Array.from({ length: CONNECTIONS }, (_, connection) => keepWriting(connection)));

process.on('message', async () => {
  stopping = true;
  await writing;
  const result = {
    writes,
    failed,
    failedForServer,
    slowestMs: Math.round(slowestMs * 10) / 10,
    firstFailure,
  };
  process.send?.(result, () => process.exit());
});
