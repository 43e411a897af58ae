import type { CreateIndex, IndexOperation } from '../../migration/migration.ts';
import type { RelationName } from '../../migration/relation-name.ts';
import { quoteIdentifier, quoteRelation } from '../session/quote.ts';

/** The plain form, for a transaction on a table that is small or new. */
export function plainStatement(operation: IndexOperation): string {
  switch (operation.kind) {
    case 'create-index': {
      const unique = operation.unique ? 'unique ' : '';
      const exists = operation.ifNotExists ? 'if not exists ' : '';
      const name = operation.index === undefined ? '' : `${quoteIdentifier(operation.index)} `;
      const only = operation.only ? 'only ' : '';
      return `create ${unique}index ${exists}${name}on ${only}${quoteRelation(operation.table)} ${operation.definition}`;
    }
    case 'drop-index': {
      const exists = operation.ifExists ? 'if exists ' : '';
      const cascade = operation.cascade ? ' cascade' : '';
      return `drop index ${exists}${operation.indexes.map(quoteRelation).join(', ')}${cascade}`;
    }
    case 'reindex':
      return `reindex ${operation.options === '' ? '' : `${operation.options} `}${operation.target}${reindexed(operation.name)}`;
    default:
      return operation satisfies never;
  }
}

function reindexed(name: RelationName | undefined): string {
  return name === undefined ? '' : ` ${quoteRelation(name)}`;
}

/** The concurrent form of a build: every name is resolved, so that no search path decides what it means. */
export function concurrentCreate(parts: {
  readonly unique: boolean;
  readonly index: string;
  readonly table: { readonly schema: string; readonly name: string };
  readonly definition: string;
}): string {
  const unique = parts.unique ? 'unique ' : '';
  return `create ${unique}index concurrently ${quoteIdentifier(parts.index)} on ${quoteRelation(parts.table)} ${parts.definition}`;
}

export function concurrentDrop(index: { readonly schema: string; readonly name: string }): string {
  return `drop index concurrently if exists ${quoteRelation(index)}`;
}

/** `target` is an index or a table; larger targets are split into their tables. */
export function concurrentReindex(
  target: 'index' | 'table',
  relation: { readonly schema: string; readonly name: string },
  options: string,
): string {
  return `reindex ${options === '' ? '' : `${options} `}${target} concurrently ${quoteRelation(relation)}`;
}

/** What an index may be called: Postgres numbers a name that it chose itself until it is free: messages_user_id_idx, …_idx1, …_idx2. */
export function namesOfIndex({ index, suggestedName }: CreateIndex): readonly string[] {
  if (index !== undefined) return [index];
  const numbered = Array.from({ length: 99 }, (_, at) => {
    const suffix = String(at + 1);
    return `${cutTo(suggestedName, 63 - suffix.length)}${suffix}`;
  });
  return [suggestedName, ...numbered];
}

/** Cuts to so many bytes of UTF-8, never within a character. */
function cutTo(name: string, bytes: number): string {
  let cut = name;
  while (Buffer.byteLength(cut) > bytes) cut = [...cut].slice(0, -1).join('');
  return cut;
}
