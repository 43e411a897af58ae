import { indexOf } from '../../schema/index-definition.ts';
import type { Index } from '../../schema/table.ts';
import { as, relationOf } from '../../syntax/syntax-tree.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';
import { written } from '../written-name.ts';

export const duplicateIndex: Rule = {
  name: 'duplicate-index',
  severity: 'warning',
  title: 'an index with the definition of another',
  aboutLocks: false,
  *check(context) {
    const index = createdIndex(context);
    if (index === undefined) return;
    const twin = others(context, index).find((other) => isSame(index, other));
    if (twin === undefined) return;
    yield {
      what: `${index.name} has the same definition as ${twin.name}${lineOf(twin)}: it slows every write and helps no query.`,
      instead: `-- Left out ${index.name}: ${twin.name} has the same definition.`,
    };
  },
};

export const redundantIndex: Rule = {
  name: 'redundant-index',
  severity: 'advice',
  title: "an index whose columns are a prefix of another's",
  aboutLocks: false,
  *check(context) {
    const index = createdIndex(context);
    if (index === undefined) return;
    for (const other of others(context, index)) {
      if (isSame(index, other)) continue;
      if (isCoveredBy(index, other)) {
        yield {
          what: `${other.name}${lineOf(other)} begins with the columns of ${index.name} and serves its queries too.`,
          instead: `-- Left out ${index.name}: ${other.name} begins with its columns.`,
        };
        return;
      }
      // An index behind a constraint stays, whatever other indexes begin with its columns.
      if (isCoveredBy(other, index) && !other.constraint) {
        yield {
          what: `${index.name} begins with the columns of ${other.name}${lineOf(other)} and serves its queries too.`,
          instead: `${context.text};\n${context.alone(`drop index concurrently ${nameOf(other)};`)}`,
        };
        return;
      }
    }
  },
};

function createdIndex(context: StatementContext): Index | undefined {
  const statement = as('IndexStmt', context.tree);
  if (statement?.relation === undefined || statement.relation.inh !== true) return undefined;
  const table = context.schema.relation(relationOf(statement.relation));
  const origin = { file: context.file.source.file, statement: context.number };
  return table === undefined ? undefined : indexOf(statement, { table, origin });
}

/** Those that stay: without what a later statement of the folder drops. */
function others(context: StatementContext, index: Index): readonly Index[] {
  return context.schema.indexesOf(index.table).filter((other) => {
    const last = context.final.index({ schema: other.table.name.schema, name: other.name });
    return other.name !== index.name && !other.only && last !== undefined && sameList(last.keys, other.keys);
  });
}

function isSame(a: Index, b: Index): boolean {
  const alike = a.unique === b.unique && a.nullsNotDistinct === b.nullsNotDistinct;
  return alike && hasSameBase(a, b) && sameList(a.keys, b.keys) && sameList(a.include, b.include);
}

function hasSameBase(a: Index, b: Index): boolean {
  return a.method === b.method && a.predicate === b.predicate;
}

/** The narrower one enforces nothing, and its keys are a prefix of the wider one's. */
function isCoveredBy(narrow: Index, wide: Index): boolean {
  if (narrow.unique || narrow.method !== 'btree' || !hasSameBase(narrow, wide)) return false;
  if (narrow.keys.length > wide.keys.length) return false;
  const within = [...wide.keyColumns, ...wide.include];
  return (
    narrow.keys.every((key, at) => key === wide.keys[at]) &&
    narrow.include.every((column) => within.includes(column))
  );
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, at) => item === b[at]);
}

function lineOf({ origin }: Index): string {
  return origin === undefined ? '' : ` (${origin.file})`;
}

function nameOf({ name, table }: Index): string {
  return table.name.schema === undefined ? written(name) : `${written(table.name.schema)}.${written(name)}`;
}
