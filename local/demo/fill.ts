import { withClient } from './with-client.ts';

/** Rows inserted by one statement: small enough that an interrupted one is soon over, and that a bar moves. */
const CHUNK = 50_000;

/** Days of which each user has statistics. */
const DAYS = 5;

interface Filling {
  readonly name: string;
  readonly rows: number;
  /** Inserts the rows from $1 to $2. */
  readonly insert: string;
}

/** So many messages, and the rest in proportion, as a few years of use would have it. */
function fillings(messages: number): readonly Filling[] {
  const users = Math.max(100, Math.round(messages / 20));
  return [
    {
      name: 'users',
      rows: users,
      insert: `insert into users (email, display_name)
               select 'User' || n || '@example.com', 'User ' || n from generate_series($1::int, $2::int) as n`,
    },
    {
      name: 'messages',
      rows: messages,
      insert: `insert into messages (user_id, role, content, created_at, read_at)
               select 1 + n % ${users}, case (n / ${users}) % 2 when 0 then 'user' else 'assistant' end,
                      'w' || n % 5000 || ' w' || (n * 7) % 4999 || ' w' || (n * 13) % 4987,
                      now() - make_interval(secs => n), case when n % 20 = 0 then null else now() end
                 from generate_series($1::bigint, $2::bigint) as n`,
    },
    {
      // A dozen words each, no word twice, so that the unique index can be built.
      name: 'saved words',
      rows: Math.round(messages * 0.6),
      insert: `insert into saved_words (user_id, language, word)
               select 1 + n % ${users}, case (n / ${users}) % 2 when 0 then 'en' else 'de' end,
                      'W' || ((n / ${users}) * 167 + n % ${users}) % 5000
                 from generate_series($1::int - 1, $2::int - 1) as n`,
    },
    {
      name: 'daily stats',
      rows: users * DAYS,
      insert: `insert into daily_stats (user_id, day, messages, minutes)
               select 1 + (n - 1) % ${users}, current_date - 1 - (n - 1) / ${users},
                      (1 + (n - 1) % ${users}) % 30, (1 + (n - 1) % ${users}) % 60
                 from generate_series($1::int, $2::int) as n`,
    },
  ];
}

/**
 * Fills the example's tables. Resolves with the number of rows by table.
 *
 * @param adminUrl of a superuser
 * @param progress gets the share that is done, from 0 to 1, and how many rows that are
 */
export function fill(
  adminUrl: string,
  messages: number,
  progress: (fraction: number, rows: number) => void,
): Promise<Readonly<Record<string, number>>> {
  const tables = fillings(messages);
  const all = tables.reduce((sum, { rows }) => sum + rows, 0);
  return withClient(adminUrl, async (client) => {
    // The rows are made to fit; to look up each one's user would take most of the time.
    await client.query('set session_replication_role = replica');
    let done = 0;
    for (const { rows, insert } of tables) {
      for (let first = 1; first <= rows; first += CHUNK) {
        progress(done / all, done);
        const last = Math.min(first + CHUNK - 1, rows);
        await client.query(insert, [first, last]);
        done += last - first + 1;
      }
    }
    progress(1, all);
    return Object.fromEntries(tables.map(({ name, rows }) => [name, rows]));
  });
}
