import { withClient } from './with-client.ts';

/** The application's queries, and the example's index for each. */
export const QUERIES: readonly { readonly sql: string; readonly index: string }[] = [
  {
    sql: 'select content from messages where user_id = 42 order by created_at desc limit 20',
    index: 'idx_messages_user_created',
  },
  {
    sql: 'select count(*) from messages where user_id = 42 and read_at is null',
    index: 'idx_messages_unread',
  },
  {
    sql: "select id from messages where to_tsvector('simple', content) @@ to_tsquery('simple', 'w123 & w456')",
    index: 'idx_messages_content_search',
  },
  { sql: "select count(*) from saved_words where lower(word) = 'w41'", index: 'idx_saved_words_word_lower' },
  {
    sql: "select id from saved_words where user_id = 42 and language = 'en' and word = 'W41'",
    index: 'idx_saved_words_user_word',
  },
  { sql: "select id from users where lower(email) = 'user42@example.com'", index: 'idx_users_email_lower' },
  {
    sql: 'select user_id from daily_stats where day = current_date - 1 order by minutes desc limit 10',
    index: 'idx_daily_stats_day_minutes',
  },
  {
    sql: 'select messages, last_message_at from user_activity where user_id = 42',
    index: 'idx_user_activity_user',
  },
  {
    sql: "select learners from popular_words where language = 'en' and word = 'w41'",
    index: 'idx_popular_words_language_word',
  },
];

export interface QueryResult {
  readonly sql: string;
  readonly index: string;
  readonly usesIndex: boolean;
}

/** Checks in Postgres whether each query uses its index now. */
export function explainQueries(url: string): Promise<QueryResult[]> {
  return withClient(url, async (client) => {
    await client.query('analyze');
    const results: QueryResult[] = [];
    for (const { sql, index } of QUERIES) {
      const { rows } = await client.query<{ 'QUERY PLAN': unknown }>(`explain (format json) ${sql}`);
      results.push({ sql, index, usesIndex: JSON.stringify(rows).includes(`"Index Name":"${index}"`) });
    }
    return results;
  });
}
