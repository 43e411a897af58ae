import { type LockMode, type LockWork, strongerMode, strongestLocks } from '../migration/lock-modes.ts';
import { type Statement, type Step, statementsOf } from '../migration/migration.ts';
import { type RelationName, relationKey } from '../migration/relation-name.ts';

/** What a step will lock; mode and work are absent where nobody can see into the statement. */
export interface PlannedLock {
  readonly relation: RelationName;
  readonly mode: LockMode | undefined;
  readonly work: LockWork | undefined;
}

/**
 * The locks that were compiled for the statement as written; inline, an index operation runs in its plain form.
 *
 * @param workOf what Postgres said that a statement really does under its locks
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
 * Whether nobody who reads or writes a table queues behind the step: it writes rows, or locks them, and each of its
 * statements is one that can be seen into. What calls a function counts by what it says itself.
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
      // Each index is locked while it is rebuilt, and its table against writes.
      const isIndex = (operation.target === 'index') === (operation.name?.name === relation.name);
      return isIndex ? 'access exclusive' : 'share';
    }
    default:
      return operation satisfies never;
  }
}
