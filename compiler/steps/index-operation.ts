import type { DropStmt, IndexStmt, ReindexStmt } from 'libpg-query';
import type { CreateIndex, DropIndexes, IndexOperation, Reindex } from '../../lambda/migration/migration.ts';
import { suggestedIndexName } from '../syntax/index-name.ts';
import type { ParsedStatement } from '../syntax/parse-file.ts';
import { as, relationOf, relationOfParts, strings } from '../syntax/syntax-tree.ts';
import { codeTokensOf, type Token } from '../syntax/tokens.ts';

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
    definition: definitionOf(text),
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
function definitionOf(text: string): string {
  const tokens = codeTokensOf(text);
  let at = tokens.findIndex((token) => token.text.toLowerCase() === 'on') + 1;
  if (tokens[at]?.text.toLowerCase() === 'only') at += 1;
  if (tokens[at]?.text === '(') at += 1;
  while (tokens[at + 1]?.text === '.') at += 2;
  at += 1;
  while (tokens[at]?.text === '*' || tokens[at]?.text === ')') at += 1;
  return text.slice(tokens[at]?.start);
}

/** `(concurrently, tablespace x)` → `(tablespace x)`. */
function optionsWithoutConcurrently(text: string): string {
  const tokens = codeTokensOf(text);
  if (tokens[1]?.text !== '(') return '';
  const kept: string[] = [];
  let option: Token[] = [];
  for (const token of tokens.slice(2)) {
    if (token.text !== ',' && token.text !== ')') {
      option.push(token);
      continue;
    }
    if (option[0]?.text.toLowerCase() !== 'concurrently') {
      kept.push(text.slice(option[0]?.start, option.at(-1)?.end));
    }
    option = [];
    if (token.text === ')') break;
  }
  return kept.length === 0 ? '' : `(${kept.join(', ')})`;
}
