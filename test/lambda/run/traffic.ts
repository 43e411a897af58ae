import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** A table of the application, or a materialized view, which it only reads. */
export interface UsedTable {
  readonly name: string;
  /** A column that it may write; absent where it only reads. */
  readonly column: string | undefined;
}

/** The relations among these that are there, an index standing for its table. */
export async function usedTables(client: pg.Client, names: readonly string[]): Promise<UsedTable[]> {
  const { rows } = await client.query<{ name: string; column: string | null }>(
    `select distinct t.oid::regclass::text as name,
            (select quote_ident(attname) from pg_attribute
              where attrelid = t.oid and attnum > 0 and attidentity = '' and attgenerated = ''
                and not attisdropped and t.relkind = 'r'
              order by attnum limit 1) as column
       from unnest($1::text[]) as asked (name)
       join pg_class c on c.oid = to_regclass(asked.name)
       left join pg_index i on i.indexrelid = c.oid
       join pg_class t on t.oid = coalesce(i.indrelid, c.oid)
      order by 1`,
    [names],
  );
  return rows.map(({ name, column }) => ({ name, column: column ?? undefined }));
}

export async function connected(url: string, name: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: name });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Reads each table, and writes its first row, in a transaction that it leaves open. Gives its process's id. */
export async function holdOpen(client: pg.Client, tables: readonly UsedTable[]): Promise<number> {
  await client.query('begin');
  for (const { name, column } of tables) {
    await client.query(`select count(*) from ${name}`);
    if (column === undefined) continue;
    await client.query(
      `update ${name} set ${column} = ${column} where ctid = (select min(ctid) from ${name})`,
    );
  }
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid ?? 0;
}

/** What an application noticed. */
export interface Noticed {
  readonly statements: number;
  readonly failures: readonly string[];
}

/**
 * A writer and a reader that go on and on, each in a session of its own. The writer leaves the first row alone. Each
 * statement fails that waits for a lock longer than `patience` milliseconds, by the server's clock: it starts together
 * with that of whoever stands in front, so that a busy machine delays both alike.
 */
export async function traffic(
  url: string,
  tables: readonly UsedTable[],
  patience: number,
): Promise<() => Promise<Noticed[]>> {
  let over = false;
  const go = async (name: string, statements: readonly string[]): Promise<Noticed> => {
    const client = await connected(url, name);
    await client.query(`set lock_timeout = ${patience}`);
    const failures: string[] = [];
    let count = 0;
    while (!over) {
      for (const statement of statements) {
        await client
          .query(statement)
          .catch((error: Error) => failures.push(`${statement}: ${error.message}`));
        count += 1;
      }
      await sleep(10);
    }
    await client.end();
    return { statements: count, failures };
  };
  const writes = tables.flatMap(({ name, column }) =>
    column === undefined
      ? []
      : [`update ${name} set ${column} = ${column} where ctid = (select max(ctid) from ${name})`],
  );
  const both = [
    go(
      'reader',
      tables.map(({ name }) => `select * from ${name} limit 3`),
    ),
    ...(writes.length === 0 ? [] : [go('writer', writes)]),
  ];
  return () => {
    over = true;
    return Promise.all(both);
  };
}
