import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { describeBuild, isOpen, namesOf } from '../migration/build.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { PostgresFault } from '../migration/postgres-fault.ts';
import { describeBlocker, lockHolders } from '../postgres/catalog/blockers.ts';
import { builderNames, hasLedger } from '../postgres/catalog/builder-names.ts';
import { seeIndex } from '../postgres/catalog/index-catalog.ts';
import { endBuild, markCancelled } from '../postgres/ledger/build-attempt-rows.ts';
import { type BuildRow, readAllBuilds, readBuild, requeueBuilds } from '../postgres/ledger/build-rows.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import { releaseTableLock, tryTableLock } from '../postgres/ledger/run-lock.ts';
import { asLoginRole } from '../postgres/session/as-login-role.ts';
import { quoteLiteral } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';
import { compareWithCode } from '../work/turn/as-compiled.ts';
import { type Dropped, dropLeftOvers } from '../work/turn/drop-left-overs.ts';
import { type ActionContext, by, changingAction } from './define-action.ts';
import { noSuchBuild } from './retry-builds.ts';

/** How long to wait for other transactions to release the table, so that the INVALID index can be dropped. */
const PATIENCE_MILLISECONDS = 10_000;

export const cancel = changingAction({
  name: 'cancel',
  schema: v.strictObject({ action: v.literal('cancel'), index: v.string(), by }),
  examples: [['{"action": "cancel", "index": "name"}', 'stop a running build cleanly']],
  done: 'cancelled',
  perform: (session, { index }, context) => cancelBuild(session, index, context),
});

/**
 * Stops a build cleanly: it is marked first, so that no turn starts it again; its sessions are cancelled; the INVALID
 * index that it leaves is dropped. A build that became valid meanwhile is left as it is. For a build that is
 * cancelled already, drops what could not be dropped then.
 */
async function cancelBuild(
  session: Session,
  index: string,
  { ledgerSchema, migrations, sessionSettings: own }: ActionContext,
): Promise<{ readonly cancelled: string }> {
  const builds = await readAllBuilds(session, ledgerSchema);
  const named = builds.filter((row) => namesOf(row).includes(index));
  const build = named.find(isOpen) ?? named.find(({ state }) => state === 'cancelled');
  if (build === undefined) throw noSuchBuild(index, builds.filter(isOpen));
  const marked = new Set([build.id, ...(await markCancelled(session, ledgerSchema, build.id))]);
  const until = Date.now() + PATIENCE_MILLISECONDS;
  // A partitioned table's build comes last: its INVALID index goes when no partition is building any more.
  for (const each of builds.filter(({ id }) => marked.has(id)).reverse()) {
    // Its turn finds the mark before it commits another batch, and a backfill leaves nothing behind.
    if (each.operation === 'backfill') continue;
    await stop(session, each, until);
    const compared = await compareWithCode(session, each, { ledgerSchema, migrations });
    if (compared.kind === 'refused') throw leftAlone(each, compared.fault);
    if (compared.kind === 'detached') continue;
    await clearUp(session, each, { until, own });
  }
  return { cancelled: describeBuild(build) };
}

/**
 * Cancels its sessions until none is left. A turn may have been about to open one when the build was marked: once we
 * have the table lock, it has.
 */
async function stop(session: Session, build: BuildRow, until: number): Promise<void> {
  for (let locked = false; ; ) {
    const runs = await stillRuns(session, build);
    if (locked) await releaseTableLock(session, build);
    if (locked && !runs) return;
    locked = !runs && (await tryTableLock(session, build));
    if (locked) continue;
    if (Date.now() > until) throw await stubborn(session, build);
    await sleep(200);
  }
}

/** Cancels the session that runs the build. Returns whether there was one, or a supervisor that may yet open one. */
async function stillRuns(session: Session, build: BuildRow): Promise<boolean> {
  // The supervisor ends by itself once its build has ended, and records how.
  const [supervisor, builder] = builderNames(build);
  const rows = await asLoginRole(
    session,
    `select case when application_name = ${quoteLiteral(builder)} then pg_catalog.pg_cancel_backend(pid) end as cancelled
       from pg_catalog.pg_stat_activity a
      where ${hasLedger('a', build.ledger)} and application_name in (${quoteLiteral(supervisor)}, ${quoteLiteral(builder)})
        and state = 'active' and datname = pg_catalog.current_database() and pid <> pg_catalog.pg_backend_pid()`,
  );
  return rows.length > 0;
}

async function clearUp(
  session: Session,
  build: BuildRow,
  { until, own }: { readonly until: number; readonly own: readonly string[] },
): Promise<void> {
  while (!(await tryTableLock(session, build))) {
    if (Date.now() > until) throw await stubborn(session, build);
    await sleep(200);
  }
  try {
    const seen = async () => seeIndex(session, (await readBuild(session, build.ledger, build.id)) ?? build);
    while ((await seen()).kind === 'invalid') {
      const dropped = await dropLeftOvers(session, build, own);
      if (dropped.kind === 'dropped') break;
      if (dropped.kind === 'refused') throw refused(build, dropped);
      if (Date.now() > until) throw await stubborn(session, build);
      await sleep(200);
    }
    // The build finished first, or only a drop was left to do: the catalog counts.
    if ((await seen()).kind === 'valid') {
      await must(session, requeueBuilds(build.ledger, [build.id]));
      await endBuild(session, build.ledger, build, { state: 'done', adopted: false });
    }
  } finally {
    await releaseTableLock(session, build);
  }
}

/** Looking for leftovers would execute what the ledger says, and the ledger does not match the code. */
function leftAlone(build: BuildRow, { message, hint }: PostgresFault): MigrationError {
  return new MigrationError({
    code: 'cancel-incomplete',
    what: `${describeBuild(build)} is cancelled, but any index that it left was not looked for: ${message}.`,
    applied: 'the mark: no turn starts this build again.',
    next: `${hint} Drop by hand any INVALID index that it left.`,
  });
}

async function stubborn(session: Session, build: BuildRow): Promise<MigrationError> {
  const blockers = await lockHolders(session, [{ schema: build.schema, name: build.table }]);
  const who =
    blockers.length === 0 ? '' : ` The table is held by ${blockers.map(describeBlocker).join('; ')}.`;
  return new MigrationError({
    code: 'cancel-incomplete',
    what: `${describeBuild(build)} is cancelled, but what it left could not be dropped within ${PATIENCE_MILLISECONDS / 1000} s.${who}`,
    applied: 'the mark: no turn starts this build again.',
    next: 'end the transaction that holds the table, or wait for it; then cancel again, which drops the INVALID index, or retry, which builds it.',
  });
}

function refused(
  build: BuildRow,
  { leftOver, fault }: Extract<Dropped, { kind: 'refused' }>,
): MigrationError {
  const index = `${leftOver.schema}.${leftOver.name}`;
  return new MigrationError({
    code: 'cancel-incomplete',
    what: `${describeBuild(build)} is cancelled, but the INVALID index ${index} that it left cannot be dropped.`,
    fault,
    applied: 'the mark: no turn starts this build again.',
    next: `drop it as the owner of its table: drop index concurrently ${index}; or give the role of the migrations that right, and cancel again.`,
  });
}
