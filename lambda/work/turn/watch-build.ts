import { setTimeout as sleep } from 'node:timers/promises';
import { blockerKey } from '../../postgres/catalog/blockers.ts';
import { type SeenBuilder, seeBuilder } from '../../postgres/catalog/seen-builder.ts';
import { noteWaiting } from '../../postgres/ledger/build-waiting.ts';
import { readBuild } from '../../postgres/ledger/index-build-rows.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { IndexBuild } from '../index-build.ts';

export interface Watch {
  readonly build: IndexBuild;
  /** Milliseconds since 1970. */
  readonly until: number;
  /** Its statement is in a session of ours: the end is recorded by us, and a moment between two statements is none. */
  readonly held: boolean;
  readonly seen: (build: IndexBuild, builder: SeenBuilder) => void;
}

const FIRST_PAUSE_MILLISECONDS = 50;
const LONGEST_PAUSE_MILLISECONDS = 1_000;
/** Each pause is a twentieth of the time so far: the end is seen with no more delay than that. */
const GROWTH = 1.05;
/** The catalog is asked, and progress shown, less often. */
const SHOWN_GROWTH = 1.3;
/** How long an attempt may take to show its first sign of life. */
const GRACE_MILLISECONDS = 10_000;

/** Looks at a build until its attempt is over (true) or the time is up (false). Holds nothing open between looks. */
export async function watchBuild(session: Session, ledgerSchema: string, watch: Watch): Promise<boolean> {
  const begun = Date.now();
  let appeared = false;
  let shownPause = FIRST_PAUSE_MILLISECONDS;
  let shownAt = begun + shownPause;
  for (let pause = FIRST_PAUSE_MILLISECONDS; ; pause = Math.min(pause * GROWTH, LONGEST_PAUSE_MILLISECONDS)) {
    await sleep(Math.max(0, Math.min(pause, watch.until - Date.now())));
    const build = await readBuild(session, ledgerSchema, watch.build.id);
    if (build === undefined || build.state !== 'building' || build.attemptOutcome !== undefined) return true;
    if (Date.now() < Math.min(shownAt, watch.until)) continue;
    shownPause = Math.min(shownPause * SHOWN_GROWTH, LONGEST_PAUSE_MILLISECONDS);
    shownAt = Date.now() + shownPause;
    const builder = await seeBuilder(session, build);
    await noteWaiting(session, ledgerSchema, build, builder.blocker && blockerKey(builder.blocker));
    if (builder.alive) watch.seen(build, builder);
    else if (!watch.held && (appeared || build.builderAppeared || Date.now() - begun > GRACE_MILLISECONDS)) {
      return true;
    }
    appeared = builder.alive;
    if (Date.now() >= watch.until) return false;
  }
}
