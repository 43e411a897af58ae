import { type Adoption, adopt, baselinedRows, doubtful, withAdopted } from '../history/adopt.ts';
import { Mirror } from '../history/mirror.ts';
import { type History, readLedgerAndHistory } from '../history/read-history.ts';
import type { RecordedBuild } from '../migration/build.ts';
import { refuseFolder } from '../migration/folder-policy.ts';
import { renamesOf } from '../migration/identity.ts';
import type { Ledger } from '../migration/ledger.ts';
import { type Migration, statementsOf } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { type Amendment, type Plan, plan } from '../migration/plan.ts';
import { sqlstate } from '../migration/sqlstate.ts';
import { amendSteps } from '../postgres/ledger/amend-steps.ts';
import { requeueBuilds } from '../postgres/ledger/build-rows.ts';
import {
  exposureOf,
  insertStep,
  type LedgerRead,
  refuseDigits,
  renameMigrations,
  unwritableError,
} from '../postgres/ledger/ledger.ts';
import { createLedger } from '../postgres/ledger/ledger-format.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import { finishRun, insertFinishedRun, insertRun } from '../postgres/ledger/run-rows.ts';
import { connect, withSession } from '../postgres/session/connect.ts';
import { SessionLost } from '../postgres/session/fault.ts';
import { refuseTransactionPooler } from '../postgres/session/pooler.ts';
import type { Session } from '../postgres/session/session.ts';
import { LedgerMoved } from './apply-batch.ts';
import { applyPlan } from './apply-plan.ts';
import type { RunRequest, RunResult } from './run.ts';
import { RunLog } from './run-log.ts';
import { sessionSettingsOf, takeRunLock, upToDate } from './take-run-lock.ts';

/** How many lost connections a run survives. */
const MOST_RECONNECTS = 5;

/**
 * One run: read the ledger, plan, apply every pending step once and in order, record index builds. Safe to be
 * killed at any moment, and to be called again, or twice at once: a step and its ledger row are one transaction,
 * and one run at a time holds the run lock. Throws MigrationError; what was applied before stays.
 */
export async function runMigrations(request: RunRequest): Promise<RunResult> {
  const run = new RunLog(request);
  for (let attempt = 1; ; attempt += 1) {
    const session = await connect(request.target, { patienceSeconds: request.patienceSeconds });
    try {
      return await runOnce(session, request, run);
    } catch (error) {
      if (error instanceof LedgerMoved) continue;
      if (error instanceof MigrationError) error.recorded = run.recorded;
      if (!(error instanceof SessionLost)) throw error;
      if (error.sqlstate === sqlstate.transactionTimeout) {
        const failed = transactionTimeout(error, run);
        await recordFailure(request, run, failed);
        throw failed;
      }
      if (attempt > MOST_RECONNECTS) throw connectionLost(error, run);
      request.report({ kind: 'reconnecting', because: error.message });
    } finally {
      await session.close();
    }
  }
}

async function runOnce(session: Session, request: RunRequest, run: RunLog): Promise<RunResult> {
  const { options, migrations } = request;
  const found = await readLedgerAndHistory(session, request);
  const { history } = found;
  if (!found.direct) await refuseTransactionPooler(session, request.target);
  if (found.unwritable !== undefined)
    throw unwritableError(found.unwritable, options.ledgerSchema, request.target.user);
  const read = await upToDate(session, found, request);
  const exposure = exposureOf(read, options.ledgerSchema);
  if (exposure !== undefined) request.report({ kind: 'ledger-exposed', because: exposure });
  const before = adopt(history, migrations, read);
  const first = await planOrRecord(session, { read, history, adoption: before }, run);
  const settled =
    first.amended.length === 0 &&
    retriedBuilds(first, run).length === 0 &&
    before.applied.length === 0 &&
    renamesOf(migrations.migrations, read.ledger).length === 0;
  if (first.pending.length === 0 && read.exists && settled) {
    return finishIdle(session, { planned: first, ledger: read.ledger }, run);
  }
  const locked = await takeRunLock(session, request);
  const adoption = adopt(history, migrations, locked);
  const current = plan(migrations.migrations, withAdopted(locked.ledger, adoption), migrations.order);
  refuseFolder(current, options);
  const retried = retriedBuilds(current, run);
  const planned: Plan = {
    ...current,
    builds: current.builds.map((build) => (retried.includes(build) ? { ...build, state: 'pending' } : build)),
  };
  if (history !== undefined && adoption.applied.length > 0) {
    request.report({
      kind: 'adopted',
      tool: history.tool,
      table: `${history.schema}.${history.table}`,
      files: adoption.applied.map(({ file }) => file),
      edited: adoption.edited.map(({ file }) => file),
      missing: adoption.missing,
    });
  }
  request.report({ kind: 'planned', plan: planned });
  const sessionSettings = sessionSettingsOf(request.options);
  await begin(session, { run, sessionSettings, locked, retried, adoption, amended: planned.amended });
  const mirror =
    history !== undefined && options.history === 'mirror'
      ? new Mirror(history, migrations.migrations)
      : undefined;
  return applyPlan(session, { planned, run, sessionSettings, backend: locked.backend, mirror });
}

interface FirstRead {
  readonly read: LedgerRead;
  readonly history: History | undefined;
  readonly adoption: Adoption;
}

/** A folder that does not match the ledger fails the run, and is recorded as such. */
async function planOrRecord(
  session: Session,
  { read: { exists, ledger }, history, adoption }: FirstRead,
  run: RunLog,
): Promise<Plan> {
  const { migrations, options } = run.request;
  try {
    const doubt = doubtful(history, adoption);
    if (doubt !== undefined) throw doubt;
    const planned = plan(migrations.migrations, withAdopted(ledger, adoption), migrations.order);
    refuseFolder(planned, options);
    return planned;
  } catch (error) {
    if (exists && !isUncompiled(error)) {
      await session.script(insertFinishedRun(options.ledgerSchema, run.row, run.failure(error)));
      run.recorded = true;
    }
    throw error;
  }
}

/** The folder may be compiled on first use; until then the database has not been touched. */
function isUncompiled(error: unknown): boolean {
  return error instanceof MigrationError && error.code === 'compile-failed';
}

/** A new deploy retries failed builds; the loop does not. */
function retriedBuilds({ builds }: Plan, { request }: RunLog): RecordedBuild[] {
  return request.cause.kind === 'loop' ? [] : builds.filter(({ state }) => state === 'failed');
}

/** Nothing to apply: records the run without taking its lock. */
async function finishIdle(
  session: Session,
  { planned, ledger }: { readonly planned: Plan; readonly ledger: Ledger },
  run: RunLog,
): Promise<RunResult> {
  run.request.report({ kind: 'planned', plan: planned });
  const result: RunResult = {
    runId: run.runId,
    outcome: 'done',
    applied: run.applied,
    builds: planned.builds,
    waiting: undefined,
    idle: ledger,
  };
  await must(session, insertFinishedRun(run.request.options.ledgerSchema, run.row, run.summary(result)));
  return result;
}

interface Begin {
  readonly run: RunLog;
  readonly sessionSettings: readonly string[];
  readonly locked: LedgerRead;
  readonly retried: readonly RecordedBuild[];
  readonly adoption: Adoption;
  readonly amended: readonly Amendment[];
}

async function begin(
  session: Session,
  { run, sessionSettings, locked, retried, adoption, amended }: Begin,
): Promise<void> {
  const { ledgerSchema } = run.request.options;
  await must(
    session,
    [
      ...sessionSettings,
      'begin',
      ...(locked.exists ? [] : [createLedger(ledgerSchema, locked)]),
      ...toolNames(ledgerSchema, run.request.migrations.migrations, locked),
      ...(run.recorded ? [] : [insertRun(ledgerSchema, run.row)]),
      ...adoption.applied.flatMap((migration) =>
        baselinedRows(migration).map((row) =>
          insertStep(
            ledgerSchema,
            { ...row, position: migration.position },
            { state: row.state, runId: run.runId },
          ),
        ),
      ),
      ...amended.flatMap((amendment) => amendSteps(ledgerSchema, amendment)),
      ...(retried.length === 0
        ? []
        : [
            requeueBuilds(
              ledgerSchema,
              retried.map(({ id }) => id),
            ),
          ]),
      'commit',
    ].join(';\n'),
  );
  run.recorded = true;
}

/** In a new session, since the run's own is gone. */
async function recordFailure(
  { target, options }: RunRequest,
  run: RunLog,
  error: MigrationError,
): Promise<void> {
  const text = finishRun(options.ledgerSchema, run.runId, run.failure(error));
  await withSession(target, (session) => session.script(text)).catch(() => undefined);
}

/** We have turned ours off, so a file has set this one, and a retry would end the same way. */
function transactionTimeout(error: SessionLost, run: RunLog): MigrationError {
  const files = run.request.migrations.migrations.filter(({ steps }) =>
    steps.flatMap(statementsOf).some(({ text }) => /transaction_timeout/i.test(text)),
  );
  const named = files.length === 0 ? 'a file' : files.map(({ file }) => file).join(', ');
  return new MigrationError({
    code: 'statement-failed',
    what: `Postgres ended the session by transaction_timeout, which ${named} sets.`,
    applied: `${run.appliedText()}; the step under way was rolled back.`,
    next: `give ${named} a longer transaction_timeout, or none (the migrations have limits of their own), then run again; the run continues with this step.`,
    cause: error,
  });
}

/** A ledger written by an older release knows the migrations by their digits. */
function toolNames(ledgerSchema: string, migrations: readonly Migration[], locked: LedgerRead): string[] {
  const renames = renamesOf(migrations, locked.ledger);
  const hasNames = migrations.some(({ formerly }) => formerly !== undefined);
  if (locked.exists && renames.length === 0) return [];
  return [...renameMigrations(ledgerSchema, renames), ...(hasNames ? [refuseDigits(ledgerSchema)] : [])];
}

function connectionLost(error: SessionLost, run: RunLog): MigrationError {
  return new MigrationError({
    code: 'connection-lost',
    what: `The connection was lost ${MOST_RECONNECTS + 1} times in one run: ${error.message}.`,
    applied: `${run.appliedText()}; a step under way was applied wholly or not at all.`,
    next: 'see why the server drops connections (restart, failover, out of memory), then run again; the run continues where it stopped.',
    cause: error,
  });
}
