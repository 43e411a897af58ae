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

/** Seconds until the build ends if it goes on as it went; undefined while nothing can be said. */
export function secondsLeft(fraction: number | undefined, elapsedSeconds: number): number | undefined {
  if (fraction === undefined || fraction < 0.005) return undefined;
  return (elapsedSeconds * (1 - fraction)) / fraction;
}

/** It waits for another session's transaction or snapshot, not for the disk. */
export function isWaiting(phase: string): boolean {
  return phase.startsWith('waiting');
}
