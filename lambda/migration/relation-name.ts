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

/**
 * `TABLE` or `SCHEMA.TABLE`; a part with a dot or a quote is in double quotes, as in SQL. Letters are kept as
 * they are written. Undefined where it is no name.
 */
export function readRelationName(text: string): RelationName | undefined {
  const [, first, second] = /^("(?:[^"]|"")+"|[^".]+)(?:\.("(?:[^"]|"")+"|[^".]+))?$/.exec(text.trim()) ?? [];
  if (first === undefined) return undefined;
  const plain = (part: string) => (part.startsWith('"') ? part.slice(1, -1).replaceAll('""', '"') : part);
  return second === undefined
    ? { schema: undefined, name: plain(first) }
    : { schema: plain(first), name: plain(second) };
}

/** As `readRelationName` takes it, and SQL too. */
export function writeRelationName({ schema, name }: RelationName): string {
  const parts = schema === undefined ? [name] : [schema, name];
  return parts
    .map((part) => (/^[a-z_][a-z0-9_]*$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`))
    .join('.');
}
