import { count } from '../migration/amounts.ts';

/** What pg_stat_progress_create_index tells of one build. */
export interface BuildProgress {
  readonly phase: string;
  readonly blocksTotal: number;
  readonly blocksDone: number;
  readonly tuplesTotal: number;
  readonly tuplesDone: number;
  readonly lockersTotal: number;
  readonly lockersDone: number;
}

/**
 * The phases of CREATE INDEX CONCURRENTLY in their order, each with the share of the whole that it usually takes.
 * The shares come from builds of B-tree indexes over 1 to 30 million rows; they are a guide for waiting and for a
 * bar, nothing is decided by them.
 */
const PHASES: readonly { readonly starts: string; readonly share: number }[] = [
  { starts: 'initializing', share: 0 },
  { starts: 'waiting for writers before build', share: 1 },
  { starts: 'building index: scanning table', share: 40 },
  { starts: 'building index: sorting live tuples', share: 10 },
  { starts: 'building index: loading tuples in tree', share: 14 },
  { starts: 'building index', share: 0 },
  { starts: 'waiting for writers before validation', share: 1 },
  { starts: 'index validation: scanning index', share: 8 },
  { starts: 'index validation: sorting tuples', share: 4 },
  { starts: 'index validation: scanning table', share: 20 },
  { starts: 'waiting for old snapshots', share: 2 },
  { starts: 'waiting for readers before marking dead', share: 0 },
  { starts: 'waiting for readers before dropping', share: 0 },
];

/** How much of the build is done, from 0 to 1; undefined where the phase is unknown. */
export function fractionDone(progress: BuildProgress): number | undefined {
  const index = PHASES.findIndex(({ starts }) => progress.phase.startsWith(starts));
  const phase = PHASES[index];
  // VACUUM, ANALYZE and CLUSTER: the pass over the table is most of it.
  if (phase === undefined) {
    return progress.blocksTotal > 0 ? Math.min(0.95, progress.blocksDone / progress.blocksTotal) : undefined;
  }
  const before = PHASES.slice(0, index).reduce((sum, { share }) => sum + share, 0);
  return Math.min(1, (before + phase.share * fractionOfPhase(progress)) / 100);
}

function fractionOfPhase(progress: BuildProgress): number {
  const { blocksTotal, blocksDone, tuplesTotal, tuplesDone, lockersTotal, lockersDone } = progress;
  if (progress.phase.startsWith('waiting')) return lockersTotal > 0 ? lockersDone / lockersTotal : 0;
  if (blocksTotal > 0) return Math.min(1, blocksDone / blocksTotal);
  if (tuplesTotal > 0) return Math.min(1, tuplesDone / tuplesTotal);
  return 0;
}

/** Seconds until the build ends if it continues as it went; undefined while nothing can be said. */
export function secondsLeft(fraction: number | undefined, elapsedSeconds: number): number | undefined {
  if (fraction === undefined || fraction < 0.005) return undefined;
  return (elapsedSeconds * (1 - fraction)) / fraction;
}

/** It waits for another session's transaction or snapshot, not for the disk. */
export function isWaiting(phase: string): boolean {
  return phase.startsWith('waiting');
}

/** How far one walk of a backfill through a table, or a part of one, is. */
export interface WalkSeen {
  /** Quoted, with its schema. */
  readonly table: string;
  /** Columns of the key by which it goes, in order; none where it goes by blocks. */
  readonly key: readonly string[];
  /** Key of the last row that is done, or the next block; undefined at the beginning. */
  readonly cursor: readonly string[] | undefined;
  readonly done: boolean;
  /** By the planner's statistics; 0 where there are none. */
  readonly estimatedRows: number;
  readonly walked: number;
  readonly written: number;
  /** From its beginning to its latest batch. */
  readonly seconds: number;
  /** Why it rests, `reason: more of it`. */
  readonly pause: string | undefined;
}

/** How far a backfill is, over all of its walks. */
export interface Fill {
  readonly rowsWritten: number;
  readonly rowsWalked: number;
  /** About so many; 0 where nobody knows. */
  readonly rowsEstimated: number;
  /** Walked, since its beginning. */
  readonly rowsPerSecond: number;
  /** `public.messages, id = 4711` */
  readonly position: string;
  /** As in WalkSeen. */
  readonly pause: string | undefined;
}

/** Undefined before it begins. `seconds`: since its beginning, pauses included. */
export function fillOf(walks: readonly WalkSeen[], seconds: number): Fill | undefined {
  const at = walks.find(({ done }) => !done) ?? walks.at(-1);
  if (at === undefined) return undefined;
  const sum = (field: 'written' | 'walked' | 'estimatedRows') =>
    walks.reduce((total, walk) => total + walk[field], 0);
  const { cursor, key, table, pause } = at;
  const place = cursor?.map((value, part) => `${key[part] ?? 'block'} = ${value}`) ?? ['its beginning'];
  return {
    rowsWritten: sum('written'),
    rowsWalked: sum('walked'),
    rowsEstimated: sum('estimatedRows'),
    rowsPerSecond: Math.round(sum('walked') / Math.max(1, seconds)),
    position: [table.replaceAll('"', ''), ...place].join(', '),
    pause,
  };
}

/** `1,200 rows written, 240 a second, at public.messages, id = 4711` */
export function describeFill({ rowsWritten, rowsPerSecond, position, pause }: Fill): string {
  const now = pause === undefined ? `${rowsPerSecond.toLocaleString('en')} a second` : `rests (${pause})`;
  return `${count(rowsWritten, 'row')} written, ${now}, at ${position}`;
}
