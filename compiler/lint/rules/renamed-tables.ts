import type { RelationName } from '../../../lambda/migration/relation-name.ts';
import { as, relationOf, relationTypes } from '../../syntax/syntax-tree.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';

export const renameTable: Rule = {
  name: 'rename-table',
  severity: 'warning',
  title: 'a table or view renamed or moved to another schema, with no view left under the old name',
  aboutLocks: true,
  *check(context) {
    const renamed = renamedRelation(context);
    if (renamed === undefined || !context.isExisting(renamed.from) || hasView(context, renamed.from)) return;
    const { from, to } = renamed;
    yield {
      what: `Code deployed before this, or running alongside it, fails as soon as it refers to ${context.show(from)}.`,
      instead: `${context.text};\ncreate view ${context.show(from)} as select * from ${context.show(to)};`,
      note: 'Drop the view in a later migration, when no deployed code uses it. ON CONFLICT and foreign keys need the table itself.',
      relation: from,
    };
  },
};

interface Renamed {
  readonly from: RelationName;
  readonly to: RelationName;
}

function renamedRelation({ tree, schema }: StatementContext): Renamed | undefined {
  const rename = as('RenameStmt', tree);
  if (
    rename?.relation !== undefined &&
    relationTypes.has(rename.renameType ?? '') &&
    rename.subname === undefined
  ) {
    const from = relationOf(rename.relation);
    // ALTER TABLE … RENAME TO accepts an index as well, whose name no application uses.
    if (schema.relation(from) === undefined && schema.index(from) !== undefined) return undefined;
    return { from, to: { ...from, name: rename.newname ?? '' } };
  }
  const move = as('AlterObjectSchemaStmt', tree);
  if (move?.relation === undefined || !relationTypes.has(move.objectType ?? '')) return undefined;
  const from = relationOf(move.relation);
  return { from, to: { schema: move.newschema, name: from.name } };
}

function hasView({ after }: StatementContext, { schema, name }: RelationName): boolean {
  return after.some(({ tree }) => {
    const view = as('ViewStmt', tree)?.view;
    return view !== undefined && view.relname === name && view.schemaname === schema;
  });
}
