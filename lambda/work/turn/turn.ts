import { isIndexBuild, isStopped } from '../../migration/build.ts';
import type { MigrationOptions } from '../../migration/options.ts';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import { startAttached } from '../../postgres/build-session/attached.ts';
import { startLoopback } from '../../postgres/build-session/loopback.ts';
import { blockerKey } from '../../postgres/catalog/blockers.ts';
import { seeIndex, validSince } from '../../postgres/catalog/index-catalog.ts';
import { type SeenBuilder, seeBuilder } from '../../postgres/catalog/seen-builder.ts';
import { isHalfDetached } from '../../postgres/catalog/seen-work.ts';
import { memorySettings, serverCapacity } from '../../postgres/catalog/server-capacity.ts';
import {
  beginAttempt,
  endBuild,
  noteSeen,
  pauseAttempts,
  recordAttemptOutcome,
  setSessionKind,
} from '../../postgres/ledger/build-attempt-rows.ts';
import { nextBuild, tablesToBuild } from '../../postgres/ledger/build-queue.ts';
import { readBuild } from '../../postgres/ledger/build-rows.ts';
import { noteWaiting } from '../../postgres/ledger/build-waiting.ts';
import { formatQuery, isOlderRow } from '../../postgres/ledger/ledger.ts';
import { upgradeIfFree } from '../../postgres/ledger/ledger-write.ts';
import { releaseTableLock, tryTableLock } from '../../postgres/ledger/run-lock.ts';
import { withSession } from '../../postgres/session/connect.ts';
import { refuseTransactionPooler } from '../../postgres/session/pooler.ts';
import { quoteIdentifier, quoteRelation } from '../../postgres/session/quote.ts';
import type { Session } from '../../postgres/session/session.ts';
import { sessionLimits } from '../../postgres/session/statement-limits.ts';
import type { Build, SessionKind } from '../build.ts';
import { buildMemory } from '../build-memory.ts';
import { decide } from '../decide.ts';
import type { TurnResult } from '../loop-task.ts';
import { isNearEnd, pauseSeconds, soonSeconds, waitSeconds } from '../wait-seconds.ts';
import { compareWithCode } from './as-compiled.ts';
import { elapsedOf, progressOf, seeProgress } from './build-progress.ts';
import { withSlot } from './build-slots.ts';
import { dropLeftOvers, leftStanding } from './drop-left-overs.ts';
import { fill } from './fill.ts';
import { advancePartitioned } from './partitioned-build.ts';
import { GRACE_SECONDS, stayWith, type Underway } from './stay-with-build.ts';
import type { TurnRequest } from './turn-request.ts';
import { duplicatesFault, withViolations } from './violations.ts';

/** When to come back if another turn has the table, or an INVALID index could not be dropped at once. */
const SOON_SECONDS = 2;
/** After this time, the table's next build gets its own turn: an attached one needs all the time there is. */
const FRESH_MILLISECONDS = 20_000;

/** Settings that a turn's session starts with. */
const TURN_SETTINGS = sessionLimits({ lock: 10_000, idle: 120 });

/**
 * One turn of one table: observe the catalog, decide, act; again for the table's next build until there is
 * something to wait for. A turn may be killed at any point and may come twice at once: the table lock lets one of
 * them act, and everything it acts on is read again.
 */
export async function takeTurn(request: TurnRequest): Promise<TurnResult> {
  const { target, table, turn } = request;
  return withSession(target, async (session) => {
    const { ledgerSchema } = request.options;
    const { rows } = await session.script(
      [
        "select pg_catalog.current_setting('migrations.direct', true) as direct",
        ...TURN_SETTINGS,
        formatQuery(ledgerSchema),
      ].join(';\n'),
    );
    if (rows[0]?.[0]?.direct !== '1') await refuseTransactionPooler(session, target);
    if (isOlderRow(rows[1 + TURN_SETTINGS.length]?.[0]) && !(await upgradeIfFree(session, ledgerSchema))) {
      return { outcome: 'wait', waitSeconds: SOON_SECONDS, turn };
    }
    const begun = Date.now();
    const counted = new Set<string>();
    for (;;) {
      if (request.deadline !== undefined && Date.now() - begun > FRESH_MILLISECONDS) {
        return { outcome: 'wait', waitSeconds: 0, turn };
      }
      if (!(await tryTableLock(session, table))) return { outcome: 'wait', waitSeconds: SOON_SECONDS, turn };
      const next = await actOnce(session, request, counted);
      await releaseTableLock(session, table);
      switch (next.kind) {
        case 'table-done':
          return { outcome: 'done', waitSeconds: 0, turn };
        case 'build-over':
          break;
        case 'come-back':
          return { outcome: 'wait', waitSeconds: next.seconds, turn };
        case 'watch': {
          const seconds = await stayWith(session, request, next);
          if (seconds !== undefined) return { outcome: 'wait', waitSeconds: seconds, turn };
          break;
        }
        default:
          return next satisfies never;
      }
    }
  });
}

type Next =
  | { readonly kind: 'table-done' }
  | { readonly kind: 'build-over' }
  | { readonly kind: 'come-back'; readonly seconds: number }
  | ({ readonly kind: 'watch' } & Underway);

/** Under the table lock: look at the build whose turn it is, decide, act. */
async function actOnce(session: Session, request: TurnRequest, counted: Set<string>): Promise<Next> {
  const { options, report, turn } = request;
  const first = await nextBuild(session, options.ledgerSchema, request.table, counted);
  if (first === undefined) return { kind: 'table-done' };
  counted.add(first.id);
  if (isStopped(first)) {
    report({ kind: 'turn', build: first, turn, decision: 'wait' });
    const progress = await seeProgress(session, options.ledgerSchema, first);
    if (progress !== undefined) report({ kind: 'progress', build: first, progress });
    return { kind: 'come-back', seconds: soonSeconds(first.turns) };
  }
  const builder = await seeBuilder(session, first);
  const compared = await compareWithCode(session, first, { ...options, migrations: request.migrations });
  if (compared.kind !== 'as compiled') {
    // A running build was started when the ledger still matched the code.
    if (builder.alive) return { kind: 'come-back', seconds: soonSeconds(first.turns) };
    if (compared.kind === 'refused')
      return fail(session, request, { build: first, fault: compared.fault, refused: true });
    return done(session, request, { build: first, adopted: true });
  }
  if (first.partitioned) return actOnPartitioned(session, request, first);
  if (first.operation === 'backfill') return actOnBackfill(session, request, first);
  await noteWaiting(session, options.ledgerSchema, first, builder.blocker && blockerKey(builder.blocker));
  await noteSeen(session, options.ledgerSchema, { build: first, pid: builder.pid });
  const build = builder.alive ? first : await withOutcome(session, options, first);
  const fault = build.attemptOutcome?.kind === 'failed' ? build.attemptOutcome.fault : undefined;
  // An attempt that never got its lock has done nothing: any number is fine, each after a while.
  const locked = !isIndexBuild(build) && fault?.sqlstate === sqlstate.lockNotAvailable;
  if (locked && (build.secondsSinceStart ?? 0) < options.lockTimeoutSeconds + soonSeconds(build.turns)) {
    return { kind: 'come-back', seconds: soonSeconds(build.turns) };
  }
  const decision = decide({
    index: await seeIndex(session, build),
    builderAlive: builder.alive || isAboutToAppear(build),
    fault,
    attempts: build.attempts,
    maxAttempts: locked ? Infinity : options.maxAttempts,
  });
  report({ kind: 'turn', build, turn, decision: decision.kind });
  if ('dropFirst' in decision && decision.dropFirst) {
    const dropped = await dropLeftOvers(session, build, TURN_SETTINGS);
    if (dropped.kind === 'locked') return { kind: 'come-back', seconds: soonSeconds(build.turns) };
    if (dropped.kind === 'refused') {
      const failedWith = decision.kind === 'fail' ? decision.fault : undefined;
      return fail(session, request, { build, fault: leftStanding(dropped, failedWith) });
    }
  }
  switch (decision.kind) {
    case 'done':
      return done(session, request, { build, adopted: decision.adopted });
    case 'fail':
      return fail(session, request, { build, fault: decision.fault });
    case 'wait':
      return waitFor(request, build, builder);
    case 'start':
      if (build.attempts > 0) {
        const seconds = await pauseBefore(session, request, build);
        if (seconds > 0) return { kind: 'come-back', seconds };
      }
      if (build.attempts === 0) {
        const fault = await duplicatesFault(session, build, options.dataCheckSeconds);
        if (fault !== undefined) return fail(session, request, { build, fault });
      }
      return (
        (await beginWhereFree(session, request, { build, kind: 'loopback' })) ??
        startBuild(session, request, build)
      );
    default:
      return decision satisfies never;
  }
}

/**
 * Seconds until the next attempt, since the cause of a failure may need a while to pass. The pause starts when a turn
 * has seen the failure and dropped what it left; from then on the build is pending, and its slot is free for others.
 */
async function pauseBefore(session: Session, request: TurnRequest, build: Build): Promise<number> {
  const { attempts, attemptOutcome, secondsSinceStart = Infinity } = build;
  const fault = attemptOutcome?.kind === 'failed' ? attemptOutcome.fault : undefined;
  const pause = (request.pauseSeconds ?? pauseSeconds)(attempts, fault);
  if (pause === 0) return 0;
  if (build.state === 'pending') return Math.max(0, Math.ceil(pause - secondsSinceStart));
  await pauseAttempts(session, request.options.ledgerSchema, build);
  return pause;
}

/**
 * Starts the attempt if a slot is free: builds side by side, of all loops on one database, share the server's memory.
 */
async function beginWhereFree(
  session: Session,
  request: TurnRequest,
  { build, kind }: { readonly build: Build; readonly kind: SessionKind },
): Promise<Next | undefined> {
  const { ledgerSchema, maxConcurrentTables: most } = request.options;
  const begun = await withSlot(session, { ledgerSchema, table: build, most }, () =>
    beginAttempt(session, ledgerSchema, { build, kind }),
  );
  if (begun === undefined) return { kind: 'come-back', seconds: soonSeconds(build.turns) };
  return begun ? undefined : { kind: 'come-back', seconds: SOON_SECONDS };
}

/** The turn itself runs its batches, until they are done or its time is up. */
async function actOnBackfill(session: Session, request: TurnRequest, first: Build): Promise<Next> {
  const { options, report, turn } = request;
  const begins = first.state === 'pending';
  report({ kind: 'turn', build: first, turn, decision: begins ? 'start' : 'wait' });
  if (begins) {
    const busy = await beginWhereFree(session, request, { build: first, kind: 'attached' });
    if (busy !== undefined) return busy;
    report({ kind: 'started', build: first, attempt: first.attempts + 1, session: 'attached' });
  }
  const again = async () => (await readBuild(session, options.ledgerSchema, first.id)) ?? first;
  const { version, step, operation, statement, definition, settings } = first;
  // Of what was written meanwhile only how far it is: the rest was compared with the code before.
  const begun = { ...(await again()), version, step, operation, statement, definition, settings };
  const end = await fill(session, request, { build: begun, own: TURN_SETTINGS });
  if (end.kind === 'come-back') return end;
  const build = await again();
  switch (end.kind) {
    case 'failed':
      return fail(session, request, { build, fault: end.fault });
    case 'filled':
      return done(session, request, { build, adopted: false });
    default:
      return end satisfies never;
  }
}

/**
 * A builder that is gone may have written its outcome since the build was read. Without it, a build of hours that can
 * never succeed would be repeated.
 */
async function withOutcome(
  session: Session,
  { ledgerSchema }: MigrationOptions,
  build: Build,
): Promise<Build> {
  if (build.state !== 'building' || build.attemptOutcome !== undefined) return build;
  const { attemptOutcome, id, attempts } = (await readBuild(session, ledgerSchema, build.id)) ?? build;
  if (attemptOutcome === undefined && build.operation === 'create' && build.session !== 'loopback') {
    const endedAt = await validSince(session, build);
    if (endedAt !== undefined)
      await recordAttemptOutcome(session, ledgerSchema, { id, attempts, fault: undefined, endedAt });
  }
  // Only the outcome: what will be executed was compared with the code before.
  return { ...build, attemptOutcome };
}

async function done(
  session: Session,
  { options, report }: TurnRequest,
  { build, adopted }: { readonly build: Build; readonly adopted: boolean },
): Promise<Next> {
  await endBuild(session, options.ledgerSchema, build, { state: 'done', adopted });
  report({ kind: 'ended', build, outcome: adopted ? 'adopted' : 'done', fault: undefined });
  return { kind: 'build-over' };
}

async function fail(
  session: Session,
  { options, report }: TurnRequest,
  { build, fault, refused = false }: { build: Build; fault: PostgresFault; refused?: boolean },
): Promise<Next> {
  const told = await withViolations(session, { build, fault, seconds: options.dataCheckSeconds });
  await endBuild(session, options.ledgerSchema, build, { state: 'failed', fault: told, refused });
  report({ kind: 'ended', build, outcome: 'failed', fault: told });
  return { kind: 'build-over' };
}

async function actOnPartitioned(session: Session, request: TurnRequest, build: Build): Promise<Next> {
  const { options, report, turn } = request;
  const step = await advancePartitioned(session, build, {
    ledgerSchema: options.ledgerSchema,
    own: TURN_SETTINGS,
  });
  switch (step.kind) {
    case 'partitions-first':
      // They are other tables, in other branches: the loop finds them, and returns to this table when they have ended.
      report({ kind: 'turn', build, turn, decision: 'start' });
      return { kind: 'table-done' };
    case 'attached':
      return { kind: 'build-over' };
    case 'again':
      report({ kind: 'turn', build, turn, decision: 'wait' });
      return { kind: 'come-back', seconds: soonSeconds(build.turns) };
    case 'valid':
      report({ kind: 'turn', build, turn, decision: 'done' });
      return done(session, request, { build, adopted: step.adopted });
    case 'failed':
      report({ kind: 'turn', build, turn, decision: 'fail' });
      return fail(session, request, { build, fault: step.fault });
    default:
      return step satisfies never;
  }
}

function isAboutToAppear(build: Build): boolean {
  const { state, attemptOutcome, builderAppeared, secondsSinceStart } = build;
  const begun = state === 'building' && attemptOutcome === undefined;
  return begun && !builderAppeared && (secondsSinceStart ?? Infinity) < GRACE_SECONDS;
}

/** Watches a build that ends soon to its end; leaves any other alone for a while. */
function waitFor({ options, report }: TurnRequest, build: Build, builder: SeenBuilder): Next {
  const seen = progressOf(build, builder);
  if (seen !== undefined) report({ kind: 'progress', build, progress: seen });
  if (isAboutToAppear(build) || isNearEnd(seen?.secondsLeft, options.attachSeconds))
    return { kind: 'watch', build, session: { kind: 'of-another-turn' } };
  return { kind: 'come-back', seconds: waitSeconds(elapsedOf(build), seen?.secondsLeft) };
}

/** DETACH PARTITION CONCURRENTLY that was interrupted halfway is finished with FINALIZE. */
async function asItStands(session: Session, build: Build): Promise<Build> {
  if (build.operation !== 'detach' || build.attempts === 0 || !(await isHalfDetached(session, build)))
    return build;
  const table = quoteRelation({ schema: build.schema, name: build.table });
  const statement = `alter table ${table} detach partition ${quoteIdentifier(build.index)} finalize`;
  return { ...build, statement };
}

/** Starts the attempt that was just recorded, in the best kind of session that works here. */
export async function startBuild(
  session: Session,
  { target, options, report }: TurnRequest,
  build: Build,
): Promise<({ readonly kind: 'watch' } & Underway) | { readonly kind: 'build-over' }> {
  const { ledgerSchema } = options;
  const attempt = build.attempts + 1;
  const sideBySide = Math.min(options.maxConcurrentTables, await tablesToBuild(session, ledgerSchema));
  const settings = memorySettings(buildMemory(await serverCapacity(session), sideBySide, options));
  const { lockTimeoutSeconds } = options;
  const start = { build: await asItStands(session, build), attempt, target, settings, lockTimeoutSeconds };
  const refused = await startLoopback(session, { ...start, ledgerSchema });
  if (refused === undefined) {
    report({ kind: 'started', build, attempt, session: 'loopback' });
    return { kind: 'watch', build, session: { kind: 'loopback' } };
  }
  if (refused.passing !== undefined) {
    // A passing error is no reason to build in a session that does not outlive us: this attempt fails, and another
    // follows.
    await recordAttemptOutcome(session, ledgerSchema, {
      id: build.id,
      attempts: attempt,
      fault: refused.passing,
    });
    return { kind: 'build-over' };
  }
  const attached = await startAttached({
    ...start,
    report,
    connected: (pid) => setSessionKind(session, ledgerSchema, { id: build.id, kind: 'attached', pid }),
  });
  report({ kind: 'started', build, attempt, session: 'attached', because: refused.because });
  return {
    kind: 'watch',
    build,
    session: { kind: 'attached', attached: { session: attached, because: refused.because } },
  };
}
