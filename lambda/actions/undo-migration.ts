import type { Mirror } from '../history/mirror.ts';
import {
  type DropIndexes,
  type IndexOperationStep,
  type Migration,
  type Step,
  statementsOf,
  type TransactionStep,
} from '../migration/migration.ts';
import { sqlstate } from '../migration/sqlstate.ts';
import { type Blocker, lockHolders } from '../postgres/catalog/blockers.ts';
import { plainStatement } from '../postgres/catalog/index-statement.ts';
import { forgetRows } from '../postgres/ledger/ledger.ts';
import { cleanSession } from '../postgres/session/author-settings.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';
import { endedByDeadline, statementTimeout } from '../postgres/session/statement-limits.ts';
import { isSaidOnPurpose, Notices, speakerAt } from '../run/notices.ts';
import type { RunEvent } from '../run/run.ts';
import { authored, beginOf } from '../run/step-script.ts';
import { undoFailed, undoUnfinished } from './undo-failed.ts';
import { type LoneRun, runLoneStep, type StepFailure } from './undo-lone-step.ts';

export interface UndoOne {
  readonly ledgerSchema: string;
  readonly sessionSettings: readonly string[];
  readonly lockTimeoutSeconds: number;
  /** Names of those that were undone before. */
  readonly undone: readonly string[];
  /** When to have stopped, in milliseconds since 1970; absent where nothing ends the process. */
  readonly deadline: number | undefined;
  readonly report: (event: RunEvent) => void;
  /** Writes the table of the layout's tool, where it is there. */
  readonly mirror: Mirror | undefined;
}

/** A step is not begun with less than this left. */
const LEAST_MILLISECONDS = 5_000;

/** Runs what is left of one migration's undo file; with its last step, the ledger forgets the migration. */
export async function undoMigration(session: Session, migration: Migration, context: UndoOne): Promise<void> {
  const { ledgerSchema, sessionSettings, deadline, undone } = context;
  const steps = (migration.undo?.steps ?? []).map(asOneStatement);
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
 * exchange it happens together with its note, or not at all.
 */
/** An undo is one statement even where its file asks for batches: what it takes back is seldom large by then. */
function asOneStatement(step: Step): Exclude<Step, { kind: 'backfill' }> {
  if (step.kind !== 'backfill') return step;
  const { backfill: _, statement, ...base } = step;
  return { ...base, kind: 'transaction', transaction: {}, statements: [statement] };
}

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
    // Of a build that failed or was cancelled there is no index.
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
