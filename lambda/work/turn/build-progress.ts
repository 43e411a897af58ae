import { type Blocker, blockerKey } from '../../postgres/catalog/blockers.ts';
import type { SeenBuilder } from '../../postgres/catalog/seen-builder.ts';
import type { IndexBuild, Waiting } from '../index-build.ts';
import { fractionDone, isWaiting, secondsLeft } from '../progress.ts';

/** What a person sees of a build under way. */
export interface ProgressSeen {
  readonly phase: string;
  /** 0 to 1; absent where the phase tells nothing. */
  readonly fraction: number | undefined;
  readonly secondsElapsed: number;
  readonly secondsLeft: number | undefined;
  /** It stands still until this session's transaction ends. */
  readonly blocker: Blocker | undefined;
  /** For how long it has stood still, as far as the looks at it tell; 0 where it does not. */
  readonly blockedSeconds: number;
}

/** Undefined where nothing is seen: another role's build, or one that has just begun. */
export function progressOf(
  build: Pick<IndexBuild, 'secondsSinceStart' | 'waiting'>,
  { progress, blocker }: SeenBuilder,
): ProgressSeen | undefined {
  if (progress === undefined && blocker === undefined) return undefined;
  const fraction = progress === undefined ? undefined : fractionDone(progress);
  const secondsElapsed = build.secondsSinceStart ?? 0;
  // How long another session's transaction goes on, no progress tells.
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

/** Where Postgres hides the age of its transaction, it is as old as we have known it. */
function asKnown(blocker: Blocker, waiting: Waiting | undefined): Blocker {
  const known = waiting?.blocker === blockerKey(blocker) ? waiting.blockerSeconds : 0;
  return { ...blocker, seconds: Math.max(blocker.seconds, known) };
}

/** Of a build that we did not start, its turns are the only clock. */
export function elapsedOf({ secondsSinceStart, turns }: IndexBuild): number {
  return secondsSinceStart ?? turns * 40;
}
