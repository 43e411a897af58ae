import pg from 'pg';
import { expect, it, vi } from 'vitest';
import { type Files, freshScenario, type Scenario } from '../../run/scenario.ts';

vi.setConfig({ testTimeout: 240_000 });

/** Mulberry32: the same seed gives the same tables and statements. */
function generator(seed: number): <T>(of: readonly T[]) => T {
  let state = seed;
  return (of) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return of[((mixed ^ (mixed >>> 14)) >>> 0) % of.length] as (typeof of)[number];
  };
}

/** Columns of a key, and their values for row `g`. */
const KEYS = [
  ['a int', 'g * 3'],
  ['a bigint', 'g::bigint * 3000000000000 - 4000000000000000000'],
  ['a uuid', 'md5(g::text)::uuid'],
  ['a text', "chr(65 + g % 58) || 'it''s \\ ' || g"],
  ['a text collate "C"', 'chr(65 + g % 58) || g'],
  ['a timestamptz', "timestamptz '2024-03-30 22:00+01' + g * interval '1.000001 s'"],
  ['a date, b numeric', "date '2024-01-01' + g % 7, g / 7.0"],
  ['a text, b bigint, c int', "'t' || g % 3, -g, g % 2"],
] as const;

/** How the table is divided; of a bound, a value of the key's first column. */
const SHAPES = [
  () => [],
  () => [],
  () => [0, 1, 2].map((rest) => `partition of T for values with (modulus 3, remainder ${rest})`),
  ([low, high]: readonly string[]) => [
    `partition of T for values from ('${low}') to ('${high}')`,
    'partition of T default',
  ],
  ([low, high]: readonly string[]) => [
    `partition of T for values from ('${low}') to ('${high}') partition by hash (a)`,
    'partition of P0 for values with (modulus 2, remainder 0)',
    'partition of P0 for values with (modulus 2, remainder 1)',
    'partition of T default',
  ],
] as const;

const TABLES = ['t', 'app.t', '"The Table"', 'app."T"'] as const;
/** `T` is the table, `A` its name within the statement. */
const TARGETS = [
  ['T', 'L'],
  ['T as x', 'x'],
  ['only T as "X y"', '"X y"'],
] as const;
const VALUES = [
  'A.n + 1',
  'A.n * 2 - A.m',
  '(select max(v) from other) + A.n',
  'case when A.n % 2 = 0 then A.m else A.n end',
];
const CONDITIONS = [
  '',
  'where A.n % 3 = 0',
  'where A.m > 20 or A.n = 1 -- or this',
  'where exists (select from other o where o.v = A.n % 7)',
];

function statementOf(pick: ReturnType<typeof generator>, table: string, last: string): string {
  const [target, alias] = pick(TARGETS);
  const named = (text: string) =>
    text.replaceAll(/\bT\b/g, table).replaceAll(/\bA\b/g, alias === 'L' ? last : alias);
  const [value, condition] = [pick(VALUES), pick(CONDITIONS)];
  const and = condition === '' ? 'where' : `${condition}\n and`;
  return named(
    pick([
      `update ${target} set m = ${value} ${condition}`,
      `update ${target} set n = ${value}, m = 0 ${condition} returning A.n`,
      `update ${target} set m = o.v from other o ${and.replace(/ or /g, ' and ')} o.v = A.n % 7`,
      `with w as (select v from other where v > 2) update ${target} set m = (select min(w.v) from w) + A.n ${condition}`,
      `delete from ${target} ${condition || 'where A.n > 100'}`,
      `delete from ${target} using other o where o.v = A.n % 7 and o.v > 3`,
      `insert into copies select A.n, A.m from ${target} ${condition}`,
      `insert into copies select A.n, o.v from ${target.replace('only ', '')} left join other o on o.v = A.n ${condition}`,
    ]),
  );
}

/** Partitions of the table, by one of the shapes. */
async function dividedTable(
  { query }: Pick<Scenario, 'query'>,
  pick: ReturnType<typeof generator>,
  { columns, values, table }: { columns: string; values: string; table: string },
): Promise<{ readonly by: string; readonly parts: string }> {
  const shape = pick(SHAPES);
  const [, type] = /^a ([^,]*)/.exec(columns) ?? [];
  const sorted = await query<{ value: string }>(
    `select (a::${type})::text as value from (select (array[${[800, 1700].map((g) => `(select v.a::text from (select ${values} from (values (${g})) as x (g)) as v (a))`).join(', ')}]) as two) as x, unnest(two) as a order by a::${type}`,
  );
  const [low, high] = sorted.map(({ value }) => value);
  const parts = low === high ? [] : shape(sorted.map(({ value }) => value.replaceAll("'", "''")));
  const by = parts.length === 0 ? '' : `partition by ${parts[0]?.includes('modulus') ? 'hash' : 'range'} (a)`;
  const named = parts.map(
    (part, at) => `create table p${at} ${part.replace(/\bT\b/, table).replace('P0', 'p0')}`,
  );
  return { by, parts: named.join('; ') };
}

/** Deploys the files, of which the newest is the statement as a backfill: `result` is what the one statement makes of it. */
async function comesOutAsTheOne(
  scenario: Scenario,
  { sql, files, result }: { readonly sql: string; readonly files: Files; readonly result: string },
): Promise<void> {
  const client = new pg.Client({ connectionString: scenario.database.url });
  await client.connect();
  await client.query(`begin; ${sql}`);
  const { rows: wanted } = await client.query(result);
  await client.end();

  expect(await scenario.deploy(files, { smallTableRows: 0 }), sql).toEqual({ outcome: 'valid', message: '' });

  expect(await scenario.query(result), sql).toEqual(wanted);
}

const SEEDS = Array.from({ length: 16 }, (_, at) => at + 1);

it.each(SEEDS)('generated tables and statements come out as the one statement, seed %i', async (seed) => {
  const pick = generator(seed * 7919);
  const scenario = await freshScenario();
  const [columns, values] = pick(KEYS);
  const table = pick(TABLES);
  const last = table.split('.').at(-1) ?? table;
  const names = columns.split(', ').map((column) => column.split(' ')[0]);
  const divided = await dividedTable(scenario, pick, { columns, values, table });
  await scenario.query(`create schema app; create table other (v int); insert into other select generate_series(0, 6);
    create table copies (n int, m int);
    create table ${table} (${columns}, n int, m int, primary key (${names.join(', ')})) ${divided.by};
    ${divided.parts};
    insert into ${table} select ${values}, g % 50, g % 30 from generate_series(1, 2500) g; analyze`);
  const result = `select md5(string_agg(line, ';' order by line)) as result from (
    select r::text as line from ${table} r union all select 'copy ' || c::text from copies c) as lines`;
  let files: Record<string, string> = {};
  for (let round = 1; round <= 4; round += 1) {
    const sql = statementOf(pick, table, last);
    files = { ...files, [`${round}_fill.sql`]: `-- migrate: backfill batch 3ms\n${sql};` };
    await comesOutAsTheOne(scenario, { sql, files, result });
  }
});

it.each(SEEDS.slice(0, 6))('… also without a key, by the blocks of the table, seed %i', async (seed) => {
  const pick = generator(seed * 104_729);
  const scenario = await freshScenario();
  const table = pick(TABLES);
  const last = table.split('.').at(-1) ?? table;
  const hashed = pick([true, false]);
  await scenario.query(`create schema app; create table other (v int); insert into other select generate_series(0, 6);
    create table ${table} (n int, m int, note text) ${hashed ? 'partition by hash (n)' : ''};
    ${hashed ? [0, 1].map((rest) => `create table p${rest} partition of ${table} for values with (modulus 2, remainder ${rest});`).join('') : ''}
    insert into ${table} select g % 50, nullif(g % 3, 0), repeat('x', g % 300) from generate_series(1, 4000) g; analyze`);
  const result = `select md5(string_agg(r::text, ';' order by r::text)) as result from ${table} r`;
  let files: Record<string, string> = {};
  for (let round = 1; round <= 3; round += 1) {
    const [target, alias] = pick(TARGETS.slice(0, 2));
    const sql = pick([
      `update ${target} set m = ${pick(['A.n + 1', 'A.n * 2', '7'])} where A.m is null and A.n % 2 = ${round % 2}`,
      `delete from ${target} where A.n % 5 = ${round} returning *`,
    ])
      .replaceAll(/\bT\b/g, table)
      .replaceAll(/\bA\b/g, alias === 'L' ? last : alias);
    files = { ...files, [`${round}_fill.sql`]: `-- migrate: backfill batch 3ms\n${sql};` };
    await comesOutAsTheOne(scenario, { sql, files, result });
  }
  expect(await scenario.query('select distinct kind from migrations.backfill')).toEqual([{ kind: 'blocks' }]);
});

it('beside a writer, the rows that were there at the beginning are each done once', async () => {
  const scenario = await freshScenario();
  await scenario.query(`create table t (id bigint primary key, n int not null default 0, touched int not null default 0);
    insert into t select g * 2 from generate_series(1, 3000) g; analyze t`);
  const client = new pg.Client({ connectionString: scenario.database.url });
  await client.connect();
  let over = false;
  const writing = (async () => {
    for (let at = 1; !over; at += 1) {
      await client.query(
        `insert into t (id) values (${at * 2 + 1}), (${at + 1_000_000}); update t set touched = touched + 1 where id = ${(at * 38) % 6000}`,
      );
    }
  })();
  try {
    await scenario.deploy({ '1_fill.sql': '-- migrate: backfill batch 3ms\nupdate t set n = n + 1;' });
  } finally {
    over = true;
    await writing;
    await client.end();
  }
  expect(
    await scenario.query('select count(*)::int as wrong from t where id % 2 = 0 and id <= 6000 and n <> 1'),
  ).toEqual([{ wrong: 0 }]);
  expect(await scenario.query('select count(*)::int as twice from t where n > 1')).toEqual([{ twice: 0 }]);
});
