import { NoBackfill, takeApart } from '../../steps/take-apart.ts';
import { as, relationOf } from '../../syntax/syntax-tree.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';

/** Existing relations that a statement locks against everybody. */
function closed({ locks }: StatementContext): readonly string[] {
  return locks
    .filter(({ mode }) => mode === 'access exclusive')
    .map(({ relation }) => JSON.stringify(relation));
}

function firstLocker(context: StatementContext): StatementContext {
  return context.before.find((earlier) => closed(earlier).length > 0) ?? context;
}

function shown(context: StatementContext, key: string): string {
  return context.show(JSON.parse(key));
}

export const severalTablesLocked: Rule = {
  name: 'several-tables-locked',
  severity: 'warning',
  title: 'one transaction that blocks several tables',
  aboutLocks: true,
  *check(context) {
    const earlier = new Set(context.before.flatMap(closed));
    const [first] = earlier;
    const own = closed(context);
    const added = own.find((key) => !earlier.has(key));
    // Reported once for a transaction: once it is split, the rest may be fine.
    if (first === undefined || added === undefined || earlier.size > closed(firstLocker(context)).length)
      return;
    yield {
      what: `While this waits for ${shown(context, added)}, ${shown(context, first)} stays blocked; and an application transaction that takes them in the other order ends in a deadlock.`,
      instead: `${context.nextTransaction}${context.text};`,
    };
  },
};

export const writeUnderLock: Rule = {
  name: 'write-under-lock',
  severity: 'warning',
  title: 'rows written in a transaction that has blocked a table',
  aboutLocks: false,
  bySize: true,
  *check(context) {
    if (!writesMany(context)) return;
    const locker = context.before.find((earlier) => closed(earlier).length > 0);
    const [table] = locker === undefined ? [] : closed(locker);
    if (locker === undefined || table === undefined) return;
    yield {
      what: `Line ${locker.statement.position.line} blocked ${shown(context, table)}, and it stays blocked until these rows are written.`,
      instead: `${context.nextTransaction}${context.text};`,
      blocks: 'reads and writes',
    };
  },
};

/** A few literal rows take no time. */
function writesMany({ tree, locks }: StatementContext): boolean {
  if (!locks.some(({ mode, work }) => mode === 'row exclusive' && work === 'write')) return false;
  const query = as('InsertStmt', tree)?.selectStmt;
  return as('SelectStmt', query)?.valuesLists === undefined;
}

export const unboundedWrite: Rule = {
  name: 'unbounded-write',
  severity: 'warning',
  title: 'UPDATE or DELETE of all rows of a table that exists',
  aboutLocks: false,
  bySize: true,
  fixes: true,
  *check(context) {
    const { tree } = context;
    const statement = as('UpdateStmt', tree) ?? as('DeleteStmt', tree);
    if (statement?.relation === undefined || !isEverywhereTrue(statement.whereClause)) return;
    // In batches it holds no lock for long.
    if (context.file.stepOf(context.number)?.long?.operation === 'backfill') return;
    const table = relationOf(statement.relation);
    if (!context.isExisting(table)) return;
    const word = 'UpdateStmt' in tree ? 'UPDATE' : 'DELETE';
    yield {
      what: `${word} without WHERE holds a lock on every row of ${context.show(table)} until it ends, and leaves as many dead rows behind.`,
      instead: goesInBatches(context)
        ? context.alone(`-- migrate: backfill\n${context.text};`)
        : context.allowing(this.name, `${table.name} has few rows`),
      note: 'In batches, each a transaction of its own, nobody waits for long, and an interrupted one continues where it stopped.',
      relation: table,
      blocks: 'writes',
    };
  },
};

function isEverywhereTrue(where: Parameters<typeof as>[1]): boolean {
  if (where === undefined) return true;
  return as('A_Const', where)?.boolval?.boolval === true;
}

function goesInBatches({ statement }: StatementContext): boolean {
  try {
    takeApart(statement, {});
    return true;
  } catch (error) {
    if (error instanceof NoBackfill) return false;
    throw error;
  }
}

export const opaqueStatement: Rule = {
  name: 'opaque-statement',
  severity: 'advice',
  title: 'DO, CALL and EXECUTE, which cannot be analysed',
  aboutLocks: false,
  *check(context) {
    const { tree } = context;
    const word =
      'DoStmt' in tree ? 'DO' : 'CallStmt' in tree ? 'CALL' : 'ExecuteStmt' in tree ? 'EXECUTE' : undefined;
    if (word === undefined) return;
    yield {
      what: `What ${word} locks, and for how long, can't be analysed; and it waits for every index build that is under way.`,
      instead: context.allowing(this.name, 'what it runs was reviewed by hand'),
      note: 'If its statements are always the same, write them out.',
    };
  },
};
