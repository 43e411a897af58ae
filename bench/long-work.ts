import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { runMigrations } from '../lambda/run/run-migrations.ts';
import { runLoop } from '../local/cli/in-process-loop.ts';
import { query, withBenchServer, withDatabase } from './bench-database.ts';
import type { BuildOptions } from './build-through-loop.ts';
import { type Figure, median } from './figure.ts';
import { deployOf, fillMessages } from './large-table.ts';
import { writingDuring } from './writer.ts';

const FILL = 'update messages set words = length(body) / 32 where words is null';
/** Rows of a fixed batch, pgroll's default. */
const FIXED_ROWS = 1_000;

/** A column of a large table filled while an application writes: in batches, by the one UPDATE, in fixed batches of two forms. */
export async function backfills({ rows, say }: Omit<BuildOptions, 'rounds'>): Promise<Figure[]> {
  const measured = await withBenchServer(async (server) => {
    const measure = (who: string, fill: (url: string) => Promise<unknown>) =>
      withDatabase(server, async (url) => {
        say(`a table of ${rows} rows, then ${who}`);
        await fillMessages(url, rows);
        await query(url, 'alter table messages add column words int');
        await query(url, 'checkpoint');
        return { who, ...(await filling(url, () => fill(url))) };
      });
    return {
      batches: await measure('in batches', throughTheLoop),
      one: await measure('the one UPDATE', (url) => query(url, FILL)),
      trigger: await measure(`batches of ${FIXED_ROWS} rows as pgroll makes them`, byTrigger),
      fixed: await measure(`batches of ${FIXED_ROWS} rows, the statement alone`, byStatement),
    };
  });
  const { batches, one, trigger, fixed } = measured;
  const figures = (
    { who, ...of }: typeof batches,
    goals: { seconds?: number; slowest?: number },
  ): Figure[] => {
    const benchmark = `a column filled in ${rows.toLocaleString('en-US')} rows`;
    return [
      { benchmark, who, value: of.seconds, unit: 's', ...(goals.seconds && { atMost: goals.seconds }) },
      {
        benchmark: `${benchmark}: slowest write meanwhile`,
        who: `${who} (${of.writes} writes)`,
        value: of.slowestMilliseconds,
        unit: 'ms',
        ...(goals.slowest && { atMost: goals.slowest }),
      },
      { benchmark: `${benchmark}: longest transaction`, who, value: of.longestSeconds, unit: 's' },
      { benchmark: `${benchmark}: table afterwards`, who, value: of.tableMegabytes, unit: 'MB' },
      { benchmark: `${benchmark}: WAL`, who, value: of.walMegabytes, unit: 'MB' },
    ];
  };
  return [
    ...figures(batches, { seconds: Math.min(one.seconds * 1.5, trigger.seconds / 2), slowest: 100 }),
    ...figures(one, {}),
    ...figures(trigger, {}),
    ...figures(fixed, {}),
  ];
}

/** The same constraint validated by the bare statement and through the loop, in turns. */
export async function validations({ rows, rounds, say }: BuildOptions): Promise<Figure[]> {
  const bare: number[] = [];
  const loop: number[] = [];
  await withBenchServer((server) =>
    withDatabase(server, async (url) => {
      say(`a table of ${rows} rows`);
      await fillMessages(url, rows);
      for (let round = 1; round <= rounds; round += 1) {
        const name = `long_enough_${round}`;
        const add = `alter table messages add constraint ${name} check (length(body) > 0) not valid`;
        const validate = `alter table messages validate constraint ${name}`;
        say(`validation, round ${round} of ${rounds}: bare statement`);
        await query(url, add);
        bare.push(await timed(() => query(url, validate)));
        await query(url, `alter table messages drop constraint ${name}`);
        say(`validation, round ${round} of ${rounds}: through the loop`);
        await query(url, add);
        const request = await deployOf(url, { [`${round}_validate.sql`]: `${validate};` });
        loop.push(await timed(() => deployed(request)));
        await query(url, `alter table messages drop constraint ${name}`);
      }
    }),
  );
  const benchmark = `a validation over ${rows.toLocaleString('en-US')} rows`;
  const statement = median(bare);
  return [
    { benchmark, who: 'deploy and loop', value: median(loop), unit: 's', atMost: statement * 1.02 + 1 },
    { benchmark, who: 'bare statement', value: statement, unit: 's' },
  ];
}

async function throughTheLoop(url: string): Promise<void> {
  await deployed(await deployOf(url, { '1_fill.sql': `-- migrate: backfill pause 0\n${FILL};` }));
}

async function deployed(request: Awaited<ReturnType<typeof deployOf>>): Promise<void> {
  const { builds } = await runMigrations(request);
  if (builds.length !== 1) throw new Error('it was not handed off');
  const { outcome, message } = await runLoop({ ...request, report: () => {} });
  if (outcome !== 'valid') throw new Error(message);
}

/**
 * As pgroll does it: a trigger computes the column from variables, one for each column, and a batch of rows, by the
 * primary key, are locked and touched so that it fires. (pgroll touches the key; ours is an identity, which can't be set.)
 */
async function byTrigger(url: string): Promise<void> {
  await query(
    url,
    `alter table messages add column to_fill boolean default true;
     create function fill_words() returns trigger language plpgsql as $$
     declare
       id messages.id%type := new.id;
       user_id messages.user_id%type := new.user_id;
       role messages.role%type := new.role;
       body messages.body%type := new.body;
       created_at messages.created_at%type := new.created_at;
       path text;
     begin
       select current_setting into path from current_setting('search_path');
       if path <> 'the_new_version' then
         new.words = length(body) / 32;
         new.to_fill = false;
       end if;
       return new;
     end $$;
     create trigger fill_words before insert or update on messages for each row execute function fill_words()`,
  );
  await inFixedBatches(
    url,
    `with batch as (
       select id from messages where to_fill and id > $1 order by id limit ${FIXED_ROWS} for no key update
     ), touched as (
       update messages set role = messages.role from batch where messages.id = batch.id returning messages.id
     ) select max(id) as last from touched`,
  );
}

/** The statement alone, bounded by the primary key: a fixed number of rows at a time, with nothing recorded. */
async function byStatement(url: string): Promise<void> {
  await inFixedBatches(
    url,
    `with filled as (${FILL} and id > $1 and id <= $1::bigint + ${FIXED_ROWS} returning id) select max(id) as last from filled`,
  );
}

async function inFixedBatches(url: string, batch: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'fixed batches' });
  await client.connect();
  try {
    for (let last: string | null = '0'; last !== null; ) {
      const found: pg.QueryResult<{ last: string | null }> = await client.query(batch, [last]);
      last = found.rows[0]?.last ?? null;
    }
  } finally {
    await client.end();
  }
}

async function filling(url: string, fill: () => Promise<unknown>) {
  const before = await sizes(url);
  let [seconds, longestSeconds, isOver] = [0, 0, false];
  const watching = (async () => {
    while (!isOver) {
      const [row] = await query(
        url,
        `select max(extract(epoch from clock_timestamp() - xact_start))::float8 as seconds from pg_stat_activity
          where datname = current_database() and backend_xid is not null`,
      );
      longestSeconds = Math.max(longestSeconds, Number(row?.seconds ?? 0));
      await sleep(50);
    }
  })();
  const { writes, slowestMilliseconds } = await writingDuring(url, async () => {
    seconds = await timed(fill);
  });
  isOver = true;
  await watching;
  const after = await sizes(url);
  const walMegabytes = (after.wal - before.wal) / 2 ** 20;
  return {
    seconds,
    longestSeconds,
    writes,
    slowestMilliseconds,
    tableMegabytes: after.table / 2 ** 20,
    walMegabytes,
  };
}

async function sizes(url: string): Promise<{ table: number; wal: number }> {
  const [row] = await query(
    url,
    `select pg_table_size('messages')::float8 as table, (pg_current_wal_lsn() - '0/0')::float8 as wal`,
  );
  return { table: Number(row?.table), wal: Number(row?.wal) };
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return (performance.now() - begun) / 1000;
}
