import { survivalOf } from '../../postgres/build-session/survival-probe.ts';
import { seeBuilder } from '../../postgres/catalog/seen-builder.ts';
import { readBuild } from '../../postgres/ledger/index-build-rows.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { IndexBuild } from '../index-build.ts';
import { waitSeconds } from '../wait-seconds.ts';
import { elapsedOf, progressOf } from './build-progress.ts';
import { type Attached, HeldBuild } from './held-build.ts';
import type { TurnRequest } from './turn-request.ts';
import { watchBuild } from './watch-build.ts';

/** A build that runs, and what of it ends with this turn, as far as we know. */
export interface Underway {
  readonly build: IndexBuild;
  readonly holding: /** Another turn began it. */
    | { readonly kind: 'nothing' }
    /** This turn began it in a loopback session. */
    | { readonly kind: 'loopback' }
    /** Its statement runs in a session of ours. */
    | { readonly kind: 'attached'; readonly attached: Attached };
}

/** A turn stops so long before its process ends; an attached build is cancelled then. */
const MARGIN_MILLISECONDS = 30_000;

/**
 * Stays with a build until it is over, which gives undefined, or lets it go after `attachSeconds`, which gives the
 * seconds until the next look. Lets go only of what was seen to survive that here; anything else is held until it
 * ends, or until our own end is near.
 */
export async function stayWith(
  session: Session,
  request: TurnRequest,
  { build, holding }: Underway,
): Promise<number | undefined> {
  const lastMoment = request.deadline === undefined ? Infinity : request.deadline - MARGIN_MILLISECONDS;
  const attachUntil = Math.min(Date.now() + request.options.attachSeconds * 1000, lastMoment);
  switch (holding.kind) {
    case 'nothing':
      if (await watch(session, request, { build, until: attachUntil })) return undefined;
      return secondsUntilNextLook(session, request, build);
    case 'loopback':
      if (await watch(session, request, { build, until: attachUntil })) return undefined;
      if (!(await survives(session, request, 'loopback')).survives && Number.isFinite(lastMoment)) {
        if (await watch(session, request, { build, until: lastMoment })) return undefined;
      }
      return secondsUntilNextLook(session, request, build);
    case 'attached':
      try {
        return await hold(session, request, { build, attached: holding.attached, attachUntil, lastMoment });
      } catch (error) {
        // Nobody would be left to end its session, which would stay open in a process that is frozen.
        holding.attached.session.letGo();
        throw error;
      }
    default:
      return holding satisfies never;
  }
}

interface Hold {
  readonly build: IndexBuild;
  readonly attached: Attached;
  readonly attachUntil: number;
  readonly lastMoment: number;
}

async function hold(
  session: Session,
  request: TurnRequest,
  { build, attached, attachUntil, lastMoment }: Hold,
): Promise<number | undefined> {
  const held = new HeldBuild(session, request.options.ledgerSchema, { build, attached });
  // A process without an end, the command line, has no reason to let go of what it holds.
  const until = Number.isFinite(lastMoment) ? attachUntil : Infinity;
  if (await watch(session, request, { build, until, held: true })) {
    await held.recorded();
    return undefined;
  }
  const survival = await survives(session, request, 'orphan');
  if (survival.survives) {
    await held.letGo();
    return secondsUntilNextLook(session, request, build);
  }
  if (await watch(session, request, { build, until: lastMoment, held: true })) await held.recorded();
  else await held.giveUp(survival.because);
  return undefined;
}

function survives(session: Session, { target, options }: TurnRequest, kind: 'loopback' | 'orphan') {
  return survivalOf(session, { kind, target, ledgerSchema: options.ledgerSchema });
}

function watch(
  session: Session,
  { options, report }: TurnRequest,
  { build, until, held = false }: { build: IndexBuild; until: number; held?: boolean },
): Promise<boolean> {
  return watchBuild(session, options.ledgerSchema, {
    build,
    until,
    held,
    seen: (fresh, builder) => {
      const seen = progressOf(fresh, builder);
      if (seen !== undefined) report({ kind: 'progress', build: fresh, progress: seen });
    },
  });
}

async function secondsUntilNextLook(
  session: Session,
  { options }: TurnRequest,
  build: IndexBuild,
): Promise<number> {
  const fresh = (await readBuild(session, options.ledgerSchema, build.id)) ?? build;
  return waitSeconds(elapsedOf(fresh), progressOf(fresh, await seeBuilder(session, fresh))?.secondsLeft);
}
