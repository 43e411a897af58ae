import type { PostgresFault } from '../migration/postgres-fault.ts';

/** The longest wait before a table is looked at again, and so before a dead build is noticed. */
export const LONGEST_WAIT_SECONDS = 900;
const SHORTEST_SECONDS = 1;

/**
 * How long the loop waits before it looks at a build again: half of the time left, if progress tells it, so that a few
 * turns get close to the end; otherwise a twentieth of the build's age. A day-long build takes at most about 200 turns,
 * three state transitions each.
 */
export function waitSeconds(elapsedSeconds: number, secondsLeft: number | undefined): number {
  const byAge = elapsedSeconds / 20;
  const wait = secondsLeft === undefined ? byAge : Math.max(secondsLeft / 2, elapsedSeconds / 50);
  return Math.round(Math.min(LONGEST_WAIT_SECONDS, Math.max(SHORTEST_SECONDS, wait)));
}

/** Whether a build will end soon enough for the turn to stay with it, instead of coming back. */
export function isNearEnd(secondsLeft: number | undefined, attachSeconds: number): boolean {
  return secondsLeft !== undefined && secondsLeft <= attachSeconds * 0.8;
}

const SOON_SECONDS = 2;
const LATEST_SECONDS = 600;

/**
 * When to look again at what waits for a person or a lock, perhaps for days: a paused build, a lock that is held. Each
 * turn comes a little later; a day takes at most about 200.
 */
export function soonSeconds(turns: number): number {
  return Math.min(LATEST_SECONDS, Math.round(SOON_SECONDS + turns ** 2 / 8));
}

/** A backfill that rests for longer ends its turn, and comes back. */
export const LONGEST_REST_SECONDS = 120;

/**
 * When a resting backfill comes back: the later, the longer it has taken so far. A day spent resting takes about 150
 * turns, three state transitions each.
 */
export function restSeconds(elapsedSeconds: number): number {
  return Math.round(Math.min(600, Math.max(60, elapsedSeconds / 40)));
}

/** Pauses after the first attempt, the second, and any later one. */
const PAUSES = [10, 120, 600] as const;
/**
 * After running out of disk, memory or connections, which take longer to free, and which another attempt uses up again.
 */
const PAUSES_WITHOUT_RESOURCES = [60, 600, 1_800] as const;

/** How long to wait after a failed attempt, by the number of attempts so far. */
export function pauseSeconds(attempts: number, fault: PostgresFault | undefined): number {
  const pauses = fault?.sqlstate.startsWith('53') ? PAUSES_WITHOUT_RESOURCES : PAUSES;
  return pauses[Math.min(attempts, pauses.length) - 1] ?? 0;
}
