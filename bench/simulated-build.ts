import { isNearEnd, waitSeconds } from '../lambda/work/wait-seconds.ts';

/** Turn, TurnOutcome, WaitForBuild. */
const TRANSITIONS_PER_TURN = 3;

export interface SimulatedBuild {
  /** State transitions of its turns. */
  readonly transitions: number;
  /** Seconds between the build's end and the turn that sees it. */
  readonly lateSeconds: number;
}

/** One build of this many seconds, observed as the loop does; `left` is what its progress shows at a moment. */
export function simulateBuild(
  seconds: number,
  attachSeconds: number,
  left: (elapsedSeconds: number) => number | undefined,
): SimulatedBuild {
  let elapsed = Math.min(attachSeconds, seconds);
  let turns = 1;
  while (elapsed < seconds) {
    elapsed += waitSeconds(elapsed, left(elapsed));
    turns += 1;
    if (elapsed < seconds && isNearEnd(left(elapsed), attachSeconds)) {
      elapsed = Math.min(seconds, elapsed + attachSeconds);
    }
  }
  return { transitions: turns * TRANSITIONS_PER_TURN, lateSeconds: elapsed - seconds };
}
