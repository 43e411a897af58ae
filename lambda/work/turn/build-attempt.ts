import { startAttached } from '../../postgres/build-session/attached.ts';
import { startLoopback } from '../../postgres/build-session/loopback.ts';
import { isHalfDetached } from '../../postgres/catalog/seen-work.ts';
import { memorySettings, serverCapacity } from '../../postgres/catalog/server-capacity.ts';
import { recordAttemptOutcome, setSessionKind } from '../../postgres/ledger/build-attempt-rows.ts';
import { tablesToBuild } from '../../postgres/ledger/build-queue.ts';
import { quoteIdentifier, quoteRelation } from '../../postgres/session/quote.ts';
import type { Session } from '../../postgres/session/session.ts';
import { buildMemory } from '../build-memory.ts';
import type { IndexBuild } from '../index-build.ts';
import type { Underway } from './stay-with-build.ts';
import type { TurnRequest } from './turn-request.ts';

/** DETACH PARTITION CONCURRENTLY that was cut off in its middle is ended in a form of its own. */
async function asItStands(session: Session, build: IndexBuild): Promise<IndexBuild> {
  if (build.operation !== 'detach' || build.attempts === 0 || !(await isHalfDetached(session, build)))
    return build;
  const table = quoteRelation({ schema: build.schema, name: build.table });
  const statement = `alter table ${table} detach partition ${quoteIdentifier(build.index)} finalize`;
  return { ...build, statement };
}

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
  const { lockTimeoutSeconds } = options;
  const start = { build: await asItStands(session, build), attempt, target, settings, lockTimeoutSeconds };
  const refused = await startLoopback(session, { ...start, ledgerSchema });
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
    ...start,
    connected: (pid) => setSessionKind(session, ledgerSchema, { id: build.id, kind: 'attached', pid }),
  });
  report({ kind: 'started', build, attempt, session: 'attached', because: refused.because });
  return {
    kind: 'watch',
    build,
    holding: { kind: 'attached', attached: { session: attached, because: refused.because } },
  };
}
