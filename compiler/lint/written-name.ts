import { createHash } from 'node:crypto';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import { quoteIdentifier } from '../../lambda/postgres/session/quote.ts';
import { parser } from '../syntax/parser.ts';

/** A name as a person would write it: quoted only where Postgres requires it. */
export function written(name: string): string {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !isKeyword(name) ? name : quoteIdentifier(name);
}

export function writtenRelation({ schema, name }: RelationName): string {
  return schema === undefined ? written(name) : `${written(schema)}.${written(name)}`;
}

export function writtenList(names: readonly string[]): string {
  return names.map(written).join(', ');
}

/** Unreserved keywords may be used as a column's name without quotes. */
function isKeyword(name: string): boolean {
  const kind = parser().scanSync(name).tokens[0]?.keywordName;
  return kind !== 'NO_KEYWORD' && kind !== 'UNRESERVED_KEYWORD';
}

/** NAMEDATALEN - 1. */
export const NAME_BYTES = 63;
const HASH_DIGITS = 8;

/** Shortens a name that is too long, and keeps it different from its neighbours'. */
export function shortened(name: string): string {
  if (Buffer.byteLength(name) <= NAME_BYTES) return name;
  const hash = createHash('sha256').update(name).digest('hex').slice(0, HASH_DIGITS);
  let kept = '';
  for (const character of name) {
    if (Buffer.byteLength(kept + character) > NAME_BYTES - HASH_DIGITS - 1) break;
    kept += character;
  }
  return `${kept.replace(/_+$/, '')}_${hash}`;
}
