import type { Constraint } from 'libpg-query';
import { constrainedColumns } from '../../schema/constraint.ts';
import { strings } from '../../syntax/syntax-tree.ts';
import { type NewConstraint, newConstraints } from '../new-constraint.ts';
import type { Report, Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { setNotNullSafely } from '../two-steps.ts';
import { written, writtenList } from '../written-name.ts';

export const uniqueWithoutIndex: Rule = {
  name: 'unique-without-index',
  severity: 'warning',
  title: 'a UNIQUE constraint that builds its index under its lock',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    for (const added of newConstraints(context, 'unique')) {
      if (added.constraint.indexname !== undefined) continue;
      yield {
        index: added.index,
        what: `Adding ${added.name} builds its index while nobody else can read or write ${context.show(added.alteration.table)}.`,
        instead: added.rest + indexThenConstraint(context, added, 'unique'),
        relation: added.alteration.table,
      };
    }
  },
};

export const primaryKeyWithoutIndex: Rule = {
  name: 'primary-key-without-index',
  severity: 'warning',
  title: 'a PRIMARY KEY that builds its index, or checks for nulls, under its lock',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    for (const added of newConstraints(context, 'primary key')) {
      const report =
        added.constraint.indexname === undefined ? withoutIndex(context, added) : withNulls(context, added);
      if (report !== undefined) yield report;
    }
  },
};

function withoutIndex(context: StatementContext, added: NewConstraint): Report {
  const { table } = added.alteration;
  return {
    index: added.index,
    what: `Adding ${added.name} builds its index while nobody else can read or write ${context.show(table)}.`,
    instead: [
      added.rest,
      ...nullable(context, added).map(
        (column) => `${setNotNullSafely(context, { table, column })}\n${context.nextTransaction}`,
      ),
      indexThenConstraint(context, added, 'primary key'),
    ].join(''),
    relation: table,
  };
}

/** The index exists, but a primary key needs NOT NULL too. */
function withNulls(context: StatementContext, added: NewConstraint): Report | undefined {
  const { table } = added.alteration;
  const columns = nullable(context, added);
  if (columns.length === 0) return undefined;
  return {
    index: added.index,
    what: `A primary key makes ${columns.join(', ')} NOT NULL, for which every row of ${context.show(table)} is read while nobody else can read or write it.`,
    instead: [
      ...columns.map(
        (column) => `${setNotNullSafely(context, { table, column })}\n${context.nextTransaction}`,
      ),
      `${context.text};`,
    ].join(''),
    relation: table,
  };
}

/** Key columns that nothing proves to be NOT NULL, of a table that the folder shows. */
function nullable(
  context: StatementContext,
  { alteration, constraint, column }: NewConstraint,
): readonly string[] {
  const table = context.schema.relation(alteration.table);
  if (table === undefined || table.kind === 'unknown') return [];
  const index = context.schema.indexesOf(table).find(({ name }) => name === constraint.indexname);
  const columns =
    index?.keyColumns.filter((each) => each !== undefined) ?? constrainedColumns(constraint, column);
  return columns.filter((each) => table.columns.get(each)?.notNull === false);
}

function indexThenConstraint(
  context: StatementContext,
  { alteration: { table }, constraint, name, column }: NewConstraint,
  kind: 'unique' | 'primary key',
): string {
  const build = `create unique index concurrently ${written(name)} on ${context.show(table)} ${indexBody(constraint, column)};`;
  // Postgres has no USING INDEX there; the index alone does what the constraint would.
  if (kind === 'unique' && context.schema.relation(table)?.kind === 'partitioned table')
    return context.alone(build);
  const attach = `alter table ${context.show(table)} add constraint ${written(name)} ${kind} using index ${written(name)}${deferral(constraint)};`;
  return context.file.isExplicit(context.number)
    ? `commit;\n${build}\nbegin;\n${attach}`
    : `${build}\n${attach}`;
}

function indexBody(constraint: Constraint, column: string | undefined): string {
  const including = strings(constraint.including);
  return [
    `(${writtenList(constrainedColumns(constraint, column))})`,
    ...(including.length === 0 ? [] : [`include (${writtenList(including)})`]),
    ...(constraint.nulls_not_distinct ? ['nulls not distinct'] : []),
  ].join(' ');
}

function deferral({ deferrable, initdeferred }: Constraint): string {
  if (!deferrable) return '';
  return initdeferred ? ' deferrable initially deferred' : ' deferrable';
}

export const exclusionConstraint: Rule = {
  name: 'exclusion-constraint',
  severity: 'warning',
  title: 'an EXCLUDE constraint on a table that exists',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    for (const { alteration, name, index } of newConstraints(context, 'exclusion')) {
      yield {
        index,
        what: `Adding ${name} builds its index while nobody else can read or write ${context.show(alteration.table)}, and Postgres has no other way to add it.`,
        instead: context.allowing(
          this.name,
          `${alteration.table.name} is small enough to be blocked for that long`,
        ),
        note: 'For a large table, make a new one with the constraint, move the rows in batches, and swap the names.',
        relation: alteration.table,
      };
    }
  },
};
