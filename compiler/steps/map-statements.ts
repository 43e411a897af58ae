import type { Statement, Step } from '../../lambda/migration/migration.ts';

/** The steps with each of their statements changed. */
export function mapStatements(
  steps: readonly Step[],
  change: (statement: Statement) => Statement,
): readonly Step[] {
  return steps.map((step) =>
    step.kind === 'transaction'
      ? { ...step, statements: step.statements.map(change) }
      : { ...step, statement: change(step.statement) },
  );
}
