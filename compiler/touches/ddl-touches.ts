import type { AlterTableStmt, DropStmt, RangeVar, RenameStmt } from 'libpg-query';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import {
  as,
  createdRelation,
  type Node,
  relationOf,
  relationOfParts,
  relationTypes,
  strings,
  walk,
} from '../syntax/syntax-tree.ts';

/** Collects the lists of `Touches`. */
export interface Gathered {
  readonly creates: RelationName[];
  readonly changes: RelationName[];
  readonly writes: RelationName[];
  readonly upserts: RelationName[];
  readonly indexes: RelationName[];
  opaque: boolean;
}

type Handler = (tree: Node, gathered: Gathered) => void;

/**
 * By statement: which relations it creates, and which it locks in a way that conflicts with an index build. A
 * statement that reaches relations which its text does not name is opaque: it waits for all builds.
 */
export function ddlTouches(tree: Node, gathered: Gathered): void {
  const kind = Object.keys(tree)[0] ?? '';
  HANDLERS[kind]?.(tree, gathered);
}

const opaque: Handler = (_tree, gathered) => {
  gathered.opaque = true;
};

/** Every relation that the statement names anywhere is changed. */
const changesAll: Handler = (tree, gathered) => {
  gathered.changes.push(...relationsIn(tree));
};

const HANDLERS: Readonly<Record<string, Handler>> = {
  CallStmt: opaque,
  DoStmt: opaque,
  ExecuteStmt: opaque,
  DropOwnedStmt: opaque,
  ReassignOwnedStmt: opaque,
  AlterTableMoveAllStmt: opaque,
  AlterExtensionStmt: opaque,

  CreateStmt: createTable,
  CreateForeignTableStmt: (tree, gathered) => {
    const base = as('CreateForeignTableStmt', tree)?.base;
    if (base !== undefined) createTable({ CreateStmt: base }, gathered);
  },
  CreateTableAsStmt: (tree, gathered) => {
    const create = as('CreateTableAsStmt', tree);
    if (create?.into?.rel !== undefined) gathered.creates.push(createdRelation(create.into.rel));
    if (create?.query !== undefined && 'ExecuteStmt' in create.query) gathered.opaque = true;
  },
  CreateSchemaStmt: createSchema,
  ViewStmt: (tree, gathered) => {
    const view = as('ViewStmt', tree);
    if (view?.replace) push(gathered.changes, view.view);
  },

  AlterTableStmt: (tree, gathered) => alterTable(as('AlterTableStmt', tree) ?? {}, gathered),
  AlterObjectSchemaStmt: (tree, gathered) => {
    const { objectType, object, relation } = as('AlterObjectSchemaStmt', tree) ?? {};
    push(gathered.changes, relation);
    if (objectType === 'OBJECT_DOMAIN') pushDomain(gathered, as('List', object)?.items);
  },
  AlterObjectDependsStmt: (tree, gathered) => {
    const depends = as('AlterObjectDependsStmt', tree);
    const index = depends?.objectType === 'OBJECT_INDEX';
    push(index ? gathered.indexes : gathered.changes, depends?.relation);
  },
  RenameStmt: (tree, gathered) => rename(as('RenameStmt', tree) ?? {}, gathered),
  DropStmt: (tree, gathered) => drop(as('DropStmt', tree) ?? {}, gathered),
  AlterDomainStmt: (tree, gathered) => {
    const { subtype = '', def, typeName = [] } = as('AlterDomainStmt', tree) ?? {};
    pushDomain(gathered, typeName);
    // Adding a constraint reads every table that has a column of the domain, but one that is NOT VALID.
    if (subtype === 'C' && as('Constraint', def)?.skip_validation) return;
    if (['C', 'O', 'V'].includes(subtype)) gathered.opaque = true;
  },

  IndexStmt: (tree, gathered) => push(gathered.changes, as('IndexStmt', tree)?.relation),
  ReindexStmt: (tree, gathered) => {
    const reindex = as('ReindexStmt', tree);
    if (reindex?.kind === 'REINDEX_OBJECT_INDEX') push(gathered.indexes, reindex.relation);
    else if (reindex?.kind === 'REINDEX_OBJECT_TABLE') push(gathered.changes, reindex.relation);
    else gathered.opaque = true;
  },
  ClusterStmt: (tree, gathered) => {
    const cluster = as('ClusterStmt', tree);
    if (cluster?.relation === undefined) gathered.opaque = true;
    push(gathered.changes, cluster?.relation);
    pushIndex(gathered, cluster?.indexname, cluster?.relation);
  },
  VacuumStmt: (tree, gathered) => {
    const relations = relationsIn(tree);
    gathered.changes.push(...relations);
    if (relations.length === 0) gathered.opaque = true;
  },
  TruncateStmt: (tree, gathered) => {
    changesAll(tree, gathered);
    if (as('TruncateStmt', tree)?.behavior === 'DROP_CASCADE') gathered.opaque = true;
  },
  RefreshMatViewStmt: changesAll,
  LockStmt: changesAll,
  CreateTrigStmt: (tree, gathered) => {
    const trigger = as('CreateTrigStmt', tree);
    push(gathered.changes, trigger?.relation);
    push(gathered.changes, trigger?.constrrel);
  },
  RuleStmt: (tree, gathered) => push(gathered.changes, as('RuleStmt', tree)?.relation),
  CreatePolicyStmt: (tree, gathered) => push(gathered.changes, as('CreatePolicyStmt', tree)?.table),
  AlterPolicyStmt: (tree, gathered) => push(gathered.changes, as('AlterPolicyStmt', tree)?.table),
  CreateStatsStmt: changesAll,
  CreatePublicationStmt: changesAll,
  AlterPublicationStmt: changesAll,
  CommentStmt: (tree, gathered) => {
    const comment = as('CommentStmt', tree);
    describe(gathered, { type: comment?.objtype, object: comment?.object });
  },
  SecLabelStmt: (tree, gathered) => {
    const label = as('SecLabelStmt', tree);
    describe(gathered, { type: label?.objtype, object: label?.object });
  },
  CopyStmt: (tree, gathered) => {
    const copy = as('CopyStmt', tree);
    if (copy?.is_from) push(gathered.writes, copy.relation);
  },
};

function push(list: RelationName[], relation: RangeVar | undefined): void {
  if (relation !== undefined) list.push(relationOf(relation));
}

/** An index that is named without a schema, since it is in that of its table. */
function pushIndex(gathered: Gathered, name: string | undefined, table: RangeVar | undefined): void {
  if (name !== undefined) gathered.indexes.push({ schema: table?.schemaname, name });
}

/** A domain's validation is work on it as on a table; no table can have its name. */
function pushDomain(gathered: Gathered, names: readonly Node[] | undefined): void {
  gathered.changes.push(relationOfParts(strings(names)));
}

function relationsIn(tree: unknown): RelationName[] {
  const relations: RelationName[] = [];
  walk(tree, (object) => {
    if (typeof object.relname === 'string') relations.push(relationOf(object as RangeVar));
    return true;
  });
  return relations;
}

/** PARTITION OF and INHERITS lock the parent, a foreign key the table it refers to; LIKE only reads. */
function createTable(tree: Node, gathered: Gathered): void {
  const create = as('CreateStmt', tree);
  if (create?.relation !== undefined) gathered.creates.push(createdRelation(create.relation));
  gathered.changes.push(...relationsIn(create?.inhRelations));
  walk(create?.tableElts, (object) => {
    if (object.pktable !== undefined) push(gathered.changes, object.pktable as RangeVar);
    return true;
  });
}

/** What is created within CREATE SCHEMA is created in that schema. */
function createSchema(tree: Node, gathered: Gathered): void {
  const create = as('CreateSchemaStmt', tree);
  const within: Gathered = { creates: [], changes: [], writes: [], upserts: [], indexes: [], opaque: false };
  for (const element of create?.schemaElts ?? []) ddlTouches(element, within);
  const inSchema = ({ schema, name }: RelationName) => ({ schema: schema ?? create?.schemaname, name });
  gathered.creates.push(...within.creates.map(inSchema));
  gathered.changes.push(...within.changes.map(inSchema));
}

function alterTable(alter: AlterTableStmt, gathered: Gathered): void {
  const index = alter.objtype === 'OBJECT_INDEX';
  (index ? gathered.indexes : gathered.changes).push(...relationsIn(alter));
  for (const node of alter.cmds ?? []) {
    const command = as('AlterTableCmd', node);
    pushIndex(gathered, as('Constraint', command?.def)?.indexname, alter.relation);
    pushIndex(gathered, as('ReplicaIdentityStmt', command?.def)?.name, alter.relation);
    if (command?.subtype === 'AT_ClusterOn') pushIndex(gathered, command.name, alter.relation);
  }
}

function rename({ renameType, object, relation, subname }: RenameStmt, gathered: Gathered): void {
  if (renameType?.startsWith('OBJECT_DOM')) pushDomain(gathered, as('List', object)?.items);
  if (renameType === 'OBJECT_SCHEMA') gathered.opaque = true;
  if (renameType === 'OBJECT_INDEX') push(gathered.indexes, relation);
  else push(gathered.changes, relation);
  // ALTER TABLE … RENAME TO takes an index as well.
  if (renameType === 'OBJECT_TABLE' && subname === undefined) push(gathered.indexes, relation);
}

function drop({ removeType, objects = [], behavior }: DropStmt, gathered: Gathered): void {
  if (behavior === 'DROP_CASCADE' || removeType === 'OBJECT_SCHEMA') gathered.opaque = true;
  for (const object of objects) {
    if (removeType === 'OBJECT_DOMAIN') pushDomain(gathered, as('TypeName', object)?.names);
    else describe(gathered, { type: removeType, object });
  }
}

const RELATIONS: ReadonlySet<string> = new Set([...relationTypes, 'OBJECT_SEQUENCE']);

/** Named as `table.name`, with the table's schema before it. */
const PARTS_OF_RELATIONS: ReadonlySet<string> = new Set([
  'OBJECT_COLUMN',
  'OBJECT_POLICY',
  'OBJECT_RULE',
  'OBJECT_TABCONSTRAINT',
  'OBJECT_TRIGGER',
]);

/** DROP, COMMENT and SECURITY LABEL name their object as a list of names, whose meaning the type tells. */
function describe(
  gathered: Gathered,
  { type = '', object }: { readonly type: string | undefined; readonly object: Node | undefined },
): void {
  const parts = strings(as('List', object)?.items);
  if (parts.length === 0) return;
  if (type === 'OBJECT_INDEX') gathered.indexes.push(relationOfParts(parts));
  else if (RELATIONS.has(type)) gathered.changes.push(relationOfParts(parts));
  else if (PARTS_OF_RELATIONS.has(type)) gathered.changes.push(relationOfParts(parts.slice(0, -1)));
}
