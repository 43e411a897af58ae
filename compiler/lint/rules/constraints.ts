import { blockedBy } from '../../../lambda/migration/lock-modes.ts';
import { provesNotNull } from '../../locks/alter-table-locks.ts';
import { constrainedColumns } from '../../schema/constraint.ts';
import { as } from '../../syntax/syntax-tree.ts';
import { withCommand } from '../alteration.ts';
import { newConstraints } from '../new-constraint.ts';
import type { Report, Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { addThenValidate, setNotNullSafely } from '../two-steps.ts';
import { written } from '../written-name.ts';

const HANDED_OFF =
  'VALIDATE is a step of its own: where the table is not small it is handed off, and the deploy does not wait for it (docs/long-work.md).';

export const checkWithoutNotValid: Rule = {
  name: 'check-without-not-valid',
  severity: 'warning',
  title: 'a CHECK constraint that is checked against all rows right away',
  aboutLocks: true,
  bySize: true,
  fixes: true,
  *check(context) {
    for (const { alteration, constraint, name, body, rest, index } of newConstraints(context, 'check')) {
      if (constraint.skip_validation || constraint.is_enforced === false) continue;
      const { table } = alteration;
      yield {
        index,
        what: `Adding ${name} reads every row of ${context.show(table)} while nobody else can read or write it.`,
        instead: rest + addThenValidate(context, { table, name, body }),
        note: HANDED_OFF,
        relation: table,
        alone: constraint.is_no_inherit === true,
      };
    }
  },
};

export const foreignKeyWithoutNotValid: Rule = {
  name: 'foreign-key-without-not-valid',
  severity: 'warning',
  title: 'a FOREIGN KEY that is checked against all rows right away',
  aboutLocks: true,
  bySize: true,
  fixes: true,
  *check(context) {
    for (const added of newConstraints(context, 'foreign key')) {
      const { alteration, constraint, name, column, body, rest, index } = added;
      // A new column without a default is null in every row, and null references nothing.
      if (constraint.skip_validation || constraint.is_enforced === false) continue;
      if (column !== undefined && !added.hasDefault) continue;
      const { table } = alteration;
      const other = constraint.pktable?.relname ?? '';
      yield {
        index,
        what: `Adding ${name} looks up every row of ${context.show(table)} while nobody can write to it or to ${other}.`,
        instead: rest + addThenValidate(context, { table, name, body }),
        note: HANDED_OFF,
        relation: table,
        alone: true,
      };
    }
  },
};

export const setNotNull: Rule = {
  name: 'set-not-null',
  severity: 'warning',
  title: 'NOT NULL on a column that may hold nulls, as far as the folder shows',
  aboutLocks: true,
  bySize: true,
  fixes: true,
  *check(context) {
    yield* setColumns(context);
    for (const { alteration, constraint, rest, index } of newConstraints(context, 'not null')) {
      const [column = ''] = constrainedColumns(constraint);
      const { table } = alteration;
      // In a new column's definition the rule required-column covers it.
      if (constraint.skip_validation || column === '') continue;
      yield report(context, { table, column, rest, index });
    }
  },
};

function* setColumns(context: StatementContext): Iterable<Report> {
  const { alteration } = context;
  if (alteration === undefined || !context.isExisting(alteration.table)) return;
  const { table, commands } = alteration;
  const known = context.schema.relation(table);
  for (const command of commands) {
    const { subtype, name: column = '' } = command.tree;
    if (subtype !== 'AT_SetNotNull' || (known !== undefined && provesNotNull(known, column))) continue;
    const rest = withCommand(alteration, command, undefined);
    yield report(context, { table, column, rest, index: context.statement.index + command.start });
  }
}

function report(
  context: StatementContext,
  {
    table,
    column,
    rest,
    index,
  }: {
    readonly table: { readonly schema: string | undefined; readonly name: string };
    readonly column: string;
    readonly rest: string;
    readonly index: number;
  },
): Report {
  return {
    index,
    what: `Postgres reads every row of ${context.show(table)} to verify that ${column} is never null, while nobody else can read or write it.`,
    instead: rest + setNotNullSafely(context, { table, column }),
    note: `VALIDATE is handed off where the table is not small, and SET NOT NULL waits for it. If rows have no ${column} yet, fill them first: an UPDATE … WHERE ${written(column)} IS NULL with "-- migrate: backfill" on the line before it.`,
    relation: table,
  };
}

export const validateInSameTransaction: Rule = {
  name: 'validate-in-same-transaction',
  severity: 'warning',
  title: 'VALIDATE CONSTRAINT in the transaction that added the constraint',
  aboutLocks: true,
  bySize: true,
  fixes: true,
  *check(context) {
    const { alteration } = context;
    if (alteration === undefined || !context.isExisting(alteration.table)) return;
    const { table } = alteration;
    for (const { tree, start } of alteration.commands) {
      if (tree.subtype !== 'AT_ValidateConstraint') continue;
      const added = context.before.find((earlier) =>
        adds(earlier, { table: table.name, name: tree.name ?? '' }),
      );
      if (added === undefined) continue;
      yield {
        index: context.statement.index + start,
        what: `The lock taken when line ${added.statement.position.line} added ${tree.name} is held until the transaction ends, so validating it here blocks as much as adding it without NOT VALID.`,
        instead: `${context.nextTransaction}${context.text};`,
        note: HANDED_OFF,
        relation: table,
        blocks: blockedBy(added.strongestLock?.mode ?? 'access exclusive'),
      };
    }
  },
};

function adds(
  { tree }: StatementContext,
  { table, name }: { readonly table: string; readonly name: string },
): boolean {
  const alter = as('AlterTableStmt', tree);
  if (alter?.relation?.relname !== table) return false;
  return (alter.cmds ?? []).some(
    (node) => as('Constraint', as('AlterTableCmd', node)?.def)?.conname === name,
  );
}
