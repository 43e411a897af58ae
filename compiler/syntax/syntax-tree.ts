import type { Node, RangeVar } from 'libpg-query';
import type { RelationName } from '../../lambda/migration/relation-name.ts';

export type { Node } from 'libpg-query';

/** The node names of the grammar: `SelectStmt`, `RangeVar`, … */
export type NodeKind = Node extends infer Each ? (Each extends unknown ? keyof Each : never) : never;

/** The fields of a node of one kind. */
export type NodeOf<Kind extends NodeKind> =
  Extract<Node, Record<Kind, unknown>> extends Record<Kind, infer Fields> ? Fields : never;

/** `{ SelectStmt: … }` is of the kind `SelectStmt`. */
export function kindOf(node: Node): string {
  return Object.keys(node)[0] ?? '';
}

/** What the parser calls a relation with columns, in statements that may name objects of any kind. */
export const relationTypes: ReadonlySet<string> = new Set([
  'OBJECT_FOREIGN_TABLE',
  'OBJECT_MATVIEW',
  'OBJECT_TABLE',
  'OBJECT_VIEW',
]);

/** The fields of a node, if it is of the kind. */
export function as<Kind extends NodeKind>(kind: Kind, node: Node | undefined): NodeOf<Kind> | undefined {
  return (node as Record<string, NodeOf<Kind>> | undefined)?.[kind];
}

/** The texts of a list of String nodes, such as the parts of a qualified name. */
export function strings(nodes: readonly Node[] | undefined): string[] {
  return (nodes ?? []).map((node) => as('String', node)?.sval ?? '');
}

export function relationOf({ schemaname, relname }: RangeVar): RelationName {
  return { schema: schemaname, name: relname ?? '' };
}

/** Of a relation that is created: a temporary one is in a schema of its session's own. */
export function createdRelation({ schemaname, relname, relpersistence }: RangeVar): RelationName {
  return { schema: schemaname ?? (relpersistence === 't' ? 'pg_temp' : undefined), name: relname ?? '' };
}

/** A name that the grammar gives as a list of its parts: `[catalog, schema, name]`, all but the last optional. */
export function relationOfParts(parts: readonly string[]): RelationName {
  return { schema: parts.at(-2), name: parts.at(-1) ?? '' };
}

/** `option`, `option true`, `option 1` and the like in a list of options, as defGetBoolean reads them. */
export function booleanOption(options: readonly Node[] | undefined, name: string): boolean | undefined {
  const option = (options ?? [])
    .map((node) => as('DefElem', node))
    .findLast((each) => each?.defname === name);
  if (option === undefined) return undefined;
  if (option.arg === undefined) return true;
  const integer = as('Integer', option.arg);
  if (integer !== undefined) return (integer.ival ?? 0) !== 0;
  const boolean = as('Boolean', option.arg);
  if (boolean !== undefined) return boolean.boolval ?? false;
  return ['true', 'on'].includes((as('String', option.arg)?.sval ?? '').toLowerCase());
}

/** Visits every object of a tree, parents first. When the visitor returns `false`, its children are skipped. */
export function walk(tree: unknown, visit: (object: Record<string, unknown>) => boolean | undefined): void {
  // An explicit stack instead of recursion: a chain of ten thousand ORs is nested that deep.
  const pending: unknown[] = [tree];
  while (pending.length > 0) {
    const value = pending.pop();
    if (Array.isArray(value)) {
      for (let at = value.length - 1; at >= 0; at -= 1) pending.push(value[at]);
    } else if (typeof value === 'object' && value !== null) {
      const object = value as Record<string, unknown>;
      if (visit(object) === false) continue;
      const children = Object.values(object);
      for (let at = children.length - 1; at >= 0; at -= 1) {
        if (typeof children[at] === 'object') pending.push(children[at]);
      }
    }
  }
}
