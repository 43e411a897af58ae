import { isNearEnd, waitSeconds } from '../lambda/work/wait-seconds.ts';

/** Turn, TurnOutcome, WaitForBuild. */
const TRANSITIONS_PER_TURN = 3;

export interface SimulatedBuild {
  /** State transitions of its turns. */
  readonly transitions: number;
  /** Between the build's end and the turn that sees it. */
  readonly lateSeconds: number;
}

/** One build of so many seconds, looked at as the loop does it; `left` is what its progress tells at a moment. */
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
