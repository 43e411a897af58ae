import type { RangeVar } from 'libpg-query';
import type { LongStatement } from '../../lambda/migration/migration.ts';
import { type RelationName, relationKey } from '../../lambda/migration/relation-name.ts';
import { as, booleanOption, type Node, relationOf, walk } from '../syntax/syntax-tree.ts';

/**
 * A statement that may take longer than a function lives, and that the loop can carry: what it is about, so that its
 * size, its progress and its end can be told. Undefined for any other.
 */
export function longStatementOf(tree: Node): LongStatement | undefined {
  return validation(tree) ?? refresh(tree) ?? vacuum(tree) ?? cluster(tree) ?? detach(tree);
}

/** It is a step of its own: what came before it in its file is not to be held up, or undone, by it. */
export function standsAlone(tree: Node): boolean {
  return validation(tree) !== undefined || refresh(tree) !== undefined;
}

/** Its result may have any number of rows. */
export function hasRows(tree: Node): boolean {
  const select = as('SelectStmt', tree);
  if (select !== undefined) return select.intoClause === undefined;
  const write =
    as('InsertStmt', tree) ?? as('UpdateStmt', tree) ?? as('DeleteStmt', tree) ?? as('MergeStmt', tree);
  return write?.returningClause !== undefined;
}

function nameOf(relation: RangeVar | undefined): RelationName {
  return { schema: relation?.schemaname || undefined, name: relation?.relname ?? '' };
}

function validation(tree: Node): LongStatement | undefined {
  const domain = as('AlterDomainStmt', tree);
  if (domain?.subtype === 'V') {
    const names = (domain.typeName ?? []).map((part) => as('String', part)?.sval ?? '');
    const relation = { schema: names.at(-2), name: names.at(-1) ?? '' };
    return { operation: 'validate-domain', relation, names: [domain.name ?? ''] };
  }
  const alter = as('AlterTableStmt', tree);
  if (alter?.objtype !== 'OBJECT_TABLE' && alter?.objtype !== 'OBJECT_FOREIGN_TABLE') return undefined;
  const commands = (alter.cmds ?? []).map((node) => as('AlterTableCmd', node));
  if (!commands.every((command) => command?.subtype === 'AT_ValidateConstraint')) return undefined;
  return {
    operation: 'validate',
    relation: nameOf(alter.relation),
    names: commands.map((command) => command?.name ?? ''),
  };
}

function refresh(tree: Node): LongStatement | undefined {
  const statement = as('RefreshMatViewStmt', tree);
  if (statement === undefined || statement.skipData) return undefined;
  return {
    operation: statement.concurrent ? 'refresh-concurrently' : 'refresh',
    relation: nameOf(statement.relation),
    names: [],
  };
}

/** Only with a table's name: for a whole database there is no queue. */
function vacuum(tree: Node): LongStatement | undefined {
  const statement = as('VacuumStmt', tree);
  const [first, ...others] = statement?.rels ?? [];
  if (statement === undefined || first === undefined || others.length > 0) return undefined;
  const full = booleanOption(statement.options, 'full') === true;
  const operation = !statement.is_vacuumcmd ? 'analyze' : full ? 'vacuum-full' : 'vacuum';
  return { operation, relation: nameOf(as('VacuumRelation', first)?.relation), names: [] };
}

function cluster(tree: Node): LongStatement | undefined {
  const statement = as('ClusterStmt', tree);
  if (statement?.relation === undefined) return undefined;
  return { operation: 'cluster', relation: nameOf(statement.relation), names: [] };
}

function detach(tree: Node): LongStatement | undefined {
  const alter = as('AlterTableStmt', tree);
  const [first, ...others] = alter?.cmds ?? [];
  const command = as('AlterTableCmd', first);
  if (others.length > 0) return undefined;
  const partition = as('PartitionCmd', command?.def);
  const detaches = command?.subtype === 'AT_DetachPartition' && partition?.concurrent === true;
  if (!detaches && command?.subtype !== 'AT_DetachPartitionFinalize') return undefined;
  return {
    operation: 'detach',
    relation: nameOf(alter?.relation),
    names: [partition?.name?.relname ?? ''],
  };
}

/** Tables and views that the query of a new materialized view names; none of any other statement. */
export function readsOfView(tree: Node): readonly RelationName[] {
  const create = as('CreateTableAsStmt', tree);
  if (create?.objtype !== 'OBJECT_MATVIEW') return [];
  const named = new Map<string, RelationName>();
  const common = new Set<unknown>();
  walk(create.query, (object) => {
    common.add(object.ctename);
    if (typeof object.relname === 'string') {
      const relation = relationOf(object as RangeVar);
      named.set(relationKey(relation), relation);
    }
    return true;
  });
  return [...named.values()].filter(({ schema, name }) => schema !== undefined || !common.has(name));
}
