import type { Blocker } from '../../postgres/catalog/blockers.ts';
import type { SeenBuilder } from '../../postgres/catalog/seen-builder.ts';
import type { IndexBuild } from '../index-build.ts';
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
}

/** Undefined where nothing is seen: another role's build, or one that has just begun. */
export function progressOf(
  build: Pick<IndexBuild, 'secondsSinceStart'>,
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
    blocker,
  };
}

/** Of a build that we did not start, its turns are the only clock. */
export function elapsedOf({ secondsSinceStart, turns }: IndexBuild): number {
  return secondsSinceStart ?? turns * 40;
}
