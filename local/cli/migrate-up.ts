import { isOpen } from '../../lambda/migration/build.ts';
import { adviceForBuild } from '../../lambda/migration/fault-advice.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { runMigrations } from '../../lambda/run/run-migrations.ts';
import { type BuildStatus, migrationStates, readStatus, type Status } from '../../lambda/status/status.ts';
import { describeLoss, needsPerson } from './build-lines.ts';
import { asMigrationError } from './failure.ts';
import { type InProcessLoop, runLoop } from './in-process-loop.ts';

export interface UpRequest extends InProcessLoop {
  /** Run the loop until every build has ended. */
  readonly wait: boolean;
  /** The run failed, and the loop continues with the builds that were handed off. */
  readonly failedEarly: (error: MigrationError) => void;
}

export interface UpEnd {
  readonly outcome: 'done' | 'unfinished' | 'failed';
  readonly failure: MigrationError | undefined;
  readonly status: Status;
}

/**
 * 1. Run: apply what is pending, hand off index builds.
 * 2. Unless told otherwise, loop: build, resume what waited, until everything has ended. Also if the run failed, since earlier
 *    builds do not depend on it.
 * 3. Read the result from the ledger, whoever did the work.
 */
export async function migrateUp(request: UpRequest): Promise<UpEnd> {
  const ran = await run(request);
  let { failure } = ran;
  if (ran.idle !== undefined) return endOf(ran.idle, undefined);
  if (request.wait && ran.open) {
    if (failure !== undefined) request.failedEarly(failure);
    const settled = await runLoop(request);
    // The run after the builds succeeded: the failure was due to missing builds.
    if (settled.outcome === 'valid') failure = undefined;
  }
  return endOf(await readStatus(request.target, request), failure);
}

/** The result, from the ledger. `failed`: the run itself failed. */
export function endOf(status: Status, failed: MigrationError | undefined): UpEnd {
  const failure = failed ?? lossOf(status) ?? laterRunOf(status);
  if (failure !== undefined) return { outcome: 'failed', failure, status };
  const finished = !status.builds.some(isOpen) && status.migrations.every(isSettled);
  return { outcome: finished ? 'done' : 'unfinished', failure, status };
}

interface Ran {
  readonly failure: MigrationError | undefined;
  /** Builds are left for the loop. */
  readonly open: boolean;
  /** If there was nothing to do, and no build is open or lost, the ledger as the run has read it. */
  readonly idle?: Status;
}

async function run(request: UpRequest): Promise<Ran> {
  try {
    const { builds, idle } = await runMigrations(request);
    if (idle === undefined || builds.length > 0) return { failure: undefined, open: builds.some(isOpen) };
    const migrations = migrationStates(request.migrations.migrations, idle);
    return {
      failure: undefined,
      open: false,
      idle: { migrations, builds: [], runs: [], lastRun: undefined },
    };
  } catch (error) {
    if (request.signal?.aborted === true) throw error;
    const failure = asMigrationError(error);
    if (NOBODY_TO_ASK.has(failure.code)) throw failure;
    const { builds } = await readStatus(request.target, request);
    return { failure, open: builds.some(isOpen) };
  }
}

/** After these errors, the ledger can't tell what is open. */
const NOBODY_TO_ASK = new Set([
  'database-unreachable',
  'connection-lost',
  'ledger-unreadable',
  'ledger-newer',
]);

function isSettled({ state }: Status['migrations'][number]): boolean {
  return state === 'applied' || state === 'baselined' || state === 'unknown';
}

function lossOf({ builds }: Status): MigrationError | undefined {
  const lost = builds.filter(needsPerson);
  if (lost.length === 0) return undefined;
  return new MigrationError({
    code: 'index-builds-failed',
    what: lost.map(describeLoss).join('\n'),
    next: nextFor(lost),
  });
}

function nextFor(lost: readonly BuildStatus[]): string {
  const cancelled = lost.filter(({ state }) => state === 'cancelled').length;
  const advice = new Set(lost.map(({ fault, file }) => fault && adviceForBuild(fault, file)));
  const [only] = advice;
  const failed =
    advice.size === 1 && only !== undefined
      ? only
      : 'fix the cause, then run again: failed builds are tried again.';
  const retry = 'the action retry starts a cancelled build again.';
  if (cancelled === 0) return failed;
  return cancelled === lost.length ? retry : `${failed} ${retry.charAt(0).toUpperCase()}${retry.slice(1)}`;
}

/** The error of the run after the builds; recorded, since the loop does not throw it. */
function laterRunOf({ lastRun }: Status): MigrationError | undefined {
  if (lastRun?.error === undefined) return undefined;
  const [what = '', next = 'run again; the run continues with this step.'] = lastRun.error.split('\nNext: ');
  return new MigrationError({ code: 'run-failed', what, next });
}
