import type { RangeVar } from 'libpg-query';
import type { TouchedRows } from '../../lambda/migration/migration.ts';
import { type RelationName, relationKey } from '../../lambda/migration/relation-name.ts';
import { as, type Node, relationOf, walk } from '../syntax/syntax-tree.ts';
import { rowsOf } from './rows.ts';

/**
 * How the tables of a folder are related, by name without schema: DDL on a parent locks its partitions and child
 * tables, and dropping or rebuilding a foreign key locks the table at its other end.
 */
export class Kinship {
  readonly #children = new Map<string, RelationName[]>();
  readonly #parents = new Map<string, RelationName[]>();
  readonly #references = new Map<string, RelationName[]>();
  /** Default partitions by the name of their parent: a new partition takes rows from them, or proves that it need not. */
  readonly #defaultPartitions = new Map<string, RelationName[]>();
  /** What the queries of views read. */
  readonly #views = new Map<string, TouchedRows[]>();

  /** Learns from a statement; later ones may tell more of the same table. */
  learn(tree: Node): void {
    if ('CreateStmt' in tree) {
      const { relation, inhRelations = [], tableElts, partbound } = tree.CreateStmt;
      for (const node of inhRelations) {
        const parent = as('RangeVar', node);
        this.#descent(relation, parent);
        if (partbound?.is_default && relation)
          add(this.#defaultPartitions, parent?.relname, relationOf(relation));
      }
      for (const table of referencedTables(tableElts)) this.#reference(relation, table);
    } else if ('AlterTableStmt' in tree) {
      const { relation, cmds = [] } = tree.AlterTableStmt;
      for (const node of cmds) {
        const command = as('AlterTableCmd', node);
        if (command?.subtype === 'AT_AttachPartition')
          this.#descent(as('PartitionCmd', command.def)?.name, relation);
        if (command?.subtype === 'AT_AddInherit') this.#descent(relation, as('RangeVar', command.def));
      }
      for (const table of referencedTables(cmds)) this.#reference(relation, table);
    } else if ('ViewStmt' in tree) {
      const { view, query } = tree.ViewStmt;
      const rows = query && rowsOf(query);
      const name = view?.relname ?? '';
      if (rows !== undefined) this.#views.set(name, [...(this.#views.get(name) ?? []), rows]);
    } else if ('RenameStmt' in tree && tree.RenameStmt.renameType === 'OBJECT_TABLE') {
      this.#rename(tree.RenameStmt.relation, tree.RenameStmt.newname);
    }
  }

  /** The tables that a statement locks in addition to those it names. */
  lockedWith(tree: Node, named: readonly RelationName[]): readonly RelationName[] {
    if ('CreateStmt' in tree) {
      const self = tree.CreateStmt.relation?.relname;
      return relatives(this.#defaultPartitions, named).filter(({ name }) => name !== self);
    }
    const only = relationsWithOnly(tree);
    const beside = [
      ...family(
        this.#children,
        named.filter(({ name }) => !only.has(name)),
      ),
    ];
    const all = [...named, ...beside];
    if (as('DropStmt', tree)?.removeType === 'OBJECT_TABLE') {
      const parents = relatives(this.#parents, all);
      beside.push(...parents, ...relatives(this.#defaultPartitions, parents));
    }
    if (mayRebuildForeignKeys(tree)) beside.push(...relatives(this.#references, all));
    return beside;
  }

  /** The tables of which these are partitions, or which they inherit from. */
  ancestorsOf(named: readonly RelationName[]): readonly RelationName[] {
    return family(this.#parents, named);
  }

  /** With what the views among them read, and the views that those read. */
  throughViews(rows: TouchedRows): TouchedRows {
    const relations = new Map<string, RelationName>();
    const columns = new Set(rows.columns);
    const add = (of: readonly RelationName[]) => {
      for (const relation of of) {
        const key = relationKey(relation);
        if (relations.has(key)) continue;
        relations.set(key, relation);
        for (const read of this.#views.get(relation.name) ?? []) {
          for (const column of read.columns) columns.add(column);
          add(read.relations);
        }
      }
    };
    add(rows.relations);
    return { relations: [...relations.values()], columns: [...columns] };
  }

  #descent(child: RangeVar | undefined, parent: RangeVar | undefined): void {
    if (child === undefined || parent === undefined) return;
    add(this.#children, parent.relname, relationOf(child));
    add(this.#parents, child.relname, relationOf(parent));
  }

  #reference(from: RangeVar | undefined, to: RangeVar): void {
    if (from === undefined) return;
    add(this.#references, from.relname, relationOf(to));
    add(this.#references, to.relname, relationOf(from));
  }

  /** The table is known by both names from here on. */
  #rename(relation: RangeVar | undefined, newName = ''): void {
    if (relation === undefined) return;
    const old = relation.relname ?? '';
    const renamed = { schema: relation.schemaname, name: newName };
    for (const edges of [this.#children, this.#parents, this.#references, this.#defaultPartitions]) {
      for (const relative of edges.get(old) ?? []) add(edges, newName, relative);
      for (const [name, relativesOfName] of edges) {
        if (relativesOfName.some((each) => each.name === old)) add(edges, name, renamed);
      }
    }
  }
}

function add(edges: Map<string, RelationName[]>, name = '', relation: RelationName): void {
  const known = edges.get(name) ?? [];
  if (!known.some((each) => each.name === relation.name && each.schema === relation.schema))
    known.push(relation);
  edges.set(name, known);
}

function relatives(
  edges: ReadonlyMap<string, readonly RelationName[]>,
  of: readonly RelationName[],
): RelationName[] {
  return of.flatMap(({ name }) => edges.get(name) ?? []);
}

/** Their relatives, and those relatives' own. */
function family(
  edges: ReadonlyMap<string, readonly RelationName[]>,
  named: readonly RelationName[],
): readonly RelationName[] {
  const visited = new Set(named.map(({ name }) => name));
  const found: RelationName[] = [];
  for (let next = relatives(edges, named); next.length > 0; next = relatives(edges, next)) {
    next = next.filter(({ name }) => !visited.has(name));
    for (const relation of next) visited.add(relation.name);
    found.push(...next);
  }
  return found;
}

function referencedTables(elements: readonly Node[] | undefined): readonly RangeVar[] {
  const tables: RangeVar[] = [];
  walk(elements, (object) => {
    if (object.pktable !== undefined) tables.push(object.pktable as RangeVar);
    return true;
  });
  return tables;
}

/** Named with ONLY, so that their partitions and inheriting tables stay out of it. */
function relationsWithOnly(tree: Node): ReadonlySet<unknown> {
  const names = new Set<unknown>();
  walk(tree, (object) => {
    if (object.relname !== undefined && object.inh !== true) names.add(object.relname);
    return true;
  });
  return names;
}

const REBUILDING: ReadonlySet<string> = new Set(['AT_AlterColumnType', 'AT_DropColumn', 'AT_DropConstraint']);

function mayRebuildForeignKeys(tree: Node): boolean {
  if (as('DropStmt', tree)?.removeType === 'OBJECT_TABLE') return true;
  const commands = as('AlterTableStmt', tree)?.cmds ?? [];
  return commands.some((node) => REBUILDING.has(as('AlterTableCmd', node)?.subtype ?? ''));
}
