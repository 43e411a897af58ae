import type { CreateFunctionStmt, DropStmt, RangeVar, RenameStmt } from 'libpg-query';
import { as, type Node, relationOf, relationOfParts, relationTypes, strings } from '../syntax/syntax-tree.ts';
import { indexOf } from './index-definition.ts';
import { learnAlterTable } from './learn-alter-table.ts';
import { learnCreateTable, learnNamed } from './learn-table.ts';
import { learnType } from './learn-type.ts';
import type { Schema, Volatility } from './schema.ts';
import type { Origin, Relation } from './table.ts';

/** Applies a statement to a schema. A statement that can't be looked into (DO, CALL) changes nothing. */
export function learn(schema: Schema, tree: Node, origin: Origin): void {
  if ('CreateStmt' in tree) learnCreateTable(schema, tree.CreateStmt, { origin, kind: 'table' });
  else if ('CreateForeignTableStmt' in tree) {
    const { base } = tree.CreateForeignTableStmt;
    if (base !== undefined) learnCreateTable(schema, base, { origin, kind: 'foreign table' });
  } else if ('AlterTableStmt' in tree) learnAlterTable(schema, tree.AlterTableStmt, origin);
  else if ('IndexStmt' in tree) learnIndex(schema, tree, origin);
  else if ('DropStmt' in tree) learnDrop(schema, tree.DropStmt);
  else if ('RenameStmt' in tree) learnRename(schema, tree.RenameStmt);
  else if ('CreateFunctionStmt' in tree) learnFunction(schema, tree.CreateFunctionStmt);
  else if ('CreateSchemaStmt' in tree) learnSchema(schema, tree, origin);
  else if ('AlterObjectSchemaStmt' in tree) {
    const { relation, newschema } = tree.AlterObjectSchemaStmt;
    const known = relation === undefined ? undefined : schema.relation(relationOf(relation));
    if (known !== undefined) schema.renameRelation(known, { schema: newschema, name: known.name.name });
  } else if ('CreatePolicyStmt' in tree) {
    const { table } = tree.CreatePolicyStmt;
    if (table !== undefined) schema.relationOrUnknown(relationOf(table)).hasPolicy = true;
  } else {
    learnType(schema, tree);
    learnQuery(schema, tree, origin);
  }
}

/** Views, and tables created from a query. */
function learnQuery(schema: Schema, tree: Node, origin: Origin): void {
  const named = (relation: RangeVar | undefined, kind: Relation['kind']) => {
    if (relation === undefined) return;
    const temporary = relation.relpersistence === 't';
    learnNamed(schema, relationOf(relation), { kind, temporary, origin });
  };
  const create = as('CreateTableAsStmt', tree);
  named(create?.into?.rel, create?.objtype === 'OBJECT_MATVIEW' ? 'materialized view' : 'table');
  named(as('ViewStmt', tree)?.view, 'view');
  named(as('SelectStmt', tree)?.intoClause?.rel, 'table');
}

function learnIndex(schema: Schema, tree: Node, origin: Origin): void {
  const statement = as('IndexStmt', tree);
  if (statement?.relation === undefined) return;
  const table = schema.relationOrUnknown(relationOf(statement.relation));
  const index = indexOf(statement, { table, origin });
  const taken = schema.index({ schema: table.name.schema, name: index.name });
  if (statement.if_not_exists && taken !== undefined) return;
  schema.addIndex(index);
}

function learnDrop(schema: Schema, { removeType, objects = [] }: DropStmt): void {
  for (const object of objects) {
    const name = relationOfParts(strings(as('List', object)?.items));
    if (removeType === 'OBJECT_INDEX') {
      const index = schema.index(name);
      if (index !== undefined) schema.dropIndex(index);
    } else if (relationTypes.has(removeType ?? '')) {
      const relation = schema.relation(name);
      if (relation === undefined) continue;
      // Partitions and child tables are dropped with it, or Postgres refuses.
      for (const each of schema.descendants(relation)) schema.dropRelation(each);
      schema.dropRelation(relation);
    }
  }
}

function learnRename(schema: Schema, { renameType, relation, subname, newname = '' }: RenameStmt): void {
  if (relation === undefined) return;
  const name = relationOf(relation);
  const index = schema.index(name);
  const known = schema.relation(name);
  if (
    renameType === 'OBJECT_INDEX' ||
    (known === undefined && index !== undefined && subname === undefined)
  ) {
    if (index !== undefined) schema.renameIndex(index, newname);
  } else if (known === undefined) return;
  else if (renameType === 'OBJECT_COLUMN') renameColumn(schema, known, { from: subname ?? '', to: newname });
  else if (renameType === 'OBJECT_TABCONSTRAINT')
    renameConstraint(schema, known, { from: subname ?? '', to: newname });
  else if (subname === undefined) schema.renameRelation(known, { ...name, name: newname });
}

interface NewName {
  readonly from: string;
  readonly to: string;
}

function renameColumn(schema: Schema, table: Relation, { from, to }: NewName): void {
  const facts = table.columns.get(from);
  if (facts === undefined) return;
  const rename = (column: string): string => (column === from ? to : column);
  table.columns.delete(from);
  table.columns.set(to, facts);
  for (const [name, constraint] of table.constraints) {
    const { columns, provesNotNull } = constraint;
    table.constraints.set(name, {
      ...constraint,
      columns: columns.map(rename),
      provesNotNull: provesNotNull.map(rename),
    });
  }
  for (const index of schema.indexesOf(table)) {
    if (!index.columns.has(from)) continue;
    schema.dropIndex(index);
    schema.addIndex({
      ...index,
      columns: new Set([...index.columns].map(rename)),
      include: index.include.map(rename),
      keyColumns: index.keyColumns.map((column) => column && rename(column)),
      keys: index.keys.map((key, at) => (index.keyColumns[at] === from ? renameKey(key, to) : key)),
    });
  }
}

/** A key is JSON whose first item is the column. */
function renameKey(key: string, column: string): string {
  const [, ...rest] = JSON.parse(key) as readonly unknown[];
  return JSON.stringify([column, ...rest]);
}

function renameConstraint(schema: Schema, table: Relation, { from, to }: NewName): void {
  const constraint = table.constraints.get(from);
  if (constraint === undefined) return;
  table.constraints.delete(from);
  table.constraints.set(to, { ...constraint, name: to });
  const index = schema.indexesOf(table).find((each) => each.constraint && each.name === from);
  if (index !== undefined) schema.renameIndex(index, to);
}

function learnFunction(schema: Schema, { funcname, options = [] }: CreateFunctionStmt): void {
  const option = options.map((node) => as('DefElem', node)).find((each) => each?.defname === 'volatility');
  const name = strings(funcname).at(-1) ?? '';
  const said = as('String', option?.arg)?.sval;
  const volatility: Volatility = said === 'immutable' || said === 'stable' ? said : 'volatile';
  schema.setVolatility(name, volatility);
}

/** What is created within CREATE SCHEMA is created in that schema. */
function learnSchema(schema: Schema, tree: Node, origin: Origin): void {
  const create = as('CreateSchemaStmt', tree);
  for (const element of create?.schemaElts ?? []) {
    const table = as('CreateStmt', element);
    if (table === undefined) continue;
    const relation = {
      ...table.relation,
      schemaname: table.relation?.schemaname ?? create?.schemaname ?? '',
    };
    learnCreateTable(schema, { ...table, relation }, { origin, kind: 'table' });
  }
}
