import type { Migration, Step } from '../../lambda/migration/migration.ts';
import { statementsOf } from '../../lambda/migration/migration.ts';
import type { ParsedMigration } from '../steps/compile-migrations.ts';
import type { ParsedStatement } from '../syntax/parse-file.ts';
import type { SourceText } from '../syntax/source-text.ts';
import { as } from '../syntax/syntax-tree.ts';

/** One migration as the rules see it: its statements, and the transactions that they run in. */
export class LintedFile {
  readonly migration: Migration;
  readonly source: SourceText;
  readonly statements: readonly ParsedStatement[];
  readonly #steps: readonly (Step | undefined)[];
  readonly #explicit: readonly boolean[];

  constructor({ migration, up }: ParsedMigration) {
    this.migration = migration;
    this.source = up.source;
    this.statements = up.statements;
    this.#steps = stepsOf(migration, up.statements);
    this.#explicit = explicitTransactions(up.statements);
  }

  /** The step in which a statement runs. BEGIN and COMMIT are in none. */
  stepOf(number: number): Step | undefined {
    return this.#steps[number];
  }

  stepKind(number: number): Step['kind'] | undefined {
    return this.#steps[number]?.kind;
  }

  /** Whether it is between the author's own BEGIN and COMMIT. */
  isExplicit(number: number): boolean {
    return this.#explicit[number] ?? false;
  }
}

function stepsOf(
  migration: Migration,
  statements: readonly ParsedStatement[],
): readonly (Step | undefined)[] {
  const steps = new Map<string, Step>();
  for (const step of migration.steps) {
    for (const { position } of statementsOf(step)) steps.set(`${position.line}:${position.column}`, step);
  }
  return statements.map(({ position }) => steps.get(`${position.line}:${position.column}`));
}

function explicitTransactions(statements: readonly ParsedStatement[]): readonly boolean[] {
  let open = false;
  return statements.map(({ tree }) => {
    const control = as('TransactionStmt', tree);
    if (control?.kind === 'TRANS_STMT_BEGIN' || control?.kind === 'TRANS_STMT_START') open = true;
    else if (control?.kind === 'TRANS_STMT_COMMIT') open = control.chain === true;
    return open;
  });
}
