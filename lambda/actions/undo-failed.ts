import type { Migration, Statement, Step } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { sqlstate } from '../migration/sqlstate.ts';
import { type Blocker, describeBlockers } from '../postgres/catalog/blockers.ts';
import type { StatementFault } from '../postgres/session/fault.ts';

export interface UndoFailure {
  readonly fault: StatementFault;
  readonly statement: Statement | undefined;
  /** Names of those that were undone before. */
  readonly undone: readonly string[];
  /** The statement was ended because the function's time was up. */
  readonly tooLong: boolean;
  /** Who holds the locks that it asked for, where that was the reason. */
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

/** Between two steps: nothing is left half done, and the same action goes on. */
export function undoUnfinished(migration: Migration, step: Step, undone: readonly string[]): MigrationError {
  return new MigrationError({
    code: 'undo-unfinished',
    what: `The function's time was over before step ${step.number + 1} of ${fileOf(migration)}.`,
    applied: `${undone.length === 0 ? 'nothing' : undone.join(', ')} is undone${step.number === 0 ? '' : `, and of ${migration.name} the first ${step.number} steps`}.`,
    next: 'send the same action again: it continues with this step. The command line has no time limit: npx cdk-postgres-migrations undo --to … --confirm.',
  });
}

function fileOf({ undo, name }: Migration): string {
  return undo?.file ?? name;
}
