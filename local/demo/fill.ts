import type pg from 'pg';
import { withClient } from './with-client.ts';

/** Rows inserted by one statement: small enough that an interrupted one is soon over. */
const CHUNK = 100_000;

/** Days of which each user has statistics. */
const DAYS = 5;

/**
 * Fills the example's tables as a few years of use would have: so many messages, and the rest in proportion. Resolves
 * with the number of rows by table.
 *
 * @param adminUrl of a superuser
 */
export function fill(adminUrl: string, rows: number): Promise<Readonly<Record<string, number>>> {
  const users = Math.max(100, Math.round(rows / 20));
  const savedWords = Math.round(rows * 0.6);
  return withClient(adminUrl, async (client) => {
    // The rows are made to fit; to look up each one's user would take most of the time.
    await client.query('set session_replication_role = replica');
    await client.query(
      `insert into users (email, display_name)
       select 'User' || n || '@example.com', 'User ' || n from generate_series(1, $1::int) as n`,
      [users],
    );
    await fillMessages(client, rows, users);
    // A dozen words each, no word twice, so that the unique index can be built.
    await client.query(
      `insert into saved_words (user_id, language, word)
       select 1 + n % $2::int, case (n / $2) % 2 when 0 then 'en' else 'de' end,
              'W' || ((n / $2) * 167 + n % $2) % 5000
         from generate_series(0, $1::int - 1) as n`,
      [savedWords, users],
    );
    await client.query(
      `insert into daily_stats (user_id, day, messages, minutes)
       select user_id, current_date - day, user_id % 30, user_id % 60
         from generate_series(1, $1::int) as user_id, generate_series(1, $2::int) as day`,
      [users, DAYS],
    );
    return { users, messages: rows, 'saved words': savedWords, 'daily stats': users * DAYS };
  });
}

async function fillMessages(client: pg.Client, rows: number, users: number): Promise<void> {
  for (let done = 0; done < rows; done += CHUNK) {
    await client.query(
      `insert into messages (user_id, role, content, created_at, read_at)
       select 1 + n % $3::int, case (n / $3) % 2 when 0 then 'user' else 'assistant' end,
              'w' || n % 5000 || ' w' || (n * 7) % 4999 || ' w' || (n * 13) % 4987,
              now() - make_interval(secs => n), case when n % 20 = 0 then null else now() end
         from generate_series($1::bigint, $2::bigint) as n`,
      [done + 1, Math.min(done + CHUNK, rows), users],
    );
  }
}
