import type { DropStmt, IndexStmt, ReindexStmt } from 'libpg-query';
import type { CreateIndex, DropIndexes, IndexOperation, Reindex } from '../../lambda/migration/migration.ts';
import { suggestedIndexName } from '../syntax/index-name.ts';
import type { ParsedStatement } from '../syntax/parse-file.ts';
import { as, type Node, relationOf, relationOfParts, strings, walk } from '../syntax/syntax-tree.ts';
import {
  closingBracket,
  codeTokensOf,
  isWord,
  nameFrom,
  splitAtCommas,
  type Token,
} from '../syntax/tokens.ts';

/** Takes an index operation apart. */
export function indexOperationOf(statement: ParsedStatement): IndexOperation {
  const { tree } = statement;
  if ('IndexStmt' in tree) return createIndex(tree.IndexStmt, statement.text);
  if ('DropStmt' in tree) return dropIndexes(tree.DropStmt);
  if ('ReindexStmt' in tree) return reindex(tree.ReindexStmt, statement.text);
  throw new Error(`Not an index operation: ${statement.text}`);
}

function createIndex(index: IndexStmt, text: string): CreateIndex {
  const table = relationOf(index.relation ?? {});
  return {
    kind: 'create-index',
    table,
    index: index.idxname,
    unique: index.unique ?? false,
    ifNotExists: index.if_not_exists ?? false,
    definition: definitionOf(text, index),
    only: index.relation?.inh !== true,
    suggestedName: suggestedIndexName(index),
  };
}

function dropIndexes({ objects = [], missing_ok = false, behavior }: DropStmt): DropIndexes {
  return {
    kind: 'drop-index',
    indexes: objects.map((object) => relationOfParts(strings(as('List', object)?.items))),
    ifExists: missing_ok,
    cascade: behavior === 'DROP_CASCADE',
  };
}

const REINDEX_TARGETS: Readonly<Record<string, Reindex['target']>> = {
  REINDEX_OBJECT_INDEX: 'index',
  REINDEX_OBJECT_TABLE: 'table',
  REINDEX_OBJECT_SCHEMA: 'schema',
  REINDEX_OBJECT_DATABASE: 'database',
  REINDEX_OBJECT_SYSTEM: 'system',
};

function reindex({ kind, relation, name }: ReindexStmt, text: string): Reindex {
  const named = relation === undefined ? undefined : relationOf(relation);
  return {
    kind: 'reindex',
    target: REINDEX_TARGETS[kind ?? ''] ?? 'index',
    name: named ?? (name === undefined ? undefined : { schema: undefined, name }),
    options: optionsWithoutConcurrently(text),
  };
}

/**
 * From USING or the opening bracket of the columns to the end. CREATE INDEX has no bracket before ON, so ON is the
 * first token of that text, if the index's own name is not: a quoted name is another token than the word.
 */
function definitionOf(text: string, index: IndexStmt): string {
  const tokens = codeTokensOf(text);
  let at = tokens.findIndex((token) => isWord(token, 'on')) + 1;
  if (isWord(tokens[at], 'only')) at += 1;
  if (tokens[at]?.text === '(') at += 1;
  while (tokens[at + 1]?.text === '.') at += 2;
  at += 1;
  while (tokens[at]?.text === '*' || tokens[at]?.text === ')') at += 1;
  return withoutQualifiers(text, tokens.slice(at), index);
}

/**
 * `lower(people.name)` → `lower(name)`: in an index there is one table, and the same text has to do for each of its
 * partitions, whose names are others.
 */
function withoutQualifiers(text: string, tokens: readonly Token[], index: IndexStmt): string {
  const qualified = qualifiedColumns(index);
  let written = '';
  let from = tokens[0]?.start ?? text.length;
  for (let at = 0; at < tokens.length; at += 1) {
    const length = [3, 5].find((each) => startsColumn(tokens, { at, length: each }, qualified));
    if (length === undefined) continue;
    const column = tokens[at + length - 1];
    written += text.slice(from, tokens[at]?.start);
    from = column?.start ?? from;
    at += length - 1;
  }
  return written + text.slice(from);
}

/** As the parser found them: the names of the table's schema, the table and the column. */
function qualifiedColumns({ relation, indexParams, whereClause }: IndexStmt): ReadonlySet<string> {
  const columns = new Set<string>();
  walk([indexParams, whereClause], (object) => {
    const names = strings(as('ColumnRef', object as Node)?.fields);
    if (names.length > 1 && names.at(-1) !== '' && names.at(-2) === relation?.relname) {
      columns.add(JSON.stringify(names));
    }
    return true;
  });
  return columns;
}

function startsColumn(
  tokens: readonly Token[],
  { at, length }: { readonly at: number; readonly length: number },
  qualified: ReadonlySet<string>,
): boolean {
  const parts = tokens.slice(at, at + length);
  if (parts.length < length || parts.some(({ text }, place) => (place % 2 === 1) !== (text === '.')))
    return false;
  // A longer name or a function continues; a type or a collation follows these.
  if (['.', '('].includes(tokens[at + length]?.text ?? '')) return false;
  if (['.', '::', 'collate'].includes(tokens[at - 1]?.text.toLowerCase() ?? '')) return false;
  const names = parts.filter((_, place) => place % 2 === 0).map(({ text }) => nameFrom(text));
  return qualified.has(JSON.stringify(names));
}

/** `(concurrently, tablespace x)` → `(tablespace x)`. */
function optionsWithoutConcurrently(text: string): string {
  const tokens = codeTokensOf(text);
  if (tokens[1]?.text !== '(') return '';
  const kept = splitAtCommas(tokens.slice(2, closingBracket(tokens, 1)))
    .filter(([name]) => !isWord(name, 'concurrently'))
    .map((option) => text.slice(option[0]?.start, option.at(-1)?.end));
  return kept.length === 0 ? '' : `(${kept.join(', ')})`;
}
