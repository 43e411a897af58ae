import { startAttached } from '../../postgres/build-session/attached.ts';
import { startLoopback } from '../../postgres/build-session/loopback.ts';
import { memorySettings, serverCapacity } from '../../postgres/catalog/server-capacity.ts';
import { recordAttemptOutcome, setSessionKind } from '../../postgres/ledger/build-attempt-rows.ts';
import { tablesToBuild } from '../../postgres/ledger/build-queue.ts';
import type { Session } from '../../postgres/session/session.ts';
import { buildMemory } from '../build-memory.ts';
import type { IndexBuild } from '../index-build.ts';
import type { Underway } from './stay-with-build.ts';
import type { TurnRequest } from './turn-request.ts';

/** Begins the attempt that was just recorded, in the first kind of session that can be had here. */
export async function startBuild(
  session: Session,
  { target, options, report }: TurnRequest,
  build: IndexBuild,
): Promise<({ readonly kind: 'watch' } & Underway) | { readonly kind: 'build-over' }> {
  const { ledgerSchema } = options;
  const attempt = build.attempts + 1;
  const sideBySide = Math.min(options.maxConcurrentTables, await tablesToBuild(session, ledgerSchema));
  const settings = memorySettings(buildMemory(await serverCapacity(session), sideBySide, options));
  const refused = await startLoopback(session, { build, attempt, target, ledgerSchema, settings });
  if (refused === undefined) {
    report({ kind: 'started', build, attempt, session: 'loopback' });
    return { kind: 'watch', build, holding: { kind: 'loopback' } };
  }
  if (refused.passing !== undefined) {
    // It is no reason to build in a session that does not outlive us: the attempt has failed, and another follows.
    await recordAttemptOutcome(session, ledgerSchema, {
      id: build.id,
      attempts: attempt,
      fault: refused.passing,
    });
    return { kind: 'build-over' };
  }
  const attached = await startAttached({
    target,
    build,
    settings,
    connected: (pid) => setSessionKind(session, ledgerSchema, { id: build.id, kind: 'attached', pid }),
  });
  report({ kind: 'started', build, attempt, session: 'attached' });
  return {
    kind: 'watch',
    build,
    holding: { kind: 'attached', attached: { session: attached, because: refused.because } },
  };
}
