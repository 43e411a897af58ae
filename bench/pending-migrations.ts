import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EmbeddedPostgres } from '../local/postgres/embedded-postgres.ts';
import { withTcpProxy } from '../local/wire/tcp-proxy.ts';
import { query, withBenchServer, withDatabase } from './bench-database.ts';
import { type Contender, contenders, ours, psql } from './contenders.ts';
import { type Figure, median } from './figure.ts';

interface Measured {
  readonly direct: number[];
  readonly distant: number[];
  roundTrips: number;
  /** The time of a second run, which finds nothing to do. */
  idleRoundTrips: number;
}

export interface PendingMigrationsOptions {
  readonly count: number;
  /** Runs without added latency; their median counts. */
  readonly rounds: number;
  readonly say: (line: string) => void;
}

/** Latency added to each round trip of the distant runs. */
const ROUND_TRIP_MILLISECONDS = 10;
const ENOUGH_SECONDS = 10;

/** The goals are for this many; with fewer, connecting and starting weigh more. */
const GOALS_FROM = 1_000;

/** Pending migrations applied by us and by others: round trips, and time near to and far from the database. */
export async function pendingMigrations(options: PendingMigrationsOptions): Promise<Figure[]> {
  const { count, rounds, say } = options;
  const scratch = mkdtempSync(join(tmpdir(), 'bench-'));
  const { here, absent } = contenders(say);
  const measured = new Map<Contender, Measured>();
  const folder = (contender: Contender) => join(scratch, contender.name.replace(/\W+/g, '-'));
  try {
    await withBenchServer(async (server) => {
      for (const contender of here) {
        await contender.prepare(folder(contender), count);
        measured.set(contender, { direct: [], distant: [], roundTrips: 0, idleRoundTrips: 0 });
      }
      // In turns, so that a slow minute of the machine affects all of them.
      for (let round = 1; round <= rounds; round += 1) {
        for (const [contender, { direct }] of measured) {
          say(`${count} migrations, round ${round} of ${rounds}: ${contender.name}`);
          direct.push(
            await withDatabase(server, async (url) => {
              const seconds = await contender.apply(folder(contender), url);
              await checkApplied(url, count);
              return seconds;
            }),
          );
        }
      }
      for (const [contender, of] of measured) {
        say(`${count} migrations, ${ROUND_TRIP_MILLISECONDS} ms away: ${contender.name}`);
        const total = () => of.distant.reduce((sum, seconds) => sum + seconds, 0);
        // Quick contenders are measured as often as near by; slow ones once, as more runs would show the same.
        while (of.distant.length < rounds && total() < ENOUGH_SECONDS) {
          await measureDistant(server, { contender, of, folder: folder(contender), count });
        }
      }
    });
  } finally {
    rmSync(scratch, { recursive: true });
  }
  return [...figuresOf(measured, count), ...absent.map((who) => absentFigure(who, count))];
}

function absentFigure(who: string, count: number): Figure {
  return { benchmark: `${count} migrations`, who, value: Number.NaN, unit: 'round trips' };
}

async function measureDistant(
  server: EmbeddedPostgres,
  { contender, of, folder, count }: { contender: Contender; of: Measured; folder: string; count: number },
): Promise<void> {
  await withDatabase(server, (url) =>
    withTcpProxy({ target: url, latencyMilliseconds: ROUND_TRIP_MILLISECONDS / 2 }, async (proxy) => {
      of.distant.push(await contender.apply(folder, proxy.url));
      of.roundTrips = proxy.traffic.roundTrips;
      await checkApplied(url, count);
      if (contender.forgetful === true) return;
      proxy.traffic.reset();
      await contender.apply(folder, proxy.url);
      of.idleRoundTrips = proxy.traffic.roundTrips;
    }),
  );
}

/** A contender that applies less is not faster. */
async function checkApplied(url: string, count: number): Promise<void> {
  const [row] = await query(
    url,
    `select count(*)::int as indexes from pg_class where relkind = 'i' and relname ~ '^table_[0-9]+_user$'`,
  );
  if (row?.indexes !== count) throw new Error(`${row?.indexes} of ${count} indexes are there`);
}

function figuresOf(measured: ReadonlyMap<Contender, Measured>, count: number): Figure[] {
  const peer = measured.get(psql);
  const each = (
    benchmark: string,
    unit: string,
    value: (of: Measured, contender: Contender) => number | undefined,
    atMost?: number,
  ): Figure[] =>
    [...measured].flatMap(([contender, of]) => {
      const figure = value(of, contender);
      if (figure === undefined) return [];
      const goal = contender === ours && atMost !== undefined && count >= GOALS_FROM ? { atMost } : {};
      return [{ benchmark, who: contender.name, value: figure, unit, ...goal }];
    });
  const against = (other: readonly number[] | undefined, own: readonly number[]) =>
    other === undefined ? undefined : median(own) / median(other);
  const wall = `${count} migrations, no added latency`;
  const far = `${count} migrations, ${ROUND_TRIP_MILLISECONDS} ms round trip`;
  return [
    ...each(`${count} migrations`, 'round trips', ({ roundTrips }) => roundTrips, 40),
    ...each(wall, 's', ({ direct }) => median(direct)),
    ...each(`${wall}, against psql`, '×', ({ direct }) => against(peer?.direct, direct), 1),
    ...each(far, 's', ({ distant }) => median(distant)),
    ...each(`${far}, against psql`, '×', ({ distant }) => against(peer?.distant, distant), 0.2),
    ...each(
      'nothing to do, connecting included',
      'round trips',
      ({ idleRoundTrips }, { forgetful }) => (forgetful === true ? undefined : idleRoundTrips),
      5,
    ),
  ];
}
