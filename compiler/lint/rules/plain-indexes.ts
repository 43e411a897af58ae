import type { RelationName } from '../../../lambda/migration/relation-name.ts';
import { as, booleanOption, relationOf, relationOfParts, strings } from '../../syntax/syntax-tree.ts';
import { isWord, splice } from '../../syntax/tokens.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';

/** The statement with CONCURRENTLY after the first keyword of this name, and without some other words. */
function concurrently(context: StatementContext, word: string, without: readonly string[] = []): string {
  const at = context.tokens.findIndex((token) => isWord(token, word));
  let { text } = context;
  for (const token of [...context.tokens].reverse()) {
    if (token.kind !== 'keyword' || !without.includes(token.text.toLowerCase())) continue;
    text = splice(text, { start: token.start - 1, end: token.end }, '');
  }
  const end = context.tokens[at]?.end ?? 0;
  return context.alone(`${splice(text, { start: end, end }, ' concurrently')};`);
}

export const plainCreateIndex: Rule = {
  // PLAIN_INDEX_RULE of the migrator, which refuses it where the table turns out not to be small.
  name: 'plain-create-index',
  severity: 'warning',
  title: 'CREATE INDEX without CONCURRENTLY on a table that exists',
  aboutLocks: true,
  *check(context) {
    const index = as('IndexStmt', context.tree);
    if (index?.relation === undefined || index.concurrent) return;
    const table = relationOf(index.relation);
    if (!context.isExisting(table)) return;
    const kind = context.schema.relation(table)?.kind;
    // On ONLY a partitioned table it makes a catalog entry and nothing more.
    if (kind === 'partitioned table' && index.relation.inh !== true) return;
    yield {
      what: `CREATE INDEX blocks all writes to ${context.show(table)} until the index is built.`,
      instead: concurrently(context, 'index', index.if_not_exists ? ['if', 'not', 'exists'] : []),
      relation: table,
    };
  },
};

export const ifNotExistsIndex: Rule = {
  name: 'if-not-exists-index',
  severity: 'warning',
  title: 'a plain CREATE INDEX IF NOT EXISTS, which accepts an INVALID index',
  aboutLocks: false,
  *check(context) {
    const index = as('IndexStmt', context.tree);
    // With CONCURRENTLY the migrator itself checks that the index is valid and the same.
    if (!index?.if_not_exists || index.concurrent || index.relation === undefined) return;
    if (!context.isExisting(relationOf(index.relation))) return;
    yield {
      what: `IF NOT EXISTS checks only the name: an index ${index.idxname} that is INVALID or has a different definition is left as it is, and the statement succeeds.`,
      instead: concurrently(context, 'index', ['if', 'not', 'exists']),
    };
  },
};

export const plainDropIndex: Rule = {
  name: 'plain-drop-index',
  severity: 'warning',
  title: 'DROP INDEX without CONCURRENTLY on a table that exists',
  aboutLocks: true,
  *check(context) {
    const drop = as('DropStmt', context.tree);
    if (drop?.removeType !== 'OBJECT_INDEX' || drop.concurrent) return;
    const names = (drop.objects ?? []).map((object) => relationOfParts(strings(as('List', object)?.items)));
    if (names.every((name) => !mayBeConcurrent(context, name))) return;
    yield {
      what: `DROP INDEX waits for every query on the table to end, and every new query waits behind it.`,
      instead: concurrently(context, 'index', ['cascade', 'restrict']),
    };
  },
};

/** Postgres drops an index of a partitioned table only in the plain form. */
function mayBeConcurrent(context: StatementContext, name: RelationName): boolean {
  const index = context.schema.index(name);
  if (index === undefined) return true;
  return context.isExisting(index.table.name) && index.table.kind !== 'partitioned table';
}

export const plainReindex: Rule = {
  name: 'plain-reindex',
  severity: 'warning',
  title: 'REINDEX without CONCURRENTLY',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    const reindex = as('ReindexStmt', context.tree);
    if (reindex === undefined || booleanOption(reindex.params, 'concurrently')) return;
    const { kind = '', relation, name } = reindex;
    if (relation !== undefined && !context.isExisting(relationOf(relation))) return;
    const what = relation === undefined ? (name ?? 'the database') : context.show(relationOf(relation));
    const word = KINDS[kind];
    yield {
      what: `REINDEX blocks writes to every table whose indexes it rebuilds in ${what}, and queries that need the index being rebuilt.`,
      instead:
        word === undefined
          ? '-- Left out: the indexes of the system catalog cannot be rebuilt while others work.'
          : concurrently(context, word),
    };
  },
};

const KINDS: Readonly<Record<string, string>> = {
  REINDEX_OBJECT_DATABASE: 'database',
  REINDEX_OBJECT_INDEX: 'index',
  REINDEX_OBJECT_SCHEMA: 'schema',
  REINDEX_OBJECT_TABLE: 'table',
};
