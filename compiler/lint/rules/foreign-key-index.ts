import type { Constraint } from 'libpg-query';
import type { RelationName } from '../../../lambda/migration/relation-name.ts';
import { constrainedColumns, constraintKind } from '../../schema/constraint.ts';
import { constraintName } from '../../syntax/index-name.ts';
import { as, relationOf, walk } from '../../syntax/syntax-tree.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { written, writtenList } from '../written-name.ts';

export const foreignKeyWithoutIndex: Rule = {
  name: 'foreign-key-without-index',
  severity: 'advice',
  title: 'a FOREIGN KEY whose columns no index starts with',
  aboutLocks: false,
  *check(context) {
    const table = tableOf(context);
    if (table === undefined) return;
    for (const { constraint, column } of foreignKeys(context)) {
      const columns = constrainedColumns(constraint, column);
      const last = context.final.relation(table);
      if (last === undefined || columns.some((each) => !last.columns.has(each))) continue;
      if (
        context.final
          .indexesOf(last)
          .some((index) => begins(index.keyColumns, columns) && index.predicate === undefined)
      )
        continue;
      const other = relationOf(constraint.pktable ?? {});
      yield {
        index: context.file.source.indexOfByte(constraint.location ?? 0),
        what: `No index of ${context.show(table)} begins with ${columns.join(', ')}: each delete from ${context.show(other)}, and each change of its key, reads the whole of ${context.show(table)}.`,
        instead: `${context.text};\n${indexSql(context, { table, columns })}`,
      };
    }
  },
};

function tableOf({ tree }: StatementContext): RelationName | undefined {
  const relation = as('CreateStmt', tree)?.relation ?? as('AlterTableStmt', tree)?.relation;
  return relation === undefined ? undefined : relationOf(relation);
}

interface ForeignKey {
  readonly constraint: Constraint;
  readonly column: string | undefined;
}

function foreignKeys({ tree }: StatementContext): readonly ForeignKey[] {
  const found: ForeignKey[] = [];
  let column: string | undefined;
  const elements = as('CreateStmt', tree)?.tableElts ?? as('AlterTableStmt', tree)?.cmds;
  for (const element of elements ?? []) {
    column = undefined;
    walk(element, (object) => {
      if (typeof object.colname === 'string') column = object.colname;
      const constraint = object.Constraint as Constraint | undefined;
      if (constraint !== undefined && constraintKind(constraint) === 'foreign key')
        found.push({ constraint, column });
      return true;
    });
  }
  return found;
}

/** In any order: a look-up by all of them uses the index. */
function begins(keys: readonly (string | undefined)[], columns: readonly string[]): boolean {
  const first = keys.slice(0, columns.length);
  return columns.every((column) => first.includes(column));
}

function indexSql(
  context: StatementContext,
  { table, columns }: { readonly table: RelationName; readonly columns: readonly string[] },
): string {
  const name = written(constraintName(table.name, columns, 'idx'));
  const definition = `${name} on ${context.show(table)} (${writtenList(columns)});`;
  const isNew = 'CreateStmt' in context.tree || !context.isExisting(table);
  return isNew ? `create index ${definition}` : context.alone(`create index concurrently ${definition}`);
}
