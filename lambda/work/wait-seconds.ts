import type { PostgresFault } from '../migration/postgres-fault.ts';

/** The longest wait until a table is looked at again: a build that died is noticed by then. */
export const LONGEST_WAIT_SECONDS = 900;
const SHORTEST_SECONDS = 1;

/**
 * How long the loop waits until it looks at a build again. Where progress tells how long the build will take, half
 * of that: each look halves what is left, so that the end is met closely in few turns. Else a twentieth of its age.
 * A day-long build comes to about 200 turns at the most, three state transitions each.
 */
export function waitSeconds(elapsedSeconds: number, secondsLeft: number | undefined): number {
  const byAge = elapsedSeconds / 20;
  const wait = secondsLeft === undefined ? byAge : Math.max(secondsLeft / 2, elapsedSeconds / 50);
  return Math.round(Math.min(LONGEST_WAIT_SECONDS, Math.max(SHORTEST_SECONDS, wait)));
}

/** A turn stays with a build that will end within so many seconds, instead of waiting and coming again. */
export function isNearEnd(secondsLeft: number | undefined, attachSeconds: number): boolean {
  return secondsLeft !== undefined && secondsLeft <= attachSeconds * 0.8;
}

/** A backfill that rests for longer lets go of its function, and comes back. */
export const LONGEST_REST_SECONDS = 120;

/**
 * When a backfill comes back that has let go of its function to rest: the later, the longer it has taken so far. A day of which it rests all of the time comes to about 150 turns, three state transitions each.
 */
export function restSeconds(elapsedSeconds: number): number {
  return Math.round(Math.min(600, Math.max(60, elapsedSeconds / 40)));
}

/** After the first attempt, the second, and any later one. */
const PAUSES = [10, 120, 600] as const;
/** Out of disk, memory or connections: what frees them takes longer, and another try fills them again. */
const PAUSES_WITHOUT_RESOURCES = [60, 600, 1_800] as const;

/** How long a build is left alone between a failed attempt, the so-manieth, and the next one. */
export function pauseSeconds(attempts: number, fault: PostgresFault | undefined): number {
  const pauses = fault?.sqlstate.startsWith('53') ? PAUSES_WITHOUT_RESOURCES : PAUSES;
  return pauses[Math.min(attempts, pauses.length) - 1] ?? 0;
}
