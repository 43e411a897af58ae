import type { RangeVar } from 'libpg-query';
import type { LockMode, LockWork, RelationLock } from '../../lambda/migration/lock-modes.ts';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import type { Schema } from '../schema/schema.ts';
import type { Relation } from '../schema/table.ts';
import { relationOf, walk } from '../syntax/syntax-tree.ts';

type Named = RangeVar | RelationName;

/** Collects the locks of one statement. */
export class LockList {
  readonly schema: Schema;
  readonly locks: RelationLock[] = [];

  constructor(schema: Schema) {
    this.schema = schema;
  }

  add(named: Named | undefined, mode: LockMode, work: LockWork = 'moment'): void {
    if (named !== undefined) this.locks.push({ relation: nameOf(named), mode, work });
  }

  /** Its partitions and child tables too, unless the author wrote ONLY. */
  addFamily(named: Named | undefined, mode: LockMode, work: LockWork = 'moment'): void {
    this.add(named, mode, work);
    if (named === undefined || isOnly(named)) return;
    for (const each of this.family(named)) this.add(each.name, mode, work);
  }

  /** Partitions and child tables. */
  family(named: Named): readonly Relation[] {
    const relation = this.schema.relation(nameOf(named));
    return relation === undefined ? [] : this.schema.descendants(relation);
  }

  /** Tables that a new partition may take rows from, or a dropped one leave them to. */
  addDefaultPartition(parent: Named | undefined): void {
    if (parent === undefined) return;
    for (const each of this.family(parent)) {
      const ofParent = each.parents.some(({ name }) => name.name === nameOf(parent).name);
      if (each.isDefaultPartition && ofParent) this.addFamily(each.name, 'access exclusive', 'scan');
    }
  }

  /** The tables that new foreign keys among these elements refer to. */
  addReferenced(elements: unknown): void {
    walk(elements, (object) => {
      const table = object.pktable as RangeVar | undefined;
      if (table !== undefined) this.addFamily({ ...table, inh: true }, 'share row exclusive');
      return true;
    });
  }

  /** The tables whose foreign keys refer to this one. */
  addReferring(named: Named | undefined, mode: LockMode): void {
    for (const other of this.#referring(named)) this.addFamily(other.name, mode);
  }

  isReferred(named: Named): boolean {
    return this.#referring(named).length > 0;
  }

  #referring(named: Named | undefined): readonly Relation[] {
    const relation = named === undefined ? undefined : this.schema.relation(nameOf(named));
    if (relation === undefined) return [];
    return [...this.schema.relations()].filter(({ constraints }) =>
      [...constraints.values()].some(({ references }) => references === relation),
    );
  }
}

export function nameOf(named: Named): RelationName {
  return 'name' in named ? named : relationOf(named as RangeVar);
}

function isOnly(named: Named): boolean {
  return !('name' in named) && (named as RangeVar).inh !== true;
}
