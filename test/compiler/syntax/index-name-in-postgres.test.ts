import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CreateIndex } from '../../../lambda/migration/migration.ts';
import { createDatabase, type FreshDatabase } from '../../support/fresh-database.ts';
import { compileStatement } from '../compile-text.ts';
import { isNewerThanServer, NEWER_REFUSED } from './newer-syntax.ts';

const LONG = 'a_table_with_a_name_that_is_so_long_that_nothing_more_fits';
const UMLAUTS = 'ä'.repeat(31);

const COLUMNS = `
  id int primary key, user_id int, created_at timestamptz, body text, tags text[], doc jsonb, price numeric, flag bool,
  "Mixed Case" int, "expr" int, ${'c'.repeat(63)} int, ${'d'.repeat(40)} int, "é${'e'.repeat(60)}" int
`;

/** Everything after the table's name, in the forms that the grammar allows. */
const DEFINITIONS = [
  '(user_id)',
  '(user_id, created_at desc)',
  'using btree (user_id asc nulls last, id)',
  'using hash (body)',
  'using gin (tags)',
  'using gin (doc jsonb_path_ops)',
  "using gist (tsrange(created_at at time zone 'utc', null))",
  '(lower(body))',
  '(lower(body), upper(body), lower(body))',
  "((doc->>'a'))",
  "((doc->>'a'), (doc->>'b'), (doc->>'c'))",
  '((price + 1), (price * 2))',
  '((price::int))',
  "(((doc->>'a')::int))",
  '((cast(body as varchar(10))))',
  "((case when flag then body else 'x' end))",
  '((case when flag then 1 end))',
  "(coalesce(body, ''))",
  "((coalesce(body, '') || 'x'))",
  '(greatest(id, user_id), least(id, user_id))',
  "(nullif(body, ''))",
  '((body collate "C"))',
  '(body collate "C" text_pattern_ops)',
  '(body text_pattern_ops) include (id, user_id)',
  '(user_id) include (user_id)',
  '(user_id, user_id)',
  '(id, (id + 1), expr)',
  '((tags[1]))',
  '((array[id, user_id]))',
  '((row(id, user_id) is null))',
  '(md5(body))',
  '(("substring"(body, 1, 2)))',
  '(substring(body from 1 for 2))',
  "(extract(year from created_at at time zone 'utc'))",
  "((created_at at time zone 'utc'))",
  "(date_trunc('day', created_at at time zone 'utc'))",
  '((flag and id > 1))',
  '((not flag))',
  '((body is null))',
  '("Mixed Case")',
  `(${'c'.repeat(63)})`,
  `(${'c'.repeat(63)}, ${'d'.repeat(40)}, ${'c'.repeat(63)})`,
  `("é${'e'.repeat(60)}")`,
  `("é${'e'.repeat(60)}", "é${'e'.repeat(60)}")`,
  '(id) where flag',
  '(id) nulls not distinct',
  '(id) with (fillfactor = 70) tablespace pg_default where id > 1',
  'using brin (created_at) with (pages_per_range = 4)',
  '(/* first */ id -- why\n , user_id)',
];

const TABLES = ['messages', `"Quoted ""Name"""`, LONG, UMLAUTS];

describe('an index that has no name', () => {
  let database: FreshDatabase;
  let client: pg.Client;

  beforeAll(async () => {
    database = await createDatabase();
    client = new pg.Client({ connectionString: database.url });
    await client.connect();
    for (const table of TABLES) await client.query(`create table ${table} (${COLUMNS})`);
    await client.query(`create schema elsewhere; create table elsewhere."on" (${COLUMNS})`);
  });

  afterAll(async () => {
    await client.end();
    await database.drop();
  });

  /** Runs it, tells name and definition, and takes the index away again. */
  async function indexMadeBy(sql: string): Promise<{ name: string; definition: string }> {
    await client.query(sql);
    const { rows } = await client.query<{ name: string; definition: string; id: string }>(`
      select c.relname as name, pg_get_indexdef(c.oid) as definition, c.oid::regclass::text as id
      from pg_class c join pg_index i on i.indexrelid = c.oid
      where not i.indisprimary and c.relnamespace in ('public'::regnamespace, 'elsewhere'::regnamespace)
    `);
    const [index] = rows;
    if (index === undefined) throw new Error(`No index: ${sql}`);
    await client.query(`drop index ${index.id}`);
    return { name: index.name, definition: index.definition };
  }

  const cases = [...TABLES, 'elsewhere."on"', 'only messages', 'only (messages)', 'messages *'].flatMap(
    (table) => DEFINITIONS.map((definition) => ({ table, definition })),
  );

  it('is named by Postgres as the compiler suggests, and its definition is what follows the table', async () => {
    expect(cases.length).toBeGreaterThan(350);
    for (const { table, definition } of cases) {
      const written = `create index concurrently on ${table} ${definition}`;
      const operation = operationOf(written);
      if (isNewerThanServer(definition)) {
        const code = expect.toBeOneOf([...NEWER_REFUSED]);
        await expect(indexMadeBy(`create index on ${table} ${definition}`)).rejects.toMatchObject({ code });
        continue;
      }
      const byPostgres = await indexMadeBy(`create index on ${table} ${definition}`);
      expect({ table, definition, name: operation.suggestedName }).toEqual({
        table,
        definition,
        name: byPostgres.name,
      });
      expect(operation.definition).toBe(definition);
      expect(operation.index).toBeUndefined();
      const { schema, name } = operation.table;
      const quoted = [schema, name]
        .filter((part) => part !== undefined)
        .map((part) => `"${part.replaceAll('"', '""')}"`);
      const only = operation.only ? 'only ' : '';
      const again = await indexMadeBy(`create index on ${only}${quoted.join('.')} ${operation.definition}`);
      expect(again).toEqual(byPostgres);
    }
  });

  function operationOf(sql: string): CreateIndex {
    const { step } = compileStatement(sql);
    if (step.kind !== 'index-operation' || step.operation.kind !== 'create-index')
      throw new Error(`Not one: ${sql}`);
    return step.operation;
  }
});
