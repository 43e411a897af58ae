import type { ColumnDef, Constraint } from 'libpg-query';
import { as } from '../syntax/syntax-tree.ts';
import { type Alteration, type Command, withCommand } from './alteration.ts';
import type { StatementContext } from './statement-context.ts';

/** ADD COLUMN on a table that exists, with the clauses of the column's definition. */
export interface AddedColumn {
  readonly alteration: Alteration;
  readonly command: Command;
  readonly name: string;
  readonly definition: ColumnDef;
  readonly clauses: readonly Clause[];
}

/** `not null`, `default 1`, `references users (id)`: its place in the statement. */
export interface Clause {
  readonly constraint: Constraint;
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

export function addedColumns(context: StatementContext): readonly AddedColumn[] {
  const { alteration } = context;
  if (alteration === undefined || !context.isExisting(alteration.table)) return [];
  return alteration.commands.flatMap((command) => {
    const definition =
      command.tree.subtype === 'AT_AddColumn' ? as('ColumnDef', command.tree.def) : undefined;
    if (definition === undefined) return [];
    const clauses = clausesOf(definition, { context, command });
    return [{ alteration, command, name: definition.colname ?? '', definition, clauses }];
  });
}

function clausesOf(
  { constraints = [], collClause }: ColumnDef,
  { context, command }: { readonly context: StatementContext; readonly command: Command },
): readonly Clause[] {
  const all = constraints.map((node) => as('Constraint', node) ?? {});
  const starts = all.map(({ location = 0 }) => context.offsetOf(location));
  const collation = collClause?.location === undefined ? [] : [context.offsetOf(collClause.location)];
  const ends = [...starts, ...collation, command.start + command.text.length];
  return all.flatMap((constraint, at) => {
    // DEFERRABLE and the like belong to the clause that they follow.
    if (constraint.contype?.startsWith('CONSTR_ATTR_')) return [];
    const start = starts[at] ?? 0;
    const next =
      ends.filter((end, other) => end > start && !isAttribute(all[other])).sort((a, b) => a - b)[0] ?? start;
    const text = context.text.slice(start, next).trimEnd();
    return [{ constraint, start, end: start + text.length, text }];
  });
}

function isAttribute(constraint: Constraint | undefined): boolean {
  return constraint?.contype?.startsWith('CONSTR_ATTR_') ?? false;
}

/** The whole ALTER TABLE with the column, but without some clauses of its definition. */
export function withoutClauses(
  { alteration, command, clauses }: AddedColumn,
  left: readonly Clause[],
): string {
  let text = command.text;
  for (const clause of [...clauses].reverse()) {
    if (!left.includes(clause)) continue;
    const start = clause.start - command.start;
    text = `${text.slice(0, start).trimEnd()}${text.slice(clause.end - command.start)}`;
  }
  return withCommand(alteration, command, text);
}

export function clauseOf({ clauses }: AddedColumn, contype: Constraint['contype']): Clause | undefined {
  return clauses.find(({ constraint }) => constraint.contype === contype);
}
