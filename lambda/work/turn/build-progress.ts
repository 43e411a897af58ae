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
  /** 0 to 1; absent where the phase tells nothing. */
  readonly fraction: number | undefined;
  readonly secondsElapsed: number;
  readonly secondsLeft: number | undefined;
  /** It stands still until this session's transaction ends. */
  readonly blocker: Blocker | undefined;
  /** For how long it has stood still, as far as the looks at it tell; 0 where it does not. */
  readonly blockedSeconds: number;
  /** Of a backfill. */
  readonly fill?: Fill;
}

/** A build as it is now; undefined where it is not under way, or nothing is seen of it. */
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

/** Undefined where it has not begun. */
export function fillProgress(
  build: Pick<Build, 'secondsSinceFirstStart' | 'waiting'>,
  walks: readonly WalkSeen[],
): ProgressSeen | undefined {
  const secondsElapsed = Math.max(0, ...walks.map(({ seconds }) => seconds));
  const fill = fillOf(walks, secondsElapsed);
  if (fill === undefined) return undefined;
  const { rowsWalked, rowsEstimated, pause } = fill;
  // Statistics may be old.
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

/** Undefined where nothing is seen: another role's build, or one that has just begun. */
export function progressOf(
  build: Pick<Build, 'secondsSinceStart' | 'waiting'>,
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
export function elapsedOf({ secondsSinceStart, turns }: Build): number {
  return secondsSinceStart ?? turns * 40;
}
