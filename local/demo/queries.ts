import pg from 'pg';

/** What the application asks, and the index of the example that is there for it. */
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
  { sql: "select count(*) from saved_words where lower(word) = 'w77'", index: 'idx_saved_words_word_lower' },
  {
    sql: "select id from saved_words where user_id = 42 and language = 'en' and word = 'W77'",
    index: 'idx_saved_words_user_word',
  },
  { sql: "select id from users where lower(email) = 'user42@example.com'", index: 'idx_users_email_lower' },
];

export interface QueryResult {
  readonly sql: string;
  readonly index: string;
  readonly usesIndex: boolean;
}

/** Asks Postgres itself whether each query goes through its index now. */
export async function explainQueries(url: string): Promise<QueryResult[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query('analyze');
    const results: QueryResult[] = [];
    for (const { sql, index } of QUERIES) {
      const { rows } = await client.query<{ 'QUERY PLAN': unknown }>(`explain (format json) ${sql}`);
      results.push({ sql, index, usesIndex: JSON.stringify(rows).includes(`"${index}"`) });
    }
    return results;
  } finally {
    await client.end();
  }
}

/** How many rows the tables hold, as ANALYZE counted them. */
export async function tableRows(url: string): Promise<Map<string, number>> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows } = await client.query<{ name: string; count: number }>(
      `select relname as name, reltuples::float8 as count from pg_class
        where relkind in ('r', 'm') and relnamespace = 'public'::regnamespace`,
    );
    return new Map(rows.map(({ name, count }) => [name, Math.round(count)]));
  } finally {
    await client.end();
  }
}
