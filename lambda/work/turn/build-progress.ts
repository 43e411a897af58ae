import { type BuildState, isOpen, isStopped } from '../../migration/build.ts';
import { type Blocker, blockerKey } from '../../postgres/catalog/blockers.ts';
import { type SeenBuilder, seeBuilder } from '../../postgres/catalog/seen-builder.ts';
import { readWalks } from '../../postgres/ledger/backfill-rows.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { Build, Waiting } from '../build.ts';
import {
  describeFill,
  type Fill,
  fillOf,
  fractionDone,
  isWaiting,
  secondsLeft,
  type WalkSeen,
} from '../progress.ts';

/** What a person sees of a build under way. */
export interface ProgressSeen {
  readonly phase: string;
  /** 0 to 1; absent if the phase does not tell. */
  readonly fraction: number | undefined;
  readonly secondsElapsed: number;
  readonly secondsLeft: number | undefined;
  /** It waits until this session's transaction ends. */
  readonly blocker: Blocker | undefined;
  /** How long it has been waiting, as far as was observed; 0 if it is not. */
  readonly blockedSeconds: number;
  /** For a backfill. */
  readonly fill?: Fill;
}

/** A build's progress now; undefined if it is not under way, or can't be seen. */
export async function seeProgress(
  session: Session,
  ledgerSchema: string,
  build: Build,
): Promise<ProgressSeen | undefined> {
  const { operation, state } = build;
  const filled =
    operation === 'backfill' && isOpen(build)
      ? fillProgress(build, await readWalks(session, ledgerSchema, build.id))
      : undefined;
  if (isStopped(build)) return stopped(state, filled);
  if (operation === 'backfill' || state !== 'building') return filled;
  return progressOf(build, await seeBuilder(session, build));
}

function stopped(state: BuildState, before: ProgressSeen | undefined): ProgressSeen {
  const nothing = { fraction: undefined, secondsElapsed: 0, blocker: undefined, blockedSeconds: 0 };
  const phase = before === undefined ? state : `${state}, ${before.phase}`;
  return { ...nothing, ...before, phase, secondsLeft: undefined };
}

/** Undefined before it begins. */
export function fillProgress(
  build: Pick<Build, 'secondsSinceFirstStart' | 'waiting'>,
  walks: readonly WalkSeen[],
): ProgressSeen | undefined {
  const secondsElapsed = Math.max(0, ...walks.map(({ seconds }) => seconds));
  const fill = fillOf(walks, secondsElapsed);
  if (fill === undefined) return undefined;
  const { rowsWalked, rowsEstimated, pause } = fill;
  // The planner's statistics may be outdated.
  const fraction = rowsEstimated === 0 ? undefined : Math.min(0.99, rowsWalked / rowsEstimated);
  return {
    phase: describeFill(fill),
    fraction,
    secondsElapsed,
    secondsLeft: pause === undefined ? secondsLeft(fraction, secondsElapsed) : undefined,
    blocker: undefined,
    blockedSeconds: build.waiting?.seconds ?? 0,
    fill,
  };
}

/** Undefined if it can't be seen: another role's build, or one that has just started. */
export function progressOf(
  build: Pick<Build, 'secondsSinceStart' | 'waiting'>,
  { progress, blocker }: SeenBuilder,
): ProgressSeen | undefined {
  if (progress === undefined && blocker === undefined) return undefined;
  const fraction = progress === undefined ? undefined : fractionDone(progress);
  const secondsElapsed = build.secondsSinceStart ?? 0;
  // Progress does not tell how long another session's transaction will last.
  const working = progress !== undefined && !isWaiting(progress.phase);
  return {
    phase: progress?.phase ?? 'waiting for the lock on its table',
    fraction,
    secondsElapsed,
    secondsLeft: working ? secondsLeft(fraction, secondsElapsed) : undefined,
    blocker: blocker === undefined ? undefined : asKnown(blocker, build.waiting),
    blockedSeconds: blocker === undefined ? 0 : (build.waiting?.seconds ?? 0),
  };
}

/** Where Postgres hides a transaction's age, it counts from when we first saw it. */
function asKnown(blocker: Blocker, waiting: Waiting | undefined): Blocker {
  const known = waiting?.blocker === blockerKey(blocker) ? waiting.blockerSeconds : 0;
  return { ...blocker, seconds: Math.max(blocker.seconds, known) };
}

/** For a build that we did not start, its turns are the only clock. */
export function elapsedOf({ secondsSinceStart, turns }: Build): number {
  return secondsSinceStart ?? turns * 40;
}
