import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import type { AttachedBuild } from '../../postgres/build-session/attached.ts';
import { survivalOf } from '../../postgres/build-session/survival-probe.ts';
import { blockerKey } from '../../postgres/catalog/blockers.ts';
import { builderNames } from '../../postgres/catalog/builder-names.ts';
import { seeBuilder } from '../../postgres/catalog/seen-builder.ts';
import { noteSeen, recordAttemptOutcome, setSessionKind } from '../../postgres/ledger/build-attempt-rows.ts';
import { readBuild } from '../../postgres/ledger/build-rows.ts';
import { noteWaiting } from '../../postgres/ledger/build-waiting.ts';
import { asLoginRole } from '../../postgres/session/as-login-role.ts';
import { quoteLiteral } from '../../postgres/session/quote.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { Build } from '../build.ts';
import { waitSeconds } from '../wait-seconds.ts';
import { elapsedOf, progressOf } from './build-progress.ts';
import type { TurnRequest } from './turn-request.ts';

/** A running build, and the session it runs in: whether it would end with this turn. */
export interface Underway {
  readonly build: Build;
  readonly session: /** Another turn began it. */
    | { readonly kind: 'of-another-turn' }
    /** This turn started it in a loopback session. */
    | { readonly kind: 'loopback' }
    /** Its statement runs in one of our sessions. */
    | { readonly kind: 'attached'; readonly attached: Attached };
}

/** How long before the end of its process a turn stops; an attached build is cancelled then. */
const MARGIN_MILLISECONDS = 30_000;

/**
 * Stays with a build until it has ended, and returns undefined; or leaves it after `attachSeconds`, and returns the
 * seconds until the next look. Leaves only a build that a probe has shown to survive; stays with any other until it
 * ends, or until our own end is near.
 */
export async function stayWith(
  session: Session,
  request: TurnRequest,
  { build, session: its }: Underway,
): Promise<number | undefined> {
  const lastMoment = request.deadline === undefined ? Infinity : request.deadline - MARGIN_MILLISECONDS;
  const attachUntil = Math.min(Date.now() + request.options.attachSeconds * 1000, lastMoment);
  switch (its.kind) {
    case 'of-another-turn':
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
        return await stayAttached(session, request, {
          build,
          attached: its.attached,
          attachUntil,
          lastMoment,
        });
      } catch (error) {
        // Nothing would end its session, which would stay open in a frozen process.
        its.attached.session.letGo();
        throw error;
      }
    default:
      return its satisfies never;
  }
}

interface Attachment {
  readonly build: Build;
  readonly attached: Attached;
  readonly attachUntil: number;
  readonly lastMoment: number;
}

async function stayAttached(
  session: Session,
  request: TurnRequest,
  { build, attached, attachUntil, lastMoment }: Attachment,
): Promise<number | undefined> {
  const own = new OwnAttempt(session, request.options.ledgerSchema, { build, attached });
  // A process without a deadline, the command line, has no reason to leave its build.
  const until = Number.isFinite(lastMoment) ? attachUntil : Infinity;
  if (await watch(session, request, { build, until, attached: true })) {
    await own.recorded();
    return undefined;
  }
  const survival = await survives(session, request, 'orphan');
  if (survival.survives) {
    await own.letGo();
    return secondsUntilNextLook(session, request, build);
  }
  if (await watch(session, request, { build, until: lastMoment, attached: true })) await own.recorded();
  else await own.giveUp(survival.because);
  return undefined;
}

function survives(session: Session, { target, options }: TurnRequest, kind: 'loopback' | 'orphan') {
  return survivalOf(session, { kind, target, ledgerSchema: options.ledgerSchema });
}

async function secondsUntilNextLook(
  session: Session,
  { options }: TurnRequest,
  build: Build,
): Promise<number> {
  const fresh = (await readBuild(session, options.ledgerSchema, build.id)) ?? build;
  return waitSeconds(elapsedOf(fresh), progressOf(fresh, await seeBuilder(session, fresh))?.secondsLeft);
}

interface Watch {
  readonly build: Build;
  /** Milliseconds since 1970. */
  readonly until: number;
  /** Its statement runs in our session, so we record its end; an idle moment between two statements is not the end. */
  readonly attached?: boolean;
}

const FIRST_PAUSE_MILLISECONDS = 50;
const LONGEST_PAUSE_MILLISECONDS = 1_000;
/** Each pause is a twentieth of the time so far, which bounds the delay in seeing the end. */
const GROWTH = 1.05;
/** The catalog is read, and progress shown, less often. */
const SHOWN_GROWTH = 1.3;
/** How long an attempt may take to appear; after that it never will. */
export const GRACE_SECONDS = 10;

/**
 * Watches a build until its attempt has ended (true) or the time is up (false). Keeps no transaction open between looks.
 */
async function watch(
  session: Session,
  { options: { ledgerSchema }, report }: TurnRequest,
  { build: begunBuild, until, attached = false }: Watch,
): Promise<boolean> {
  const begun = Date.now();
  let appeared = false;
  let shownPause = FIRST_PAUSE_MILLISECONDS;
  let shownAt = begun + shownPause;
  for (let pause = FIRST_PAUSE_MILLISECONDS; ; pause = Math.min(pause * GROWTH, LONGEST_PAUSE_MILLISECONDS)) {
    await sleep(Math.max(0, Math.min(pause, until - Date.now())));
    const build = await readBuild(session, ledgerSchema, begunBuild.id);
    if (build === undefined || build.state !== 'building' || build.attemptOutcome !== undefined) return true;
    if (Date.now() < Math.min(shownAt, until)) continue;
    shownPause = Math.min(shownPause * SHOWN_GROWTH, LONGEST_PAUSE_MILLISECONDS);
    shownAt = Date.now() + shownPause;
    const builder = await seeBuilder(session, build);
    await noteWaiting(session, ledgerSchema, build, builder.blocker && blockerKey(builder.blocker));
    if (!attached) await noteSeen(session, ledgerSchema, { build, pid: builder.pid });
    if (builder.alive) {
      const progress = progressOf(build, builder);
      if (progress !== undefined) report({ kind: 'progress', build, progress });
    }
    if (
      !builder.alive &&
      !attached &&
      (appeared || build.builderAppeared || Date.now() - begun > GRACE_SECONDS * 1000)
    ) {
      return true;
    }
    appeared = builder.alive;
    if (Date.now() >= until) return false;
  }
}

interface Attached {
  readonly session: AttachedBuild;
  /** Why it is not a loopback session. */
  readonly because: string;
}

/** How long to wait for our session to report that the build ended; a half-open connection may never report it. */
const PATIENCE_MILLISECONDS = 5_000;

/** An attempt whose statement runs in our session, so that we record its end. */
class OwnAttempt {
  #let = false;
  readonly #session: Session;
  readonly #ledgerSchema: string;
  readonly #build: Build;
  readonly #attached: Attached;
  readonly #recorded: Promise<void>;

  constructor(
    session: Session,
    ledgerSchema: string,
    { build, attached }: { build: Build; attached: Attached },
  ) {
    this.#session = session;
    this.#ledgerSchema = ledgerSchema;
    this.#build = build;
    this.#attached = attached;
    this.#recorded = attached.session.ended.then((fault) => (this.#let ? undefined : this.#record(fault)));
    // Awaited where it matters; the watch sees what is recorded.
    this.#recorded.catch(() => undefined);
  }

  /** Resolves when the outcome is recorded, soon after nobody is seen building. */
  async recorded(): Promise<void> {
    const late = new AbortController();
    await Promise.race([
      this.#recorded,
      sleep(PATIENCE_MILLISECONDS, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
  }

  /** Leaves the statement running without us. */
  async letGo(): Promise<void> {
    this.#let = true;
    await setSessionKind(this.#session, this.#ledgerSchema, {
      id: this.#build.id,
      kind: 'orphan',
      pid: this.#attached.session.pid,
    });
    await noteSeen(this.#session, this.#ledgerSchema, {
      build: this.#build,
      pid: this.#attached.session.pid,
    });
    this.#attached.session.letGo();
  }

  /** Nothing here can keep the build alive for as long as it needs: cancels it cleanly, and says so. */
  async giveUp(because: string): Promise<void> {
    this.#let = true;
    await asLoginRole(
      this.#session,
      `select pg_catalog.pg_cancel_backend(pid) as cancelled from pg_catalog.pg_stat_activity
        where application_name = ${quoteLiteral(builderNames(this.#build)[1])}
          and datname = pg_catalog.current_database() and usename = session_user`,
    );
    await this.#attached.session.ended;
    await this.#record(neverInTime(`${this.#attached.because}; ${because}`));
  }

  async #record(fault: PostgresFault | undefined): Promise<void> {
    const { id, attempts } = this.#build;
    await recordAttemptOutcome(this.#session, this.#ledgerSchema, { id, attempts: attempts + 1, fault });
  }
}

function neverInTime(because: string): PostgresFault {
  const fix = because.includes('IAM authentication')
    ? 'Give the migrations a user with a password (the prop secret)'
    : because.includes('extension dblink')
      ? 'Create the extension dblink (create extension dblink)'
      : 'Let the server connect to itself by dblink (the reason above says what keeps it from that: pg_hba.conf, a right, a password)';
  return {
    // feature_not_supported: no retry can succeed.
    sqlstate: sqlstate.featureNotSupported,
    message: `the build needs longer than one invocation, and nothing here keeps it alive without us: ${because}`,
    hint: `${fix} and retry, or build it from the command line, which may hold its session as long as it takes: npx cdk-postgres-migrations up.`,
  };
}
