import { type LockMode, lockModes, modesConflict } from './lock-modes.ts';

/** What the options allow a step that finds its locks taken. */
export interface LockLimits {
  readonly lockTimeoutSeconds: number;
  readonly lockBudgetSeconds: number;
}

/** A step that asks for its locks again. */
export interface Asking extends LockLimits {
  /** Since its first attempt found them taken. */
  readonly elapsedMilliseconds: number;
  /** How much of that it has waited: all but the work of its attempts. It is what the budget counts. */
  readonly waitedMilliseconds: number;
  /** Its strongest lock on a table is ROW EXCLUSIVE: no reader or writer of the table queues behind it. */
  readonly onlyRows: boolean;
  /** It may hold one lock while it waits for the next, so that a deadlock is possible. */
  readonly severalLocks: boolean;
}

/** Another session that has a lock which the step's own may have to wait for. */
export interface PossibleBlocker {
  /** `table`: its lock keeps ours out. `rows`: only where it has locked a row that the step writes. */
  readonly over: 'table' | 'rows';
  /** Age of its transaction, or for how long we have seen it where Postgres hides that. */
  readonly milliseconds: number;
  /** Since its last statement ended; 0 while one is under way, or where Postgres hides it. */
  readonly idleMilliseconds: number;
  /** Autovacuum: Postgres cancels it for whoever has waited for deadlock_timeout. */
  readonly yields: boolean;
}

export type LockMove<Blocker extends PossibleBlocker = PossibleBlocker> =
  /** Queue for the locks, for no longer than this. */
  | { readonly kind: 'try'; readonly waitMilliseconds: number }
  /** Whoever queued now would wait for these for nothing, and the application behind it too: look again later. */
  | { readonly kind: 'hold-back'; readonly behind: readonly Blocker[] };

/** While we queue for a lock, everybody who comes later queues behind us: that long a pause nobody notices. */
const FIRST_WAIT_MILLISECONDS = 100;

/** A transaction that has been idle for this long waits for a person, or was forgotten. */
const IDLE_MILLISECONDS = 1_000;

/**
 * Below Postgres's deadlock_timeout, 1 s unless somebody changed it. Of two sessions that wait for each other, the one
 * whose wait reaches it first is ended: a shorter wait gives way to every transaction that began to wait after it.
 */
const BELOW_DEADLOCK_MILLISECONDS = 800;

export function firstWait({ lockTimeoutSeconds }: LockLimits, onlyRows: boolean): number {
  const longest = lockTimeoutSeconds * 1000;
  return onlyRows ? longest : Math.min(FIRST_WAIT_MILLISECONDS, longest);
}

/**
 * Whether to queue for the locks, and for how long. The wait grows with the time that the step has been at it, to half
 * of it: so nobody who was there from the beginning is ever queued behind again, and yet, where short transactions
 * overlap without end, there comes the wait that outlasts all of them. In the second half of the budget the step is
 * less polite: better a short stop than a deploy that fails. A step that locks only rows waits as long as it may from
 * the beginning: in its statement there may be hours of work, which a short wait for one row would throw away.
 */
export function nextMove<Blocker extends PossibleBlocker>(
  blockers: readonly Blocker[],
  asking: Asking,
): LockMove<Blocker> {
  const { elapsedMilliseconds, waitedMilliseconds, severalLocks, onlyRows } = asking;
  const first = firstWait(asking, onlyRows);
  const longest = asking.lockTimeoutSeconds * 1000;
  const polite = waitedMilliseconds < asking.lockBudgetSeconds * 500;
  const grown = Math.max(first, elapsedMilliseconds / 2);
  const old = Math.min(grown, Math.max(longest, IDLE_MILLISECONDS));
  const staying = blockers.filter(
    ({ yields, milliseconds, idleMilliseconds }) =>
      !yields && (milliseconds >= old || (polite && idleMilliseconds >= IDLE_MILLISECONDS)),
  );
  const behind = staying.filter(({ over }) => over === 'table');
  if (behind.length > 0) return { kind: 'hold-back', behind };
  if (blockers.some(({ yields }) => yields)) return { kind: 'try', waitMilliseconds: longest };
  // Nobody can tell whose rows they are, so an attempt has to: a short one.
  if (staying.length > 0 && polite) return { kind: 'try', waitMilliseconds: first };
  const most = severalLocks && polite && !onlyRows ? Math.min(longest, BELOW_DEADLOCK_MILLISECONDS) : longest;
  return { kind: 'try', waitMilliseconds: Math.round(Math.min(grown, most)) };
}

const FIRST_PAUSE_MILLISECONDS = 250;
const LONGEST_PAUSE_MILLISECONDS = 2_000;
/** After a long attempt. The run's session is idle meanwhile, and ends when it has been so for a minute. */
const LONGEST_REST_MILLISECONDS = 30_000;

/**
 * Milliseconds until the next look, the `number`th of this step. After an attempt that the application waited behind,
 * it is given more time than that to go through. `random` is in [0, 1).
 */
export function pauseBeforeLook(number: number, waitedMilliseconds: number, random: number): number {
  const pause = Math.min(FIRST_PAUSE_MILLISECONDS * 2 ** (number - 1), LONGEST_PAUSE_MILLISECONDS);
  const rest = Math.max(pause, 1.5 * waitedMilliseconds) * (0.5 + random);
  return Math.round(Math.min(rest, LONGEST_REST_MILLISECONDS));
}

/** What a step that needs the one mode may have to wait for where another session has the others. */
export function contentionOf(
  needed: LockMode,
  held: readonly LockMode[],
): PossibleBlocker['over'] | undefined {
  if (held.some((mode) => modesConflict(needed, mode))) return 'table';
  const rows = (mode: LockMode) => lockModes.indexOf(mode) >= lockModes.indexOf('row share');
  return (needed === 'row share' || needed === 'row exclusive') && held.some(rows) ? 'rows' : undefined;
}
