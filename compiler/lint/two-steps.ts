import type { RelationName } from '../../lambda/migration/relation-name.ts';
import { constraintName } from '../syntax/index-name.ts';
import type { StatementContext } from './statement-context.ts';
import { written } from './written-name.ts';

interface Constrained {
  readonly table: RelationName;
  readonly name: string;
  /** `check (…)`, `foreign key (…) references …`. */
  readonly body: string;
  /** @default 'table' */
  readonly object?: 'table' | 'domain';
}

/**
 * A constraint that holds for new rows at once, and for old ones after a validation that blocks nobody. VALIDATE is a
 * step of its own, which the loop carries where the table is not small.
 */
export function addThenValidate(
  context: StatementContext,
  { table, name, body, object = 'table' }: Constrained,
): string {
  return [
    `alter ${object} ${context.show(table)} add constraint ${written(name)} ${body} not valid;\n`,
    context.nextStep,
    `alter ${object} ${context.show(table)} validate constraint ${written(name)};`,
  ].join('');
}

/**
 * NOT NULL through a CHECK, which Postgres 12 and later accept as proof without reading the table. One ALTER TABLE
 * for both would drop the CHECK first.
 */
export function setNotNullSafely(
  context: StatementContext,
  { table, column }: { readonly table: RelationName; readonly column: string },
): string {
  const name = constraintName(table.name, [column], 'not_null');
  return [
    addThenValidate(context, { table, name, body: `check (${written(column)} is not null)` }),
    `alter table ${context.show(table)} alter column ${written(column)} set not null;\nalter table ${context.show(table)} drop constraint ${written(name)};`,
  ].join(`\n${context.nextStep}`);
}

/** Old rows get the value in batches; those that are written meanwhile have it already. */
export function fillInBatches(
  context: StatementContext,
  { table, column }: { readonly table: RelationName; readonly column: string },
): string {
  const name = written(column);
  return context.alone(
    `-- migrate: backfill\nupdate ${context.show(table)} set ${name} = default where ${name} is null;`,
  );
}
