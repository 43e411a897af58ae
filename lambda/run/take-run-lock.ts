import { setTimeout as sleep } from 'node:timers/promises';
import { MigrationError } from '../migration/migration-error.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { describeBlocker, lockHolders } from '../postgres/catalog/blockers.ts';
import {
  isOlder,
  type LedgerRead,
  ledgerQuery,
  parseLedger,
  readLedger,
  unwritableError,
} from '../postgres/ledger/ledger.ts';
import { createLedger, LEDGER_FORMAT } from '../postgres/ledger/ledger-format.ts';
import { must, tryUpgrade } from '../postgres/ledger/ledger-write.ts';
import { releaseRunLock, runLockHolder, tryRunLock } from '../postgres/ledger/run-lock.ts';
import { failureIn, finishRun, insertRun, type RunRow } from '../postgres/ledger/run-rows.ts';
import { withSession } from '../postgres/session/connect.ts';
import type { StatementFault } from '../postgres/session/fault.ts';
import type { Session } from '../postgres/session/session.ts';
import { sessionLimits } from '../postgres/session/statement-limits.ts';
import { watched } from '../postgres/session/watchdog.ts';
import type { RunRequest } from './run.ts';

export interface LockRequest {
  readonly options: MigrationOptions;
  readonly deadline: number | undefined;
  readonly report: (event: { readonly kind: 'waiting-for-run' }) => void;
  readonly signal?: AbortSignal | undefined;
}

/** The ledger as it is under the run lock, and the server process that holds the lock: our own. */
export interface Locked extends LedgerRead {
  readonly backend: number;
}

const LONGEST_PAUSE_MILLISECONDS = 1_000;

/**
 * Tries the run lock, without keeping a transaction open between attempts, and reads the ledger in the same message:
 * what was read before may be outdated. Upgrades an older ledger, so that the holder of the lock has this code's
 * format.
 */
export async function takeRunLock(session: Session, request: LockRequest): Promise<Locked> {
  const { ledgerSchema } = request.options;
  for (let pause = 50; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MILLISECONDS)) {
    request.signal?.throwIfAborted();
    const outcome = await session.script(`${tryRunLock(ledgerSchema)};${ledgerQuery(ledgerSchema)}`);
    const [lock] = outcome.rows[0] ?? [];
    if (lock?.locked === 't') {
      const read = parseLedger(outcome, ledgerSchema, 1);
      return { ...(await upgraded(session, read, request)), backend: Number(lock.backend) };
    }
    if (request.deadline !== undefined && Date.now() + pause > request.deadline) {
      throw otherRun(await runLockHolder(session, ledgerSchema));
    }
    request.report({ kind: 'waiting-for-run' });
    await sleep(pause * (0.5 + Math.random()));
  }
}

/** The ledger in this code's format. If it is older, the run lock is taken for the upgrade. */
export async function upToDate(
  session: Session,
  read: LedgerRead,
  request: LockRequest,
): Promise<LedgerRead> {
  if (!isOlder(read)) return read;
  const locked = await takeRunLock(session, request);
  await session.script(releaseRunLock(request.options.ledgerSchema));
  return locked;
}

const UPGRADE_SECONDS = 60;

/** Upgrades under the run lock. Waits for a dump that reads the ledger's tables, or a turn that writes them. */
async function upgraded(session: Session, read: LedgerRead, request: LockRequest): Promise<LedgerRead> {
  if (!isOlder(read)) return read;
  const { ledgerSchema } = request.options;
  const until = Math.min(request.deadline ?? Infinity, Date.now() + UPGRADE_SECONDS * 1000);
  for (;;) {
    request.signal?.throwIfAborted();
    const fault = await tryUpgrade(session, ledgerSchema, read.format);
    if (fault === undefined) return readLedger(session, ledgerSchema);
    if (Date.now() > until) throw await ledgerInUse(session, ledgerSchema, fault);
    await sleep(LONGEST_PAUSE_MILLISECONDS * (0.5 + Math.random()));
  }
}

async function ledgerInUse(session: Session, schema: string, fault: StatementFault): Promise<MigrationError> {
  const tables = await session.query(
    'select tablename as name from pg_catalog.pg_tables where schemaname = $1',
    [schema],
  );
  const holders = await lockHolders(
    session,
    tables.map(({ name }) => ({ schema, name: String(name) })),
  ).catch(() => []);
  const who = holders.length === 0 ? '' : `: ${holders.map(describeBlocker).join('; ')}`;
  return new MigrationError({
    code: 'ledger-in-use',
    what: `The ledger in schema '${schema}' could not be upgraded to format ${LEDGER_FORMAT}, since its tables are in use${who}.`,
    fault: fault.fault,
    applied: 'nothing by this run; the ledger is as it was.',
    next: 'let what uses them end (a dump, a report), then run again.',
    cause: fault,
  });
}

function otherRun(holder: number | undefined): MigrationError {
  return new MigrationError({
    code: 'other-run',
    what: `Another run holds the run lock${holder === undefined ? '' : ` (pid ${holder})`} and did not end in time.`,
    applied: 'nothing by this run.',
    next: 'wait for the other run and run again; a run that died gives its lock back when its session ends.',
  });
}

/**
 * Settings of every session that applies steps. A session idle for a minute belongs to a process that is gone, and must
 * not keep the lock.
 */
export function sessionSettingsOf(options: MigrationOptions): string[] {
  return sessionLimits({ lock: options.lockTimeoutSeconds * 1000, idle: 60 });
}

/**
 * Runs an operator's action under the run lock, and records who did what and how it ended. Runs do this themselves,
 * since they survive a lost connection.
 */
export async function withRecordedAction<T extends object>(
  request: Pick<RunRequest, 'target' | 'options' | 'deadline' | 'report'>,
  row: RunRow,
  work: (session: Session, read: LedgerRead) => Promise<T>,
): Promise<T> {
  const { ledgerSchema } = request.options;
  return withSession(request.target, async (session) => {
    const read = await takeRunLock(session, request);
    if (read.unwritable !== undefined)
      throw unwritableError(read.unwritable, ledgerSchema, request.target.user);
    const settings = sessionSettingsOf(request.options).join(';\n');
    const create = read.exists ? '' : `${createLedger(ledgerSchema, read)};`;
    await must(session, `${settings};\nbegin;\n${create}\n${insertRun(ledgerSchema, row)};\ncommit`);
    const finish = (outcome: 'done' | 'failed', summary: object) =>
      session.script(
        `${finishRun(ledgerSchema, row.id, { outcome, summary })};\n${releaseRunLock(ledgerSchema)}`,
      );
    try {
      const result = await watched(session, { target: request.target, backend: read.backend }, () =>
        work(session, read),
      );
      await finish('done', result);
      return result;
    } catch (error) {
      await session.script('rollback').catch(() => undefined);
      const recorded = await finish('failed', failureIn(error)).then(
        ({ fault }) => fault === undefined,
        () => false,
      );
      if (error instanceof MigrationError) error.recorded = recorded;
      throw error;
    }
  });
}
