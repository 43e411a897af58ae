import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { EmbeddedPostgres } from '../postgres/embedded-postgres.ts';

/** What chaos does to a deploy, in this order, each in the middle of a build. */
export const BLOWS = ['kill the handler', 'terminate the builder', 'restart the server'] as const;
export type Blow = (typeof BLOWS)[number];

export interface ChaosOptions {
  readonly server: Pick<EmbeddedPostgres, 'restart'>;
  /** Of a superuser, for the database in which indexes are built. */
  readonly adminUrl: string;
  /** Kills the process that runs a turn of the loop, if there is one, as Lambda or the kernel might. */
  readonly killHandler: () => Promise<void>;
  readonly report: (blow: ChaosBlow) => void;
  /** Kinds of work whose session is terminated, once each. */
  readonly kinds?: readonly StruckKind[];
  /** Ends the chaos, when the builds have ended. */
  readonly signal: AbortSignal;
}

/** Kinds of work other than index builds, and what identifies their sessions. */
const CARRIERS = {
  backfill:
    "a.application_name like 'cdk-postgres%' and a.query like '%migrations.backfill_until%' and w.operation = 'backfill'",
  validation: "a.pid = w.builder_pid and w.operation = 'validate'",
  refresh: "a.pid = w.builder_pid and w.operation = 'refresh'",
} as const;
export type StruckKind = keyof typeof CARRIERS;
export const STRUCK_KINDS = Object.keys(CARRIERS) as StruckKind[];

/** A blow that was struck. */
export interface ChaosBlow {
  readonly blow: Blow;
  readonly index: string;
  readonly phase: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** How long the server was gone, if it was restarted. */
  readonly downMilliseconds?: number;
}

/**
 * Strikes each blow once, each at a build that is being scanned for: a moment in which it has cost something. Resolves
 * with those that were struck: fewer if the builds ended before.
 */
export async function makeChaos(options: ChaosOptions): Promise<ChaosBlow[]> {
  const besides = (options.kinds ?? []).map((kind) => strikeOnce(kind, options));
  const blows = await strikeBuilds(options);
  const others = await Promise.all(besides);
  return [...blows, ...others.filter((blow) => blow !== undefined)].sort((a, b) => a.at - b.at);
}

async function strikeOnce(kind: StruckKind, options: ChaosOptions): Promise<ChaosBlow | undefined> {
  const { adminUrl, signal, report } = options;
  const blow = 'terminate the builder';
  while (!signal.aborted) {
    const [seen] = await query<{ index: string; terminated: boolean }>(
      adminUrl,
      `select coalesce(nullif(w.index_name, ''), w.table_name) as index, pg_terminate_backend(a.pid) as terminated
         from migrations.work w join pg_stat_activity a on ${CARRIERS[kind]}
        where w.state = 'building' and w.attempt_outcome is null and a.state = 'active'
          and a.datname = current_database() and a.query_start < clock_timestamp() - interval '20 ms' limit 1`,
    ).catch(() => []);
    if (seen !== undefined) {
      const struck: ChaosBlow = { blow, index: seen.index, phase: kind, at: Date.now() };
      report(struck);
      return struck;
    }
    await sleep(20);
  }
  return undefined;
}

async function strikeBuilds(options: ChaosOptions): Promise<ChaosBlow[]> {
  const struck: ChaosBlow[] = [];
  for (const blow of BLOWS) {
    // A handler's death does not end the builder: the next blow may strike the same one.
    const since = struck.findLast((one) => one.blow !== 'kill the handler')?.at ?? 0;
    const seen = await buildUnderWay(options, since);
    if (seen === undefined) break;
    const at = Date.now();
    const downMilliseconds = await strike(blow, seen.pid, options);
    const { index, phase } = seen;
    struck.push({ blow, index, phase, at, ...(downMilliseconds === undefined ? {} : { downMilliseconds }) });
    options.report(struck[struck.length - 1] as ChaosBlow);
  }
  return struck;
}

async function strike(blow: Blow, builder: number, options: ChaosOptions): Promise<number | undefined> {
  switch (blow) {
    case 'kill the handler':
      await options.killHandler();
      return undefined;
    case 'terminate the builder':
      await query(options.adminUrl, `select pg_terminate_backend(${builder})`);
      return undefined;
    case 'restart the server': {
      const begun = Date.now();
      await options.server.restart('immediate');
      return Date.now() - begun;
    }
    default:
      return blow satisfies never;
  }
}

interface BuildSeen {
  readonly pid: number;
  readonly index: string;
  readonly phase: string;
}

/** Undefined if the signal came first. A builder that began before `since` has already been struck. */
async function buildUnderWay(
  { adminUrl, signal }: ChaosOptions,
  since: number,
): Promise<BuildSeen | undefined> {
  while (!signal.aborted) {
    const [seen] = await query<BuildSeen>(
      adminUrl,
      `select p.pid, c.relname as index, p.phase
         from pg_stat_progress_create_index p
         join pg_stat_activity a on a.pid = p.pid
         join pg_class c on c.oid = p.index_relid
        where p.datname = current_database() and p.phase like 'building index%'
          and a.backend_start > to_timestamp(${since / 1000}) limit 1`,
    ).catch(() => []);
    if (seen !== undefined) return seen;
    await sleep(20);
  }
  return undefined;
}

async function query<Row extends pg.QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, application_name: 'chaos' });
  client.on('error', () => {});
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end().catch(() => undefined);
  }
}
