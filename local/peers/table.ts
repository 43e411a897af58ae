import pg from 'pg';

/** A table of another tool, and how its rows are compared. */
export interface ToolTable {
  readonly table: string;
  readonly orderBy: string;
  /** Which rows count. @default all */
  readonly inForce?: string;
  /** Columns that differ with each run. */
  readonly changing: readonly string[];
}

export async function query<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text, [...values])).rows;
  } finally {
    await client.end();
  }
}

/** Its rows, without the columns that differ with each run. */
export async function rowsOf(
  url: string,
  { table, orderBy, inForce = 'true', changing }: ToolTable,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const rows = await query<{ row: Record<string, unknown> }>(
    url,
    `select to_jsonb(t) - $1::text[] as row from ${table} as t where ${inForce} order by ${orderBy}`,
    [changing],
  );
  return rows.map(({ row }) => row);
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly required: boolean;
  readonly identity: string;
  readonly value: string | null;
}

/** Statements that recreate the table and its rows. */
export async function writeTable(url: string, table: string): Promise<string> {
  const columns = await query<Column>(
    url,
    `select a.attname as name, format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as required,
            a.attidentity as identity, pg_get_expr(d.adbin, d.adrelid) as value
       from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum`,
    [table],
  );
  const constraints = await query<{ text: string }>(
    url,
    `select format('constraint %I %s', conname, pg_get_constraintdef(oid)) as text
       from pg_constraint where conrelid = $1::regclass and contype in ('p', 'u', 'f', 'c') order by contype desc, conname`,
    [table],
  );
  const indexes = await query<{ text: string }>(
    url,
    `select pg_get_indexdef(indexrelid) as text from pg_index i
      where indrelid = $1::regclass and not exists (select from pg_constraint where conindid = i.indexrelid) order by 1`,
    [table],
  );
  const [rows] = await query<{ json: string }>(
    url,
    `select jsonb_agg(to_jsonb(t))::text as json from ${table} as t`,
  );
  const [schema = 'public'] = table.includes('.') ? table.split('.') : ['public'];
  const sequence = columns.find(({ value }) => value?.startsWith('nextval('));
  const lines = [
    ...columns.map(({ name, type, required, identity, value }) => {
      if (value?.startsWith('nextval(')) return `  "${name}" ${type === 'bigint' ? 'bigserial' : 'serial'}`;
      const generated =
        identity === '' ? '' : ` generated ${identity === 'a' ? 'always' : 'by default'} as identity`;
      return `  "${name}" ${type}${value === null ? '' : ` default ${value}`}${required && generated === '' ? ' not null' : ''}${generated}`;
    }),
    ...constraints.map(({ text }) => `  ${text}`),
  ];
  const counted = sequence?.name ?? columns.find(({ identity }) => identity !== '')?.name;
  return [
    ...(schema === 'public' ? [] : [`create schema ${schema};`]),
    `create table ${table} (\n${lines.join(',\n')}\n);`,
    ...indexes.map(({ text }) => `${text};`),
    `insert into ${table} overriding system value\nselect * from jsonb_populate_recordset(null::${table}, $rows$${rows?.json ?? '[]'}$rows$);`,
    ...(counted === undefined
      ? []
      : [
          `select setval(pg_get_serial_sequence('${table}', '${counted}'), max("${counted}")) from ${table};`,
        ]),
    '',
  ].join('\n');
}
