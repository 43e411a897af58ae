import type { Constraint } from 'libpg-query';
import { constraintName } from '../syntax/index-name.ts';
import { relationOf, strings } from '../syntax/syntax-tree.ts';
import { columnsIn, expressionKey, provenNotNull } from './expression.ts';
import { constraintIndex } from './index-definition.ts';
import type { Schema } from './schema.ts';
import type { ConstraintKind, Origin, Relation } from './table.ts';

const KINDS: Readonly<Record<string, ConstraintKind>> = {
  CONSTR_CHECK: 'check',
  CONSTR_EXCLUSION: 'exclusion',
  CONSTR_FOREIGN: 'foreign key',
  CONSTR_NOTNULL: 'not null',
  CONSTR_PRIMARY: 'primary key',
  CONSTR_UNIQUE: 'unique',
};

/** What a constraint is, or nothing for DEFAULT, GENERATED and the like. */
export function constraintKind({ contype = 'CONSTR_NULL' }: Constraint): ConstraintKind | undefined {
  return KINDS[contype];
}

/** The columns that it constrains; `column` is the one whose definition contains it. */
export function constrainedColumns(constraint: Constraint, column?: string): readonly string[] {
  switch (constraintKind(constraint)) {
    case 'check':
      return columnsIn(constraint.raw_expr);
    case 'foreign key':
      return column === undefined ? strings(constraint.fk_attrs) : [column];
    case 'exclusion':
      return columnsOfExclusion(constraint);
    default:
      return column === undefined ? strings(constraint.keys) : [column];
  }
}

function columnsOfExclusion({ exclusions = [] }: Constraint): readonly string[] {
  return exclusions.flatMap((pair) => {
    const element = (pair as { List?: { items?: { IndexElem?: { name?: string } }[] } }).List?.items?.[0];
    return element?.IndexElem?.name ?? [];
  });
}

/** Its name, or the one that Postgres would choose. */
export function nameOfConstraint(
  constraint: Constraint,
  { table, column }: { readonly table: string; readonly column?: string | undefined },
): string {
  const columns = constrainedColumns(constraint, column);
  switch (constraintKind(constraint)) {
    case 'primary key':
      return constraint.conname ?? constraint.indexname ?? constraintName(table, [], 'pkey');
    case 'unique':
      return constraint.conname ?? constraint.indexname ?? constraintName(table, columns, 'key');
    case 'foreign key':
      return constraint.conname ?? constraintName(table, columns, 'fkey');
    case 'exclusion':
      return constraint.conname ?? constraintName(table, columns, 'excl');
    case 'not null':
      return constraint.conname ?? constraintName(table, columns, 'not_null');
    default:
      return constraint.conname ?? constraintName(table, columns.length === 1 ? columns : [], 'check');
  }
}

interface Place {
  readonly table: Relation;
  readonly column?: string | undefined;
  readonly origin: Origin;
}

/** Adds a constraint, and the index that comes with it. */
export function learnConstraint(schema: Schema, constraint: Constraint, place: Place): void {
  const kind = constraintKind(constraint);
  if (kind === undefined) return;
  const { table, column, origin } = place;
  const name = nameOfConstraint(constraint, { table: table.name.name, column });
  const used =
    constraint.indexname === undefined ? undefined : schema.index(inSchemaOf(table, constraint.indexname));
  const columns =
    used === undefined ? constrainedColumns(constraint, column) : columnsOfIndex(used.keyColumns);
  table.constraints.set(name, {
    name,
    kind,
    columns,
    validated: constraint.skip_validation !== true && constraint.is_enforced !== false,
    provesNotNull: kind === 'not null' ? columns : kind === 'check' ? provenNotNull(constraint.raw_expr) : [],
    references:
      constraint.pktable === undefined ? undefined : schema.relationOrUnknown(relationOf(constraint.pktable)),
    expression: constraint.raw_expr === undefined ? undefined : expressionKey(constraint.raw_expr),
    origin,
  });
  if (kind === 'primary key' || (kind === 'not null' && constraint.skip_validation !== true)) {
    for (const each of columns) setNotNull(table, each);
  }
  if (kind !== 'primary key' && kind !== 'unique') return;
  if (used !== undefined) schema.renameIndex(used, name);
  else schema.addIndex(constraintIndex(columns, { name, table, origin }));
}

export function setNotNull(table: Relation, column: string, notNull = true): void {
  const known = table.columns.get(column) ?? { type: undefined, origin: undefined };
  table.columns.set(column, { ...known, notNull });
}

function inSchemaOf(table: Relation, name: string): { schema: string | undefined; name: string } {
  return { schema: table.name.schema, name };
}

function columnsOfIndex(columns: readonly (string | undefined)[]): readonly string[] {
  return columns.filter((column) => column !== undefined);
}
