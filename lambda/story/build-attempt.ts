import type { IndexBuild } from '../index-build/index-build.ts';
import type { PostgresFault } from '../migration/migration-error.ts';
import { type AttachedBuild, startAttached } from '../postgres/build-session/attached.ts';
import { startLoopback } from '../postgres/build-session/loopback.ts';
import { recordAttemptOutcome, setSessionKind } from '../postgres/index-build-rows.ts';
import { builderNames } from '../postgres/index-catalog.ts';
import type { Session } from '../postgres/session.ts';
import type { TurnRequest } from './turn.ts';

/** An attached build has to be over so long before its process ends. */
const MARGIN_MILLISECONDS = 30_000;

type Started = { readonly kind: 'watch'; readonly build: IndexBuild } | { readonly kind: 'build-over' };

/** Begins the attempt that was just recorded, in the first kind of session that works here. */
export async function startBuild(
  session: Session,
  request: TurnRequest,
  build: IndexBuild,
): Promise<Started> {
  const { target, options, report } = request;
  const attempt = build.attempts + 1;
  const refused = await startLoopback(session, {
    build,
    attempt,
    target,
    ledgerSchema: options.ledgerSchema,
    settings: [],
  });
  if (refused === undefined) {
    report({ kind: 'started', build, attempt, session: 'loopback' });
    return { kind: 'watch', build };
  }
  await setSessionKind(session, options.ledgerSchema, { id: build.id, kind: 'attached' });
  const attached = await startAttached(target, build, []);
  report({ kind: 'started', build, attempt, session: 'attached' });
  return holdToTheEnd(session, { request, build, attached, because: refused.because });
}

interface Held {
  readonly request: TurnRequest;
  readonly build: IndexBuild;
  readonly attached: AttachedBuild;
  readonly because: string;
}

/** Nothing else keeps this build alive, so it is held until it ends, or until our own end is near. */
async function holdToTheEnd(session: Session, { request, build, attached, because }: Held): Promise<Started> {
  const { options, deadline } = request;
  const tooLong = Symbol('too long');
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<typeof tooLong>((resolve) => {
    if (deadline !== undefined)
      timer = setTimeout(resolve, deadline - MARGIN_MILLISECONDS - Date.now(), tooLong);
  });
  // The turn's own session would be ended for being idle, and with it the table lock.
  const alive = setInterval(() => void session.query('select 1').catch(() => undefined), 20_000);
  const ended = await Promise.race([attached.ended, limit]);
  clearTimeout(timer);
  clearInterval(alive);
  if (ended !== tooLong) {
    const { id } = build;
    await recordAttemptOutcome(session, options.ledgerSchema, {
      id,
      attempts: build.attempts + 1,
      fault: ended,
    });
    return { kind: 'build-over' };
  }
  await session.query(
    'select pg_catalog.pg_cancel_backend(pid) from pg_catalog.pg_stat_activity where application_name = $1',
    [builderNames(build.id)[1]],
  );
  await attached.ended;
  const fault = neverInTime(because);
  await recordAttemptOutcome(session, options.ledgerSchema, {
    id: build.id,
    attempts: build.attempts + 1,
    fault,
  });
  return { kind: 'build-over' };
}

function neverInTime(because: string): PostgresFault {
  return {
    // feature_not_supported: no retry can succeed.
    sqlstate: '0A000',
    message: `the build needs longer than one invocation, and nothing here keeps it alive without us: ${because}`,
    hint: 'Create the extension dblink (create extension dblink) and retry, or build it from the command line, which may hold its session as long as it takes: npm run migrate -- up.',
  };
}
