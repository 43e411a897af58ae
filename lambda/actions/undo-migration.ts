import type { Mirror } from '../history/mirror.ts';
import {
  type AutocommitStep,
  type DropIndexes,
  type IndexOperationStep,
  type Migration,
  type Statement,
  type Step,
  statementsOf,
  type TransactionStep,
} from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { sqlstate } from '../migration/sqlstate.ts';
import { type Blocker, describeBlockers, lockHolders } from '../postgres/catalog/blockers.ts';
import { plainStatement } from '../postgres/catalog/index-statement.ts';
import { forgetRows } from '../postgres/ledger/ledger.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import { cleanSession } from '../postgres/session/author-settings.ts';
import { SessionLost, StatementFault } from '../postgres/session/fault.ts';
import { isSaidOnPurpose, Notices, speakerAt } from '../postgres/session/notices.ts';
import { OWN_PATH } from '../postgres/session/own-path.ts';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../postgres/session/quote.ts';
import { ASKED, findRelations, rolledBack } from '../postgres/session/rolled-back.ts';
import type { NoticeListener, Session } from '../postgres/session/session.ts';
import { endedByDeadline, limitsAgain, statementTimeout } from '../postgres/session/statement-limits.ts';
import type { RunEvent } from '../run/run.ts';
import { authored, beginOf } from '../run/step-script.ts';

export interface UndoOne {
  readonly ledgerSchema: string;
  readonly sessionSettings: readonly string[];
  readonly lockTimeoutSeconds: number;
  /** Names of those that were undone before. */
  readonly undone: readonly string[];
  /** Deadline in milliseconds since 1970; absent where nothing ends the process. */
  readonly deadline: number | undefined;
  readonly report: (event: RunEvent) => void;
  /** Writes the other tool's history table; absent where there is none. */
  readonly mirror: Mirror | undefined;
}

/** A step is not started with less time than this left. */
const LEAST_MILLISECONDS = 5_000;

/** Runs what is left of one migration's undo file; with its last step, the ledger forgets the migration. */
export async function undoMigration(session: Session, migration: Migration, context: UndoOne): Promise<void> {
  const { ledgerSchema, sessionSettings, deadline, undone } = context;
  const steps = migration.undo?.steps ?? [];
  const file = migration.undo?.file ?? migration.name;
  const notices = new Notices(context.report);
  const [progress] = await session.query(
    `select steps, started from ${quoteIdentifier(ledgerSchema)}.undo_progress where version = $1`,
    [migration.version],
  );
  const done = typeof progress?.steps === 'number' ? progress.steps : 0;
  for (const step of steps.slice(done)) {
    const budget = deadline === undefined ? undefined : deadline - Date.now();
    if (budget !== undefined && budget < LEAST_MILLISECONDS) throw undoUnfinished(migration, step, undone);
    context.report({
      kind: 'undoing',
      file,
      step: step.number + 1,
      steps: steps.length,
    });
    const interrupted = progress?.started === true && step.number === done;
    const note =
      step.number === steps.length - 1
        ? [...forgetMigration(ledgerSchema, migration.version), ...(context.mirror?.undone(migration) ?? [])]
        : [noteProgress(ledgerSchema, migration.version, { steps: step.number + 1, started: false })];
    const failure = isAtomic(step)
      ? await runAtomic(
          session,
          { step, migration },
          { note, budget, lockMilliseconds: context.lockTimeoutSeconds * 1000, file, notices },
        )
      : await runLoneStep(session, step, {
          started: noteProgress(ledgerSchema, migration.version, { steps: step.number, started: true }),
          note,
          budget,
          interrupted,
          lockMilliseconds: context.lockTimeoutSeconds * 1000,
          own: sessionSettings,
          heard: notices.heard(() => speakerAt(file, step, step.statement)),
        });
    const tooLong = failure !== undefined && endedByDeadline(failure.fault, deadline);
    await session.execute([...(failure ? ['rollback'] : []), ...cleanSession(sessionSettings)].join(';\n'));
    if (failure === undefined) continue;
    const blockers = await blockersOf(session, step, failure);
    throw undoFailed(migration, step, { ...failure, undone, tooLong, blockers });
  }
}

async function blockersOf(session: Session, step: Step, { fault }: StepFailure): Promise<Blocker[]> {
  if (fault.fault.sqlstate !== sqlstate.lockNotAvailable) return [];
  const touched = statementsOf(step).flatMap(({ touches }) => [...touches.changes, ...touches.writes]);
  return lockHolders(session, touched).catch(() => []);
}

/**
 * An index is dropped in the plain form: that takes its table's lock for a moment, within lock_timeout, and in
 * exchange the drop and its record happen together or not at all.
 */
function isAtomic(step: Step): step is AtomicStep {
  return (
    step.kind === 'transaction' || (step.kind === 'index-operation' && step.operation.kind === 'drop-index')
  );
}

type AtomicStep = TransactionStep | (IndexOperationStep & { readonly operation: DropIndexes });

async function runAtomic(
  session: Session,
  { step, migration }: { readonly step: AtomicStep; readonly migration: Migration },
  {
    note,
    budget,
    lockMilliseconds,
    file,
    notices,
  }: Pick<LoneRun, 'note' | 'budget' | 'lockMilliseconds'> & {
    readonly file: string;
    readonly notices: Notices;
  },
): Promise<StepFailure | undefined> {
  const limit = budget === undefined ? [] : [statementTimeout(budget)];
  const wait = { wait: lockMilliseconds, longestWait: lockMilliseconds };
  const before = [beginOf(step), ...limit, ...note];
  const lines = authored(step, { ...wait, budget, until: 'transaction' }, migration);
  const pieces = [...lines].map(({ text, statement }) => ({
    // A build that failed or was cancelled has left no index.
    text:
      step.kind === 'index-operation' && statement === step.statement
        ? plainStatement({ ...step.operation, ifExists: true })
        : text,
    statement,
  }));
  const texts = pieces.map(({ text }) => text);
  const heard = notices.heard((done, notice) => {
    const statement = pieces[done - before.length]?.statement;
    const atCommit = done === before.length + texts.length && isSaidOnPurpose(notice);
    return statement !== undefined || atCommit ? speakerAt(file, step, statement) : undefined;
  });
  const { fault, completed } = await session.execute([...before, ...texts, 'commit'].join('\n;\n'), heard);
  if (fault === undefined) return undefined;
  const failed = pieces[completed - before.length]?.statement;
  return { fault, statement: failed ?? statementsOf(step)[0] };
}

function noteProgress(
  ledgerSchema: string,
  version: string,
  { steps, started }: { steps: number; started: boolean },
): string {
  return `insert into ${quoteIdentifier(ledgerSchema)}.undo_progress values (${quoteLiteral(version)}, ${steps}, ${started}) on conflict (version) do update set steps = excluded.steps, started = excluded.started`;
}

function forgetMigration(ledgerSchema: string, version: string): string[] {
  return [
    `delete from ${quoteIdentifier(ledgerSchema)}.undo_progress where version operator(pg_catalog.=) ${quoteLiteral(version)}`,
    ...forgetRows(ledgerSchema, { version }),
  ];
}

interface StepFailure {
  readonly fault: StatementFault;
  readonly statement: Statement | undefined;
}

type LoneStep = AutocommitStep | IndexOperationStep;

interface LoneRun {
  readonly started: string;
  readonly note: readonly string[];
  /** Milliseconds left; absent for no limit. */
  readonly budget: number | undefined;
  /** An earlier undo started this step, and its outcome was not recorded. */
  readonly interrupted: boolean;
  /** How long a statement may wait for a lock. */
  readonly lockMilliseconds: number;
  /** Settings that the session started with. */
  readonly own: readonly string[];
  readonly heard: NoticeListener;
}

/** A statement that cannot run in a transaction: recorded before and after it. */
async function runLoneStep(
  session: Session,
  step: LoneStep,
  { started, note, own, ...run }: LoneRun,
): Promise<StepFailure | undefined> {
  await must(session, started);
  const failure = await attempt(session, step, run);
  // The ledger belongs to our role, not to the one that the file has set.
  await session.script(cleanSession(own).join(';\n'));
  if (failure === undefined) await must(session, ['begin', ...note, 'commit'].join(';\n'));
  return failure;
}

/** Under the file's settings, which are still there afterwards. */
async function attempt(
  session: Session,
  step: LoneStep,
  { budget, interrupted, lockMilliseconds, heard }: Omit<LoneRun, 'started' | 'note' | 'own'>,
): Promise<StepFailure | undefined> {
  const { statement } = step;
  const wait = { wait: lockMilliseconds, longestWait: lockMilliseconds };
  const limits = [
    limitsAgain({ ...wait, budget, until: 'session' }),
    // CREATE INDEX CONCURRENTLY blocks nobody while it waits; other statements outside of a transaction may.
    ...(step.kind === 'index-operation' ? ['set lock_timeout = 0'] : []),
  ];
  const prepared = await session.execute([...step.settings, ...limits].join('\n;\n'));
  if (prepared.fault !== undefined) return { fault: prepared.fault, statement };
  const standing = interrupted ? await stands(session, step) : false;
  if (standing instanceof StatementFault) return { fault: standing, statement };
  if (!standing) {
    const { fault } = await session.execute(statement.text, heard);
    const happened = interrupted && fault !== undefined && HAPPENED.has(fault.fault.sqlstate);
    if (fault !== undefined && !happened) {
      await dropInvalid(session, step, fault);
      return { fault, statement };
    }
  }
  return undefined;
}

/** Whether what the interrupted statement creates exists, or what it drops is gone. */
const HAPPENED: ReadonlySet<string> = new Set([
  sqlstate.duplicateTable,
  sqlstate.undefinedObject,
  sqlstate.undefinedTable,
  sqlstate.duplicateObject,
  sqlstate.duplicateDatabase,
  sqlstate.undefinedDatabase,
]);

/**
 * A build that failed or was ended leaves an INVALID index, which costs every write. If it can't be dropped
 * now, the next undo drops it; where the name was taken, the index is not ours.
 */
async function dropInvalid(session: Session, step: LoneStep, { fault }: StatementFault): Promise<void> {
  if (fault.sqlstate === sqlstate.duplicateTable) return;
  await session.script("set statement_timeout = '5s'");
  await stands(session, step).catch((error: unknown) => {
    if (error instanceof SessionLost) throw error;
  });
}

/** An index that an interrupted CREATE INDEX CONCURRENTLY has finished; one that it left INVALID is dropped. */
async function stands(session: Session, step: LoneStep): Promise<boolean | StatementFault> {
  if (step.kind !== 'index-operation' || step.operation.kind !== 'create-index') return false;
  const { index, suggestedName, table } = step.operation;
  const relation = { schema: table.schema, name: index ?? suggestedName };
  const { row } = await rolledBack(session, [
    ...step.settings,
    findRelations([relation]),
    OWN_PATH,
    `select i.indisvalid as valid from ${ASKED} join pg_catalog.pg_index i on i.indexrelid = asked.oid`,
  ]);
  // The session of the undo that died is gone, since it would still hold the run lock: nobody is building the index.
  if (row?.valid === 'f') {
    const { fault } = await session.execute(`drop index concurrently if exists ${quoteRelation(relation)}`);
    if (fault !== undefined) return fault;
  }
  return row?.valid === 't';
}

export interface UndoFailure {
  readonly fault: StatementFault;
  readonly statement: Statement | undefined;
  /** Names of those that were undone before. */
  readonly undone: readonly string[];
  /** The statement was cancelled because the function's time was up. */
  readonly tooLong: boolean;
  /** Who holds the locks that it requested, if that was the reason. */
  readonly blockers: readonly Blocker[];
}

export function undoFailed(migration: Migration, step: Step, failure: UndoFailure): MigrationError {
  const { fault, statement, undone, blockers } = failure;
  return new MigrationError({
    code: 'undo-failed',
    what: `The undo of ${migration.name} failed in step ${step.number + 1}.${describeBlockers(blockers)}`,
    place: {
      file: fileOf(migration),
      position: statement?.position ?? { line: 1, column: 1 },
      statement: statement?.text,
    },
    fault: fault.fault,
    applied: undone.length === 0 ? 'nothing was undone before it.' : `undone: ${undone.join(', ')}.`,
    next: next(failure),
    cause: fault,
  });
}

function next({ fault, tooLong }: UndoFailure): string {
  if (tooLong)
    return 'the statement needs longer than one invocation has: undo from the command line, which has no time limit: npx cdk-postgres-migrations undo --to … --confirm. It continues with this step.';
  return fault.fault.sqlstate === sqlstate.lockNotAvailable
    ? 'end the transaction that holds the lock (select pg_terminate_backend(pid)), or wait for it, and undo again: it continues with this step.'
    : 'correct the undo file, deploy, and undo again: it continues with this step.';
}

/** Between two steps: nothing is half done, and the same action continues. */
export function undoUnfinished(migration: Migration, step: Step, undone: readonly string[]): MigrationError {
  return new MigrationError({
    code: 'undo-unfinished',
    what: `The function ran out of time before step ${step.number + 1} of ${fileOf(migration)}.`,
    applied: `${undone.length === 0 ? 'nothing' : undone.join(', ')} is undone${step.number === 0 ? '' : `, and of ${migration.name} the first ${step.number} steps`}.`,
    next: 'send the same action again: it continues with this step. The command line has no time limit: npx cdk-postgres-migrations undo --to … --confirm.',
  });
}

function fileOf({ undo, name }: Migration): string {
  return undo?.file ?? name;
}
