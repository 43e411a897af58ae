/** A table, view, index or other relation as written; `schema` is absent where the search path decides. */
export interface RelationName {
  readonly schema: string | undefined;
  readonly name: string;
}

/** One relation has one key, whether its schema is written or left to the search path. */
export function relationKey({ schema, name }: RelationName): string {
  return schema === undefined ? name : `${schema}\0${name}`;
}

/** Whether two names as written may mean one relation; when a schema is left out, they may. */
export function mayBeSame(a: RelationName, b: RelationName): boolean {
  return a.name === b.name && (a.schema === undefined || b.schema === undefined || a.schema === b.schema);
}
