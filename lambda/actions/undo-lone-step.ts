import type { AutocommitStep, IndexOperationStep, Statement } from '../migration/migration.ts';
import { sqlstate } from '../migration/sqlstate.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import { cleanSession } from '../postgres/session/author-settings.ts';
import { SessionLost, StatementFault } from '../postgres/session/fault.ts';
import { OWN_PATH } from '../postgres/session/own-path.ts';
import { quoteRelation } from '../postgres/session/quote.ts';
import { ASKED, findRelations, rolledBack } from '../postgres/session/rolled-back.ts';
import type { NoticeListener, Session } from '../postgres/session/session.ts';
import { limitsAgain } from '../postgres/session/statement-limits.ts';

export interface StepFailure {
  readonly fault: StatementFault;
  readonly statement: Statement | undefined;
}

type LoneStep = AutocommitStep | IndexOperationStep;

export interface LoneRun {
  readonly started: string;
  readonly note: readonly string[];
  /** Milliseconds that are left; absent for no limit. */
  readonly budget: number | undefined;
  /** A former undo began this step, and nobody wrote down how it ended. */
  readonly interrupted: boolean;
  /** The longest that a statement waits for a lock. */
  readonly lockMilliseconds: number;
  /** Settings that the session began with. */
  readonly own: readonly string[];
  readonly heard: NoticeListener;
}

/** A statement that no transaction takes: noted before, and after. */
export async function runLoneStep(
  session: Session,
  step: LoneStep,
  { started, note, own, ...run }: LoneRun,
): Promise<StepFailure | undefined> {
  await must(session, started);
  const failure = await attempt(session, step, run);
  // The ledger is ours, and not the role's that the file has taken on.
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
    // An index that is built concurrently waits in nobody's way; whatever else is alone may stop an application.
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

/** What an interrupted statement makes is there, or what it drops is gone. */
const HAPPENED: ReadonlySet<string> = new Set([
  sqlstate.duplicateTable,
  sqlstate.undefinedObject,
  sqlstate.undefinedTable,
  sqlstate.duplicateObject,
  sqlstate.duplicateDatabase,
  sqlstate.undefinedDatabase,
]);

/**
 * A build that failed or was ended leaves an INVALID index, which costs every write. One that can't be dropped now is
 * dropped by the next undo; where the name was taken, the index is not ours.
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
  // The dead undo's session is gone: it would still hold the run lock. So nobody is building it.
  if (row?.valid === 'f') {
    const { fault } = await session.execute(`drop index concurrently if exists ${quoteRelation(relation)}`);
    if (fault !== undefined) return fault;
  }
  return row?.valid === 't';
}
