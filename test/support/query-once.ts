import pg from 'pg';

/** An empty database of the shared server, of which each test has a copy. */
export const TEMPLATE = 'test_template';

/** Connects, asks, disconnects. Of several statements it gives the rows of the last. */
export function queryOnce<Row extends pg.QueryResultRow>(
  url: string,
  sql: string,
  values?: readonly unknown[],
): Promise<Row[]> {
  return withClient(url, async (client) => {
    const answer: pg.QueryResult<Row> | pg.QueryResult<Row>[] = await client.query<Row>(
      sql,
      values && [...values],
    );
    return (Array.isArray(answer) ? answer.at(-1)?.rows : answer.rows) ?? [];
  });
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'test' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
