import { withClient } from './with-client.ts';

/** The example's tables and indexes, as they are in Postgres at the end. */
export interface TablesSeen {
  /** Rows by the table's name, as ANALYZE estimated them. */
  readonly rows: ReadonlyMap<string, number>;
  /** Names of indexes that are not valid, whoever made them. */
  readonly invalidIndexes: readonly string[];
}

export function seeTables(url: string): Promise<TablesSeen> {
  return withClient(url, async (client) => {
    const tables = await client.query<{ name: string; count: number }>(
      `select relname as name, reltuples::float8 as count
         from pg_class
        where relkind in ('r', 'm') and relnamespace = 'public'::regnamespace`,
    );
    const invalid = await client.query<{ name: string }>(
      'select indexrelid::regclass::text as name from pg_index where not indisvalid',
    );
    return {
      rows: new Map(tables.rows.map(({ name, count }) => [name, Math.round(count)])),
      invalidIndexes: invalid.rows.map(({ name }) => name),
    };
  });
}
