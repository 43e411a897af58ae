import type { RelationName } from '../../../lambda/migration/relation-name.ts';
import { readsOfView } from '../../steps/long-statement.ts';
import { as, booleanOption, relationOf } from '../../syntax/syntax-tree.ts';
import { isWord, splice } from '../../syntax/tokens.ts';
import type { Rule } from '../rule.ts';
import type { StatementContext } from '../statement-context.ts';

const REPACK = 'pg_repack, or pg_squeeze, does it while others work.';

export const vacuumFull: Rule = {
  name: 'vacuum-full',
  severity: 'error',
  title: 'VACUUM FULL',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    const vacuum = as('VacuumStmt', context.tree);
    if (!vacuum?.is_vacuumcmd || !booleanOption(vacuum.options, 'full')) return;
    const tables = (vacuum.rels ?? [])
      .flatMap((node) => as('VacuumRelation', node)?.relation ?? [])
      .map(relationOf);
    if (tables.length > 0 && tables.every((table) => !context.isExisting(table))) return;
    const names = tables.map((table) => context.show(table)).join(', ');
    yield {
      what: `VACUUM FULL rewrites the whole of ${names || 'every table'} while nobody else can read or write it.`,
      instead: context.alone(`vacuum (analyze)${names === '' ? '' : ` ${names}`};`),
      note: `A plain VACUUM makes the space of dead rows reusable. To return it to the disk: ${REPACK}`,
    };
  },
};

export const cluster: Rule = {
  name: 'cluster',
  severity: 'error',
  title: 'CLUSTER',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    const statement = as('ClusterStmt', context.tree);
    if (statement === undefined) return;
    const table = statement.relation === undefined ? undefined : relationOf(statement.relation);
    if (table !== undefined && !context.isExisting(table)) return;
    const name = table === undefined ? 'every clustered table' : context.show(table);
    yield {
      what: `CLUSTER rewrites the whole of ${name} while nobody else can read or write it.`,
      instead: `-- Left out: CLUSTER of ${name}. ${REPACK}`,
    };
  },
};

export const refreshWithoutConcurrently: Rule = {
  name: 'refresh-without-concurrently',
  severity: 'warning',
  title: 'REFRESH MATERIALIZED VIEW without CONCURRENTLY',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    const refresh = as('RefreshMatViewStmt', context.tree);
    if (refresh?.relation === undefined || refresh.concurrent || refresh.skipData) return;
    const name = relationOf(refresh.relation);
    if (!context.isExisting(name)) return;
    const end = context.tokens.find((token) => isWord(token, 'view'))?.end ?? 0;
    const view = context.schema.relation(name);
    const indexes = view === undefined ? [] : context.schema.indexesOf(view);
    const isReady = indexes.some((index) => index.unique && index.predicate === undefined);
    yield {
      what: `REFRESH blocks all reads of ${context.show(name)} until its query is done.`,
      instead: `${splice(context.text, { start: end, end }, ' concurrently')};`,
      ...(isReady
        ? {}
        : {
            note: `It needs a unique index on columns of ${context.show(name)}, without WHERE: create one concurrently first.`,
          }),
      relation: name,
    };
  },
};

export const viewFilledAtOnce: Rule = {
  name: 'view-filled-at-once',
  severity: 'advice',
  title: 'CREATE MATERIALIZED VIEW that runs its query right away',
  aboutLocks: false,
  bySize: true,
  fixes: true,
  *check(context) {
    const create = as('CreateTableAsStmt', context.tree);
    const into = create?.into?.rel;
    if (into === undefined || create?.objtype !== 'OBJECT_MATVIEW' || create.into?.skipData) return;
    const reads = readsOfView(context.tree).filter((table) => context.isExisting(table));
    if (reads.length === 0) return;
    const view = context.show(relationOf(into));
    const filled = `${withoutWithData(context)}\nwith no data;`;
    yield {
      what: `The query of ${view} runs within the deploy, which waits for it.`,
      instead: context.file.isExplicit(context.number)
        ? `${filled}\ncommit;\nrefresh materialized view ${view};\nbegin;`
        : `${filled}\nrefresh materialized view ${view};`,
      note: `Created with no data it takes a moment. The REFRESH is a step of its own, and handed off where a table that it reads is not small (docs/long-work.md); until then ${view} can't be read.`,
      reads,
    };
  },
};

/** It may say WITH DATA at its end. */
function withoutWithData({ text, tokens }: StatementContext): string {
  const [first, second] = tokens.slice(-2);
  return first !== undefined && second !== undefined && isWord(first, 'with') && isWord(second, 'data')
    ? text.slice(0, first.start).trimEnd()
    : text;
}

const REWRITES: Readonly<Record<string, string>> = {
  AT_SetAccessMethod: 'SET ACCESS METHOD',
  AT_SetExpression: 'SET EXPRESSION',
  AT_SetLogged: 'SET LOGGED',
  AT_SetTableSpace: 'SET TABLESPACE',
  AT_SetUnLogged: 'SET UNLOGGED',
};

export const rewriteTable: Rule = {
  name: 'rewrite-table',
  severity: 'warning',
  title: 'SET TABLESPACE, ACCESS METHOD, LOGGED, UNLOGGED or EXPRESSION on a table that exists',
  aboutLocks: true,
  bySize: true,
  *check(context) {
    const { alteration } = context;
    if (alteration === undefined || !context.isExisting(alteration.table)) return;
    const table: RelationName = alteration.table;
    for (const { tree, start } of alteration.commands) {
      const words = REWRITES[tree.subtype ?? ''];
      if (words === undefined) continue;
      yield {
        index: context.statement.index + start,
        what: `${words} rewrites the whole of ${context.show(table)} while nobody else can read or write it.`,
        instead: context.allowing(this.name, `${table.name} is small enough to be blocked for that long`),
        note:
          tree.subtype === 'AT_SetExpression'
            ? 'For a large table, add a new column, fill it in batches, and let code read from that.'
            : 'For a large table, pg_repack moves it while others use it; or copy the rows in batches into a new table and swap the names.',
        relation: table,
        // Only an expression is inherited.
        alone: tree.subtype !== 'AT_SetExpression',
      };
    }
  },
};

export const lockTable: Rule = {
  name: 'lock-table',
  severity: 'warning',
  title: 'LOCK TABLE on a table that exists',
  aboutLocks: true,
  *check(context) {
    const lock = as('LockStmt', context.tree);
    // The first three, ACCESS SHARE to ROW EXCLUSIVE, are those that reads and writes take.
    if (lock === undefined || (lock.mode ?? 8) <= 3 || context.locks.length === 0) return;
    const names = context.locks.map(({ relation }) => context.show(relation)).join(', ');
    yield {
      what: `The lock on ${names} is held until the transaction ends, whatever else it does until then.`,
      instead: `-- Left out: each statement takes the locks on ${names} that it needs.`,
    };
  },
};
