import { setTimeout as sleep } from 'node:timers/promises';
import { MigrationError } from '../migration/migration-error.ts';
import { markCancelled } from '../postgres/build-cancellation.ts';
import { builderNames } from '../postgres/builder-names.ts';
import { type BuildRow, readAllBuilds } from '../postgres/index-build-rows.ts';
import { seeIndex } from '../postgres/index-catalog.ts';
import { releaseTableLock, tryTableLock } from '../postgres/run-lock.ts';
import type { Session } from '../postgres/session.ts';
import { dropLeftOvers } from './drop-left-overs.ts';
import { describe, namesOf, noSuchBuild } from './retry-builds.ts';

const PATIENCE_MILLISECONDS = 30_000;

/**
 * Stops a build cleanly: it is marked first, so that no turn starts it again; its sessions are cancelled; the INVALID
 * index that it leaves is dropped. A build that became valid meanwhile is left as it is.
 */
export async function cancel(
  session: Session,
  ledgerSchema: string,
  index: string,
): Promise<{ readonly cancelled: string }> {
  const builds = await readAllBuilds(session, ledgerSchema);
  const build = builds.find((row) => isOpen(row) && namesOf(row).includes(index));
  if (build === undefined) throw noSuchBuild(index, builds.filter(isOpen));
  const marked = new Set(await markCancelled(session, ledgerSchema, build.id));
  const until = Date.now() + PATIENCE_MILLISECONDS;
  // A partitioned table's build comes last: its INVALID index goes when no partition is building any more.
  for (const each of builds.filter(({ id }) => marked.has(id)).reverse()) {
    while (await stillRuns(session, each)) {
      if (Date.now() > until) throw stubborn(each);
      await sleep(200);
    }
    await dropWhatIsLeft(session, each, until);
  }
  return { cancelled: describe(build) };
}

function isOpen({ state }: BuildRow): boolean {
  return state === 'pending' || state === 'building';
}

/** Cancels whatever carries the build, and says whether anything did. */
async function stillRuns(session: Session, build: BuildRow): Promise<boolean> {
  // The supervisor ends by itself once its build has, and writes down how.
  const [, builder] = builderNames(build);
  const rows = await session.query(
    `select pg_catalog.pg_cancel_backend(pid) from pg_catalog.pg_stat_activity
      where application_name = $1 and state = 'active'
        and datname = pg_catalog.current_database() and pid <> pg_catalog.pg_backend_pid()`,
    [builder],
  );
  return rows.length > 0;
}

async function dropWhatIsLeft(session: Session, build: BuildRow, until: number): Promise<void> {
  while (!(await tryTableLock(session, build))) {
    if (Date.now() > until) throw stubborn(build);
    await sleep(200);
  }
  try {
    if ((await seeIndex(session, build)).kind === 'invalid') {
      while (!(await dropLeftOvers(session, build))) if (Date.now() > until) throw stubborn(build);
    }
  } finally {
    await releaseTableLock(session, build);
  }
}

function stubborn(build: BuildRow): MigrationError {
  return new MigrationError({
    code: 'cancel-incomplete',
    what: `${describe(build)} is marked as cancelled, but could not be cleared away within ${PATIENCE_MILLISECONDS / 1000} s.`,
    applied: 'the mark: no turn starts this build again.',
    next: 'see in the action status who blocks it, then drop the INVALID index by hand: drop index concurrently.',
  });
}
