import { type LockMode, lockModes, modesConflict } from './lock-modes.ts';

/** The limits for a step that finds its locks taken. */
export interface LockLimits {
  readonly lockTimeoutSeconds: number;
  readonly lockBudgetSeconds: number;
}

/** A step that asks for its locks again. */
export interface Asking extends LockLimits {
  /** Since its first attempt found them taken. */
  readonly elapsedMilliseconds: number;
  /** How much of that it has waited, without the work of its attempts. The budget counts this. */
  readonly waitedMilliseconds: number;
  /** Its strongest lock on a table is ROW EXCLUSIVE: no reader or writer of the table queues behind it. */
  readonly onlyRows: boolean;
  /** It may hold one lock while it waits for the next, so that a deadlock is possible. */
  readonly severalLocks: boolean;
}

/** Another session, with a lock that the step may have to wait for. */
export interface PossibleBlocker {
  /** `table`: its lock conflicts with ours. `rows`: it conflicts only if it has locked a row that the step writes. */
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
  /** Queuing now would wait for these in vain, and block the application meanwhile: look again later. */
  | { readonly kind: 'hold-back'; readonly behind: readonly Blocker[] };

/** While we queue for a lock, later requests queue behind us; nobody notices a pause this short. */
const FIRST_WAIT_MILLISECONDS = 100;

/** A transaction idle for this long waits for a person, or was forgotten. */
const IDLE_MILLISECONDS = 1_000;

/**
 * Below Postgres's deadlock_timeout, 1 s unless somebody changed it. Of two sessions that wait for each other, Postgres
 * ends the one whose wait reaches it first; a shorter wait gives way instead.
 */
const BELOW_DEADLOCK_MILLISECONDS = 800;

export function firstWait({ lockTimeoutSeconds }: LockLimits, onlyRows: boolean): number {
  const longest = lockTimeoutSeconds * 1000;
  return onlyRows ? longest : Math.min(FIRST_WAIT_MILLISECONDS, longest);
}

/**
 * Whether to queue for the locks, and for how long. The wait grows to half of the time since the first attempt: so the
 * step never queues behind a transaction that was there from the beginning, and yet eventually outlasts short
 * transactions that overlap without end. In the second half of the budget the step is less polite: a short pause for
 * the application is better than a failed deploy. A step that locks only rows waits as long as it may from the
 * beginning: its statement may do hours of work, which a short wait for one row would throw away.
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
  // The catalog can't tell who holds the row, so a short attempt has to.
  if (staying.length > 0 && polite) return { kind: 'try', waitMilliseconds: first };
  const most = severalLocks && polite && !onlyRows ? Math.min(longest, BELOW_DEADLOCK_MILLISECONDS) : longest;
  return { kind: 'try', waitMilliseconds: Math.round(Math.min(grown, most)) };
}

const FIRST_PAUSE_MILLISECONDS = 250;
const LONGEST_PAUSE_MILLISECONDS = 2_000;
/** After a long attempt. The run's session is idle meanwhile, and is ended after a minute of that. */
const LONGEST_REST_MILLISECONDS = 30_000;

/**
 * Milliseconds until the next look, the `number`th of this step. After an attempt that made the application wait, the
 * application gets longer to catch up. `random` is in [0, 1).
 */
export function pauseBeforeLook(number: number, waitedMilliseconds: number, random: number): number {
  const pause = Math.min(FIRST_PAUSE_MILLISECONDS * 2 ** (number - 1), LONGEST_PAUSE_MILLISECONDS);
  const rest = Math.max(pause, 1.5 * waitedMilliseconds) * (0.5 + random);
  return Math.round(Math.min(rest, LONGEST_REST_MILLISECONDS));
}

/** What a step that needs one mode may have to wait for, if another session holds the others. */
export function contentionOf(
  needed: LockMode,
  held: readonly LockMode[],
): PossibleBlocker['over'] | undefined {
  if (held.some((mode) => modesConflict(needed, mode))) return 'table';
  const rows = (mode: LockMode) => lockModes.indexOf(mode) >= lockModes.indexOf('row share');
  return (needed === 'row share' || needed === 'row exclusive') && held.some(rows) ? 'rows' : undefined;
}
