import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { withClient } from './fault-server.ts';
import type { Phase } from './matrix.ts';

const PATIENCE_MILLISECONDS = 60_000;

/** What keeps a build of `orders_slow` in a phase: transactions of an application. */
export interface PhaseKeeper {
  /** Resolves when the build is in its phase. */
  reached(): Promise<void>;
  /** Ends the transactions, so that the build can continue. */
  release(): Promise<void>;
}

/** Prepares the database so that the next build on `orders` will stay in the phase. Call it before the build begins. */
export async function keepInPhase(adminUrl: string, phase: Phase): Promise<PhaseKeeper> {
  const held: pg.Client[] = [];
  const hold = async (...statements: string[]) => {
    const client = new pg.Client({ connectionString: adminUrl, application_name: 'application' });
    client.on('error', () => {});
    held.push(client);
    await client.connect();
    for (const statement of ['begin', ...statements]) await client.query(statement);
  };
  const write = 'update orders set note = note where id = 1';
  const scanning = 'building index: scanning table';
  switch (phase) {
    case 'waiting for its table':
      await hold('lock table orders in share row exclusive mode');
      break;
    case 'waiting for writers before build':
      await hold(write);
      break;
    default:
  }
  return {
    reached: () =>
      withClient(adminUrl, async (client) => {
        switch (phase) {
          case 'a transaction step':
            return until(
              client,
              `select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'
                and application_name = 'cdk-postgres-migrations'`,
            );
          case 'a batch of a backfill':
            return until(
              client,
              `select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'
                and query like '%migrations.backfill_until%'`,
            );
          case 'a validation':
          case 'a refresh':
          case 'upkeep':
          case 'a statement under hand-off':
            return until(
              client,
              `select from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'
                and application_name like 'migrations build %' and query ilike '%${WORK[phase]}%'`,
            );
          case 'waiting for its table':
            return until(client, `select from pg_locks where not granted and relation = 'orders'::regclass`);
          case 'waiting for writers before build':
          case 'building index: scanning table':
            return untilPhase(client, phase);
          case 'waiting for writers before validation':
            await untilPhase(client, scanning);
            await hold(write);
            return untilPhase(client, phase);
          case 'index validation: scanning table':
            await untilPhase(client, scanning);
            await client.query(
              `insert into orders (id, customer) select i, i % 10 from generate_series(1001, 1300) i`,
            );
            return untilPhase(client, phase);
          case 'waiting for old snapshots':
            await untilPhase(client, scanning);
            await hold('set transaction isolation level repeatable read', 'select count(*) from log');
            return untilPhase(client, phase);
          default:
            return phase satisfies never;
        }
      }),
    release: async () => {
      await Promise.all(held.map((client) => client.end().catch(() => undefined)));
    },
  };
}

/** What the statement of such work contains. */
const WORK = {
  'a validation': 'validate constraint orders_slow',
  'a refresh': 'refresh materialized view slow_totals',
  upkeep: 'analyze orders',
  'a statement under hand-off': 'insert into log select',
} as const;

function untilPhase(client: pg.Client, phase: string): Promise<void> {
  return until(
    client,
    `select from pg_stat_progress_create_index where datname = current_database() and phase = '${phase}'`,
  );
}

async function until(client: pg.Client, query: string): Promise<void> {
  const begun = Date.now();
  for (;;) {
    if (((await client.query(query)).rowCount ?? 0) > 0) return;
    if (Date.now() - begun > PATIENCE_MILLISECONDS) throw new Error(`never came true: ${query}`);
    await sleep(5);
  }
}
