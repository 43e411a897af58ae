import { type LockMode, type LockWork, strongerMode, strongestLocks } from '../migration/lock-modes.ts';
import { type Statement, type Step, statementsOf } from '../migration/migration.ts';
import { type RelationName, relationKey } from '../migration/relation-name.ts';

/** A lock that a step will take; mode and work are absent for statements that can't be analysed. */
export interface PlannedLock {
  readonly relation: RelationName;
  readonly mode: LockMode | undefined;
  readonly work: LockWork | undefined;
}

/**
 * Locks were compiled for the statement as written; inline, an index operation runs in its plain form.
 *
 * @param workOf what a statement really does under its locks, according to Postgres
 */
export function locksOf(
  step: Step,
  inline: boolean,
  workOf: (statement: Statement) => LockWork | undefined = () => undefined,
): PlannedLock[] {
  const statements = statementsOf(step);
  const locks = strongestLocks(
    statements.flatMap((statement) => {
      const work = workOf(statement);
      const compiled = statement.locks ?? [];
      return work === undefined ? compiled : compiled.map((lock) => ({ ...lock, work }));
    }),
  );
  const taken: PlannedLock[] = locks.map((lock) =>
    inline ? { ...lock, mode: plainMode(step, lock.relation) ?? lock.mode } : lock,
  );
  const named = new Set(locks.map(({ relation }) => relationKey(relation)));
  for (const { touches } of statements) {
    for (const relation of [...touches.changes, ...touches.writes]) {
      if (named.has(relationKey(relation))) continue;
      named.add(relationKey(relation));
      taken.push({ relation, mode: undefined, work: undefined });
    }
  }
  return taken;
}

/**
 * Whether no reader or writer of a table queues behind the step: it writes or locks rows only, and every statement can
 * be analysed. A statement that calls a function counts by its own text.
 */
export function locksOnlyRows(step: Step): boolean {
  if (step.kind !== 'transaction') return false;
  if (step.statements.some(({ touches }) => touches.opaque)) return false;
  const locks = locksOf(step, true);
  return (
    locks.some(({ mode }) => mode !== 'access share') &&
    locks.every(({ mode }) => mode !== undefined && strongerMode(mode, 'row exclusive') === 'row exclusive')
  );
}

function plainMode(step: Step, relation: RelationName): LockMode | undefined {
  if (step.kind !== 'index-operation') return undefined;
  const { operation } = step;
  switch (operation.kind) {
    case 'create-index':
      return 'share';
    case 'drop-index':
      return 'access exclusive';
    case 'reindex': {
      // Each index is locked while it is rebuilt, and writes to its table are blocked.
      const isIndex = (operation.target === 'index') === (operation.name?.name === relation.name);
      return isIndex ? 'access exclusive' : 'share';
    }
    default:
      return operation satisfies never;
  }
}
