import type { ColumnDef, CreateStmt } from 'libpg-query';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import { as, type Node, relationOf } from '../syntax/syntax-tree.ts';
import { learnConstraint } from './constraint.ts';
import { emptyRelation, type Schema } from './schema.ts';
import type { Origin, Relation, RelationKind } from './table.ts';
import { dataTypeOf } from './type-name.ts';

/** CREATE TABLE and CREATE FOREIGN TABLE. */
export function learnCreateTable(
  schema: Schema,
  create: CreateStmt,
  { origin, kind }: { readonly origin: Origin; readonly kind: RelationKind },
): void {
  const name = relationOf(create.relation ?? {});
  if (create.if_not_exists && schema.relation(name) !== undefined) return;
  const parents = (create.inhRelations ?? []).flatMap((node) => {
    const parent = as('RangeVar', node);
    return parent === undefined ? [] : [schema.relationOrUnknown(relationOf(parent))];
  });
  const table: Relation = {
    ...emptyRelation(name),
    kind: create.partspec === undefined ? kind : 'partitioned table',
    temporary: create.relation?.relpersistence === 't',
    origin,
    parents,
    partitionKey: (create.partspec?.partParams ?? []).map((node) => as('PartitionElem', node)?.name),
    isDefaultPartition: create.partbound?.is_default === true,
  };
  schema.addRelation(table);
  for (const parent of parents)
    for (const [column, facts] of parent.columns) table.columns.set(column, facts);
  for (const element of create.tableElts ?? []) learnElement(schema, element, { table, origin });
}

interface Place {
  readonly table: Relation;
  readonly origin: Origin;
}

function learnElement(schema: Schema, element: Node, { table, origin }: Place): void {
  const column = as('ColumnDef', element);
  if (column !== undefined) learnColumn(schema, column, { table, origin });
  const constraint = as('Constraint', element);
  // In CREATE TABLE there is no row that NOT VALID could spare.
  if (constraint !== undefined)
    learnConstraint(schema, { ...constraint, skip_validation: false }, { table, origin });
  const like = as('TableLikeClause', element)?.relation;
  const source = like === undefined ? undefined : schema.relation(relationOf(like));
  for (const [name, facts] of source?.columns ?? []) table.columns.set(name, facts);
}

export function learnColumn(schema: Schema, definition: ColumnDef, { table, origin }: Place): void {
  const { colname: column = '', typeName, constraints = [] } = definition;
  const type = typeName === undefined ? undefined : dataTypeOf(typeName);
  const serial = type !== undefined && isSerial(type.name);
  table.columns.set(column, { type, notNull: serial, origin });
  for (const node of constraints) {
    const constraint = as('Constraint', node);
    if (constraint === undefined) continue;
    if (constraint.contype === 'CONSTR_IDENTITY') {
      table.columns.set(column, { type, notNull: true, origin });
    } else learnConstraint(schema, constraint, { table, column, origin });
  }
}

const SERIALS: ReadonlySet<string> = new Set([
  'bigserial',
  'serial',
  'serial2',
  'serial4',
  'serial8',
  'smallserial',
]);

/** No type of its own: an integer with a sequence as its default. */
export function isSerial(typeName: string): boolean {
  return SERIALS.has(typeName);
}

/** Relations of which only the name is known: views, and tables created from a query. */
export function learnNamed(
  schema: Schema,
  name: RelationName,
  relation: Pick<Relation, 'kind' | 'temporary' | 'origin'>,
): void {
  if (schema.relation(name) === undefined) schema.addRelation({ ...emptyRelation(name), ...relation });
}
