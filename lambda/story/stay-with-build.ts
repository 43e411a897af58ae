import type { IndexBuild } from '../index-build/index-build.ts';
import { waitSeconds } from '../index-build/wait-seconds.ts';
import type { PostgresFault } from '../migration/migration-error.ts';
import { recordAttemptOutcome, setSessionKind } from '../postgres/build-attempt-rows.ts';
import type { AttachedBuild } from '../postgres/build-session/attached.ts';
import { survivalOf } from '../postgres/build-session/survival-probe.ts';
import { readBuild } from '../postgres/index-build-rows.ts';
import { builderNames, seeBuilder } from '../postgres/index-catalog.ts';
import type { Session } from '../postgres/session.ts';
import { elapsedOf, progressOf } from './build-progress.ts';
import type { TurnRequest } from './turn.ts';
import { watchBuild } from './watch-build.ts';

/** A build that runs, and our own session with its statement, where it has one. */
export interface Underway {
  readonly build: IndexBuild;
  readonly attached: { readonly session: AttachedBuild; readonly because: string } | undefined;
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
  underway: Underway,
): Promise<number | undefined> {
  const { options, deadline, target } = request;
  const { build, attached } = underway;
  const held =
    attached === undefined ? undefined : new HeldBuild(session, request, { ...underway, attached });
  const lastMoment = deadline === undefined ? undefined : deadline - MARGIN_MILLISECONDS;
  const attachUntil = Date.now() + options.attachSeconds * 1000;
  // A process without an end, the command line, has no reason to let go of what it holds.
  const first =
    held !== undefined && lastMoment === undefined
      ? undefined
      : Math.min(attachUntil, lastMoment ?? Infinity);
  if (await watch(session, request, { build, until: first })) return undefined;
  const kind = held === undefined ? 'loopback' : 'orphan';
  const survival = await survivalOf(session, { kind, target, ledgerSchema: options.ledgerSchema });
  if (survival.survives) {
    await held?.letGo();
    return secondsUntilNextLook(session, request, build);
  }
  if (lastMoment !== undefined && (await watch(session, request, { build, until: lastMoment })))
    return undefined;
  await held?.giveUp();
  return held === undefined ? secondsUntilNextLook(session, request, build) : undefined;
}

function watch(
  session: Session,
  { options, report }: TurnRequest,
  { build, until }: { build: IndexBuild; until: number | undefined },
): Promise<boolean> {
  return watchBuild(session, options.ledgerSchema, {
    build,
    until: until ?? Infinity,
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

/** A build whose statement runs in a session of ours: its end is ours to record. */
class HeldBuild {
  #let = false;
  readonly #session: Session;
  readonly #request: TurnRequest;
  readonly #build: IndexBuild;
  readonly #attached: AttachedBuild;
  readonly #because: string;
  readonly #recorded: Promise<void>;

  constructor(
    session: Session,
    request: TurnRequest,
    { build, attached }: Required<Underway> & { attached: NonNullable<Underway['attached']> },
  ) {
    this.#session = session;
    this.#request = request;
    this.#build = build;
    this.#attached = attached.session;
    this.#because = attached.because;
    this.#recorded = attached.session.ended.then((fault) => (this.#let ? undefined : this.#record(fault)));
    // Awaited where it matters; the watch sees what was recorded.
    this.#recorded.catch(() => undefined);
  }

  /** The statement goes on without us. */
  async letGo(): Promise<void> {
    this.#let = true;
    await setSessionKind(this.#session, this.#request.options.ledgerSchema, {
      id: this.#build.id,
      kind: 'orphan',
    });
    this.#attached.letGo();
  }

  /** Nothing here can keep the build alive for as long as it needs: end it cleanly, and say so. */
  async giveUp(): Promise<void> {
    this.#let = true;
    await this.#session.query(
      'select pg_catalog.pg_cancel_backend(pid) from pg_catalog.pg_stat_activity where application_name = $1',
      [builderNames(this.#build.id)[1]],
    );
    await this.#attached.ended;
    await this.#record(neverInTime(this.#because));
  }

  async #record(fault: PostgresFault | undefined): Promise<void> {
    const { id, attempts } = this.#build;
    await recordAttemptOutcome(this.#session, this.#request.options.ledgerSchema, {
      id,
      attempts: attempts + 1,
      fault,
    });
  }
}

function neverInTime(because: string): PostgresFault {
  return {
    // feature_not_supported: no retry can succeed.
    sqlstate: '0A000',
    message: `the build needs longer than one invocation, and nothing here keeps it alive without us: ${because}`,
    hint: 'Create the extension dblink (create extension dblink) and retry, or build it from the command line, which may hold its session as long as it takes: npm run migrate -- up.',
  };
}
