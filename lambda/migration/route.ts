import type { IndexOperation, LongStatement } from './migration.ts';
import type { IndexStrategy } from './options.ts';

/** What the database says of one relation at the moment when it matters. */
export type TableFacts = AbsentTable | UnknownTable | PresentTable;

export interface AbsentTable {
  readonly kind: 'absent';
}

/** It could not be looked up: what the statement does to it can't be told either. */
export interface UnknownTable {
  readonly kind: 'unknown';
  /** What Postgres answered. */
  readonly because: string;
}

export interface PresentTable {
  readonly kind: 'present';
  readonly schema: string;
  readonly table: string;
  readonly partitioned: boolean;
  /** Where the name that was asked about is that of an index on the table. */
  readonly index?: { readonly valid: boolean };
  /** With the tables that inherit from it, where there are some; partitions are no such tables. */
  readonly withChildren?: Pick<PresentTable, 'rows' | 'bytes'>;
  /** Among its partitions, or the tables that inherit from it, is a foreign table. */
  readonly hasForeignParts?: boolean;
  /**
   * Of the table alone, or of a partitioned table's own partitions. Exact up to `smallTableRows` + 1, where counting
   * stops; that much also where it could not be counted.
   */
  readonly rows: number;
  /** Why it could not be counted. */
  readonly uncounted?: string;
  /** Size on disk without indexes. */
  readonly bytes: number;
}

/** `holds more than 100 rows`; why it is taken to, where it could not be counted. */
export function moreRows({ uncounted }: PresentTable, smallTableRows: number): string {
  return uncounted === undefined
    ? `holds more than ${smallTableRows} rows`
    : `counts as large, since its rows can't be counted (${uncounted})`;
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
  if (facts.tables.some(({ kind }) => kind === 'unknown'))
    return facts.strategy === 'inline' ? 'inline' : 'hand-off';
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
export function routeOfLong({ handOff, operation }: LongStatement, facts: LongFacts): Route {
  // Its author wants batches, which only the loop makes.
  if (facts.strategy === 'inline' && operation !== 'backfill') return 'inline';
  if (facts.queuesUp || handOff) return 'hand-off';
  // Postgres itself says that it is missing.
  if (facts.rows === undefined) return 'inline';
  return facts.strategy === 'concurrent' || facts.rows > facts.smallTableRows ? 'hand-off' : 'inline';
}

/** REINDEX of a schema or a database: it is taken apart into its tables, and no transaction could hold the whole. */
function isWide(operation: IndexOperation): boolean {
  return operation.kind === 'reindex' && operation.target !== 'index' && operation.target !== 'table';
}
