import type {
  AutocommitStep,
  DropIndexes,
  IndexOperationStep,
  Migration,
  Statement,
  Step,
  TransactionStep,
} from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { type StatementFault, sqlstate } from '../postgres/fault.ts';
import { plainStatement } from '../postgres/index-statement.ts';
import { quoteIdentifier, quoteLiteral, quoteRelation } from '../postgres/quote.ts';
import type { Session } from '../postgres/session.ts';
import { beginOf, cleanSession } from '../postgres/step-script.ts';
import { must } from './ledger-write.ts';

export interface UndoOne {
  readonly ledgerSchema: string;
  readonly sessionSettings: readonly string[];
  /** Names of those that were undone before. */
  readonly undone: readonly string[];
}

/** Runs what is left of one migration's undo file; with its last step, the ledger forgets the migration. */
export async function undoMigration(session: Session, migration: Migration, context: UndoOne): Promise<void> {
  const { ledgerSchema, sessionSettings } = context;
  const steps = migration.undo?.steps ?? [];
  const [progress] = await session.query(
    `select steps, started from ${quoteIdentifier(ledgerSchema)}.undo_progress where version = $1`,
    [migration.version],
  );
  const done = typeof progress?.steps === 'number' ? progress.steps : 0;
  for (const step of steps.slice(done)) {
    const interrupted = progress?.started === true && step.number === done;
    const note =
      step.number === steps.length - 1
        ? forgetMigration(ledgerSchema, migration.version)
        : [noteProgress(ledgerSchema, migration.version, { steps: step.number + 1, started: false })];
    const failure = isAtomic(step)
      ? await runAtomic(session, step, note)
      : await runAlone(session, step, {
          started: noteProgress(ledgerSchema, migration.version, { steps: step.number, started: true }),
          note,
          interrupted,
        });
    await session.script([...(failure ? ['rollback'] : []), ...cleanSession(sessionSettings)].join(';\n'));
    if (failure !== undefined) throw undoFailed(migration, step, { ...failure, undone: context.undone });
  }
}

interface Failure {
  readonly fault: StatementFault;
  readonly statement: Statement | undefined;
}

/**
 * An index is dropped in the plain form: that takes its table's lock for a moment, within lock_timeout, and in
 * exchange it happens together with its note, or not at all.
 */
function isAtomic(step: Step): step is AtomicStep {
  return (
    step.kind === 'transaction' || (step.kind === 'index-operation' && step.operation.kind === 'drop-index')
  );
}

type AtomicStep = TransactionStep | (IndexOperationStep & { readonly operation: DropIndexes });
type LoneStep = AutocommitStep | IndexOperationStep;

async function runAtomic(
  session: Session,
  step: AtomicStep,
  note: readonly string[],
): Promise<Failure | undefined> {
  const before = [beginOf(step), ...note, ...step.settings];
  const statements = step.kind === 'transaction' ? step.statements : [step.statement];
  const texts = statements.map((statement) =>
    step.kind === 'index-operation'
      ? // Of a build that failed or was cancelled there is no index.
        plainStatement({ ...step.operation, ifExists: true })
      : statement.text,
  );
  const { fault, completed } = await session.script([...before, ...texts, 'commit'].join('\n;\n'));
  if (fault === undefined) return undefined;
  return { fault, statement: statements[completed - before.length] ?? statements[0] };
}

interface Alone {
  readonly started: string;
  readonly note: readonly string[];
  /** A former undo began this step, and nobody wrote down how it ended. */
  readonly interrupted: boolean;
}

/** A statement that no transaction takes: noted before, and after. */
async function runAlone(
  session: Session,
  step: LoneStep,
  { started, note, interrupted }: Alone,
): Promise<Failure | undefined> {
  const { statement } = step;
  await must(session, started);
  // An index that is built concurrently waits in nobody's way; whatever else is alone may stop an application.
  const settings = [...(step.kind === 'index-operation' ? ['set lock_timeout = 0'] : []), ...step.settings];
  const prepared = await session.script(settings.join('\n;\n'));
  if (prepared.fault !== undefined) return { fault: prepared.fault, statement };
  if (!(interrupted && (await stands(session, step)))) {
    const { fault } = await session.script(statement.text);
    const happened = interrupted && fault !== undefined && HAPPENED.has(fault.fault.sqlstate);
    if (fault !== undefined && !happened) return { fault, statement };
  }
  await must(session, ['begin', ...note, 'commit'].join(';\n'));
  return undefined;
}

/** What an interrupted statement makes is there, or what it drops is gone. */
const HAPPENED: ReadonlySet<string> = new Set([
  sqlstate.duplicateTable,
  sqlstate.undefinedObject,
  sqlstate.undefinedTable,
  '42710', // duplicate_object
  '42P04', // duplicate_database
  '3D000', // invalid_catalog_name
]);

/** An index that an interrupted CREATE INDEX CONCURRENTLY has finished; one that it left INVALID is dropped. */
async function stands(session: Session, step: LoneStep): Promise<boolean> {
  if (step.kind !== 'index-operation' || step.operation.kind !== 'create-index') return false;
  const { index, suggestedName, table } = step.operation;
  const name = quoteRelation({ schema: table.schema, name: index ?? suggestedName });
  const [row] = await session.query(
    'select indisvalid as valid from pg_catalog.pg_index where indexrelid = pg_catalog.to_regclass($1)',
    [name],
  );
  // The dead undo's session is gone: it would still hold the run lock. So nobody is building it.
  if (row?.valid === false) await must(session, `drop index concurrently if exists ${name}`);
  return row?.valid === true;
}

function noteProgress(
  ledgerSchema: string,
  version: string,
  { steps, started }: { steps: number; started: boolean },
): string {
  return `insert into ${quoteIdentifier(ledgerSchema)}.undo_progress values (${quoteLiteral(version)}, ${steps}, ${started}) on conflict (version) do update set steps = excluded.steps, started = excluded.started`;
}

function forgetMigration(ledgerSchema: string, version: string): string[] {
  return ['undo_progress', 'index_build', 'step'].map(
    (table) =>
      `delete from ${quoteIdentifier(ledgerSchema)}.${table} where version = ${quoteLiteral(version)}`,
  );
}

function undoFailed(
  { undo: file, name }: Migration,
  step: Step,
  { fault, statement, undone }: Failure & { undone: readonly string[] },
): MigrationError {
  const locked = fault.fault.sqlstate === sqlstate.lockNotAvailable;
  return new MigrationError({
    code: 'undo-failed',
    what: `The undo of ${name} failed in step ${step.number + 1}.`,
    place: {
      file: file?.file ?? name,
      position: statement?.position ?? { line: 1, column: 1 },
      statement: statement?.text,
    },
    fault: fault.fault,
    applied: undone.length === 0 ? 'nothing was undone before it.' : `undone: ${undone.join(', ')}.`,
    next: locked
      ? 'end the transaction that holds the lock, or wait for it, and undo again: it continues with this step.'
      : 'correct the undo file, deploy, and undo again: it continues with this step.',
    cause: fault,
  });
}
