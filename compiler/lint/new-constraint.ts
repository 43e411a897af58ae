import type { Constraint } from 'libpg-query';
import { constraintKind, nameOfConstraint } from '../schema/constraint.ts';
import type { ConstraintKind } from '../schema/table.ts';
import { as } from '../syntax/syntax-tree.ts';
import { codeTokensOf, isWord } from '../syntax/tokens.ts';
import { type Alteration, withCommand } from './alteration.ts';
import { addedColumns, withoutClauses } from './column-definition.ts';
import type { StatementContext } from './statement-context.ts';
import { written } from './written-name.ts';

/** A constraint that ALTER TABLE adds to a table that exists, by itself or in the definition of a new column. */
export interface NewConstraint {
  readonly alteration: Alteration;
  readonly constraint: Constraint;
  /** As written, or as Postgres would choose it. */
  readonly name: string;
  /** The column whose definition contains it. */
  readonly column: string | undefined;
  /** From CHECK, UNIQUE, FOREIGN KEY or PRIMARY KEY on, as a constraint of the table. */
  readonly body: string;
  /** The statement without it; may be empty. */
  readonly rest: string;
  /** Where it begins in the file. */
  readonly index: number;
  readonly hasDefault: boolean;
}

export function newConstraints(context: StatementContext, kind: ConstraintKind): readonly NewConstraint[] {
  const { alteration } = context;
  if (alteration === undefined || !context.isExisting(alteration.table)) return [];
  return [...ofTable(context, alteration), ...ofColumns(context, alteration)].filter(
    ({ constraint }) => constraintKind(constraint) === kind,
  );
}

function ofTable(context: StatementContext, alteration: Alteration): readonly NewConstraint[] {
  const { table } = alteration;
  return alteration.commands.flatMap((command) => {
    const constraint = as('Constraint', command.tree.def);
    if (command.tree.subtype !== 'AT_AddConstraint' || constraint === undefined) return [];
    return [
      {
        alteration,
        constraint,
        name: nameOfConstraint(constraint, { table: table.name }),
        column: undefined,
        body: bodyOf(command.text, constraint),
        rest: withCommand(alteration, command, undefined),
        index: context.statement.index + command.start,
        hasDefault: false,
      },
    ];
  });
}

/** Without `add` and `constraint name`. */
function bodyOf(text: string, { conname }: Constraint): string {
  const tokens = codeTokensOf(text);
  const skipped = (isWord(tokens[0], 'add') ? 1 : 0) + (conname === undefined ? 0 : 2);
  return text.slice(tokens[skipped]?.start);
}

function ofColumns(context: StatementContext, alteration: Alteration): readonly NewConstraint[] {
  const { table } = alteration;
  return addedColumns(context).flatMap((column) =>
    column.clauses.map((clause) => {
      const body = bodyOf(clause.text, clause.constraint);
      return {
        alteration,
        constraint: clause.constraint,
        name: nameOfConstraint(clause.constraint, { table: table.name, column: column.name }),
        column: column.name,
        body:
          clause.constraint.contype === 'CONSTR_FOREIGN'
            ? `foreign key (${written(column.name)}) ${body}`
            : body,
        rest: withoutClauses(column, [clause]),
        index: context.statement.index + clause.start,
        hasDefault: column.clauses.some(({ constraint }) => constraint.contype === 'CONSTR_DEFAULT'),
      };
    }),
  );
}
