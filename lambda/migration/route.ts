import type { IndexOperation, LongStatement } from './migration.ts';
import type { IndexStrategy } from './options.ts';

/** What the database says of one relation at the moment when it matters. */
export type TableFacts = AbsentTable | PresentTable;

export interface AbsentTable {
  readonly kind: 'absent';
}

export interface PresentTable {
  readonly kind: 'present';
  readonly schema: string;
  readonly table: string;
  readonly partitioned: boolean;
  /** Exact up to `smallTableRows` + 1, where counting stops. */
  readonly rows: number;
  /** Size on disk without indexes. */
  readonly bytes: number;
}

/** What is known when an index operation's turn comes. */
export interface RouteFacts {
  readonly strategy: IndexStrategy;
  readonly smallTableRows: number;
  /** The run itself created the table: nobody else can be using it yet. */
  readonly createdByRun: boolean;
  /** A build of the same table is pending: what comes after it must keep its place. */
  readonly buildsPending: boolean;
  /** A relation of the new index's name exists already: adopt it, replace it or refuse it, as the loop decides. */
  readonly nameTaken: boolean;
  readonly tables: readonly TableFacts[];
}

export type Route = 'inline' | 'hand-off';

/** Where an index operation runs: within the run, or handed off to the loop. */
export function routeOf(operation: IndexOperation, facts: RouteFacts): Route {
  if (facts.buildsPending || isWide(operation)) return 'hand-off';
  if (facts.createdByRun) return 'inline';
  const present = facts.tables.filter((table) => table.kind === 'present');
  // Nothing to be careful with: Postgres itself says that the table is missing, or skips it with IF EXISTS.
  if (present.length === 0) return 'inline';
  // Postgres drops a partitioned index in the plain form only; that needs its locks for a moment, and nothing else.
  if (operation.kind === 'drop-index' && present.some((table) => table.partitioned)) return 'inline';
  if (operation.kind === 'create-index' && facts.nameTaken) return 'hand-off';
  switch (facts.strategy) {
    case 'inline':
      return 'inline';
    case 'concurrent':
      return 'hand-off';
    case 'auto':
      return present.every((table) => table.rows <= facts.smallTableRows) ? 'inline' : 'hand-off';
    default:
      return facts.strategy satisfies never;
  }
}

/** What is known when a long statement's turn comes. */
export interface LongFacts {
  readonly strategy: IndexStrategy;
  readonly smallTableRows: number;
  /** Other work of the same table is pending: what comes after it must keep its place. */
  readonly queuesUp: boolean;
  /** Of the largest table that it reads; undefined where there is none. */
  readonly rows: number | undefined;
}

/** The same for a statement that is no index operation, on a table that the run did not create. */
export function routeOfLong({ handOff }: LongStatement, facts: LongFacts): Route {
  if (facts.strategy === 'inline') return 'inline';
  if (facts.queuesUp || handOff) return 'hand-off';
  // Postgres itself says that it is missing.
  if (facts.rows === undefined) return 'inline';
  return facts.strategy === 'concurrent' || facts.rows > facts.smallTableRows ? 'hand-off' : 'inline';
}

/** REINDEX of a schema or a database: it is taken apart into its tables, and no transaction could hold the whole. */
function isWide(operation: IndexOperation): boolean {
  return operation.kind === 'reindex' && operation.target !== 'index' && operation.target !== 'table';
}
