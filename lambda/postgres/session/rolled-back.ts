import type { StatementFault } from './fault.ts';
import type { Session, TextRow } from './session.ts';

export interface RolledBack {
  /** The first row of the last statement; absent where it has none, or a statement failed. */
  readonly row: TextRow | undefined;
  readonly fault: StatementFault | undefined;
}

/**
 * Asks something in a transaction that leaves nothing behind, in one round trip: a file's own SET statements decide
 * there what a name means, and hold no longer than the question. Throws only SessionLost.
 */
export async function rolledBack(session: Session, statements: readonly string[]): Promise<RolledBack> {
  const { fault, rows } = await session.script(['begin', ...statements, 'rollback'].join('\n;\n'));
  if (fault !== undefined) {
    await session.script('rollback');
    return { row: undefined, fault };
  }
  return { row: rows[statements.length]?.[0], fault };
}
