import pg from 'pg';

/** Whether a session that begins after this may begin with something else. */
export function changesSessions(sql: string): boolean {
  return /\balter\s+(?:role|user|database|system)\b|\bpg_reload_conf\b/i.test(sql);
}

/**
 * Sessions of one role in one database, each question in one that is as if it were new. They are kept, since to make one
 * costs client and server twelve milliseconds of processor time, and tests ask ten thousand questions.
 */
export class KeptSessions {
  readonly #url: string;
  readonly #idle = new Set<pg.Client>();

  constructor(url: string) {
    this.#url = url;
  }

  /** One statement or several, of which it gives the rows of the last. */
  async query<Row extends pg.QueryResultRow>(sql: string, values?: readonly unknown[]): Promise<Row[]> {
    const [kept] = this.#idle;
    if (kept !== undefined) {
      this.#idle.delete(kept);
      try {
        return await this.#ask<Row>(kept, sql, values);
      } catch (error) {
        // It was ended meanwhile, as its server may have been.
        if (error instanceof pg.DatabaseError && error.code !== '57P01') throw error;
      }
    }
    const client = new pg.Client({ connectionString: this.#url, application_name: 'test' });
    client.on('error', () => this.#idle.delete(client));
    await client.connect();
    return this.#ask(client, sql, values);
  }

  async #ask<Row extends pg.QueryResultRow>(
    client: pg.Client,
    sql: string,
    values?: readonly unknown[],
  ): Promise<Row[]> {
    try {
      const answer: pg.QueryResult<Row> | pg.QueryResult<Row>[] = await client.query<Row>(
        sql,
        values && [...values],
      );
      return (Array.isArray(answer) ? answer.at(-1)?.rows : answer.rows) ?? [];
    } finally {
      // Not within a transaction that the question has left open: such a session ends.
      await client.query('discard all').then(
        () => this.#idle.add(client),
        () => client.end().catch(() => {}),
      );
      if (changesSessions(sql)) await this.end();
    }
  }

  /** Ends those that are idle; another question gets a new one. */
  async end(): Promise<void> {
    const idle = [...this.#idle];
    this.#idle.clear();
    await Promise.all(idle.map((client) => client.end().catch(() => {})));
  }
}
