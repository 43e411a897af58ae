import type { RelationName } from '../../lambda/migration/relation-name.ts';
import type { Index, Relation } from './table.ts';

/** A type that the folder creates, as far as the safety of later statements depends on it. */
export type UserType =
  | { readonly kind: 'enum'; readonly values: readonly string[] }
  /** `constrained`: it has a CHECK or NOT NULL, which Postgres has to test for every value. */
  | { readonly kind: 'domain'; readonly constrained: boolean };

/** A function's volatility: only a volatile one has to be called for each row. */
export type Volatility = 'immutable' | 'stable' | 'volatile';

/**
 * What the migrations of a folder make of a database, as far as their text tells, at one moment between two
 * statements. `learn.ts` leads it from one moment to the next.
 */
export class Schema {
  readonly #relations = new Map<string, Relation[]>();
  readonly #indexes = new Map<string, Index[]>();
  readonly #indexesOf = new Map<Relation, Index[]>();
  readonly #types = new Map<string, UserType>();
  readonly #functions = new Map<string, Volatility>();

  /** A table, view or materialized view. */
  relation(name: RelationName): Relation | undefined {
    return pick(this.#relations.get(name.name), { name, of: (relation) => relation.name.schema });
  }

  /** The relation, or a new one of unknown kind that was created before this folder or outside it. */
  relationOrUnknown(name: RelationName): Relation {
    const known = this.relation(name);
    if (known !== undefined) return known;
    const unknown: Relation = { ...emptyRelation(name), kind: 'unknown' };
    this.addRelation(unknown);
    return unknown;
  }

  addRelation(relation: Relation): void {
    add(this.#relations, relation.name.name, relation);
  }

  /** Removes it with its indexes and the foreign keys that refer to it. */
  dropRelation(relation: Relation): void {
    remove(this.#relations, relation.name.name, relation);
    for (const index of this.indexesOf(relation)) this.dropIndex(index);
    for (const other of this.relations()) {
      for (const { name, references } of other.constraints.values()) {
        if (references === relation) other.constraints.delete(name);
      }
    }
  }

  renameRelation(relation: Relation, name: RelationName): void {
    remove(this.#relations, relation.name.name, relation);
    relation.name = name;
    this.addRelation(relation);
  }

  *relations(): Iterable<Relation> {
    for (const list of this.#relations.values()) yield* list;
  }

  /** Partitions and child tables, recursively. */
  descendants(relation: Relation): readonly Relation[] {
    const found: Relation[] = [];
    for (const other of this.relations()) {
      if (other.parents.includes(relation)) found.push(other, ...this.descendants(other));
    }
    return [...new Set(found)];
  }

  /** Partitions only, not the child tables of a plain table. */
  partitions(relation: Relation): readonly Relation[] {
    return relation.kind === 'table' ? [] : this.descendants(relation);
  }

  index(name: RelationName): Index | undefined {
    return pick(this.#indexes.get(name.name), { name, of: (index) => index.table.name.schema });
  }

  indexesOf(relation: Relation): readonly Index[] {
    return this.#indexesOf.get(relation) ?? [];
  }

  addIndex(index: Index): void {
    add(this.#indexes, index.name, index);
    add(this.#indexesOf, index.table, index);
  }

  dropIndex(index: Index): void {
    remove(this.#indexes, index.name, index);
    remove(this.#indexesOf, index.table, index);
  }

  renameIndex(index: Index, name: string): void {
    this.dropIndex(index);
    index.name = name;
    this.addIndex(index);
  }

  /** Volatility of a function that the folder creates, by name, since overloads seldom differ in it. */
  volatility(functionName: string): Volatility | undefined {
    return this.#functions.get(functionName);
  }

  /** An enum or a domain that the folder creates, by name without schema. */
  type(name: string): UserType | undefined {
    return this.#types.get(name);
  }

  setType(name: string, type: UserType): void {
    this.#types.set(name, type);
  }

  setVolatility(functionName: string, volatility: Volatility): void {
    this.#functions.set(functionName, volatility);
  }
}

export function emptyRelation(name: RelationName): Omit<Relation, 'kind'> {
  return {
    name,
    temporary: false,
    origin: undefined,
    columns: new Map(),
    constraints: new Map(),
    parents: [],
    partitionKey: [],
    isDefaultPartition: false,
    hasPolicy: false,
  };
}

/** `public` is where the search path leads unless somebody changed it. */
function withoutPublic(schema: string | undefined): string | undefined {
  return schema === 'public' ? undefined : schema;
}

/** A name without a schema may mean any relation of that name; the one in the search path is the likeliest. */
function pick<Item>(
  items: readonly Item[] | undefined,
  { name, of }: { readonly name: RelationName; readonly of: (item: Item) => string | undefined },
): Item | undefined {
  const exact = items?.findLast((item) => withoutPublic(of(item)) === withoutPublic(name.schema));
  return exact ?? (name.schema === undefined ? items?.at(-1) : undefined);
}

function add<Key, Item>(map: Map<Key, Item[]>, key: Key, item: Item): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [item]);
  else list.push(item);
}

function remove<Key, Item>(map: Map<Key, Item[]>, key: Key, item: Item): void {
  const rest = (map.get(key) ?? []).filter((each) => each !== item);
  if (rest.length === 0) map.delete(key);
  else map.set(key, rest);
}
