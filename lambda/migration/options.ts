/** How runs and builds behave: the construct's props, the command line's flags, as one value. */
export interface MigrationOptions {
  /** Schema of the ledger. @default 'migrations' */
  readonly ledgerSchema: string;
  /**
   * `auto`: by the table's size. `inline`: index operations run at once, in their plain form. `concurrent`: all but
   * those on tables that the run itself created are handed off. @default 'auto'
   */
  readonly indexStrategy: IndexStrategy;
  /** A table with at most so many rows is small. @default 10000 */
  readonly smallTableRows: number;
  /** Nobody may be kept from a table that is not small for longer, by the linter's estimate. @default 1 */
  readonly longestBlockSeconds: number;
  /** Looking into the data for what would make a statement fail may take so long, each time; 0 leaves it. @default 5 */
  readonly dataCheckSeconds: number;
  /** No attempt of a step waits longer for a lock; the first ones are shorter. @default 5 */
  readonly lockTimeoutSeconds: number;
  /** A step that finds its locks taken is tried again for so long in all. @default 120 */
  readonly lockBudgetSeconds: number;
  /** Attempts of one index build before it fails. @default 3 */
  readonly maxAttempts: number;
  /** The turn that starts a build stays with it for so long. @default 60 */
  readonly attachSeconds: number;
  /** Tables that build side by side. @default 4 */
  readonly maxConcurrentTables: number;
  /** Memory of each build, in MiB. @default by the server's size and the builds side by side */
  readonly maintenanceWorkMemMegabytes: number | undefined;
  /** Parallel workers of each build. @default by the server's size and the builds side by side */
  readonly parallelWorkers: number | undefined;
  /** Pending files that are older than the newest applied one. @default 'apply' */
  readonly lateMigrations: 'apply' | 'refuse';
  /** Applied files that the folder lacks. @default 'ignore' */
  readonly missingMigrations: 'ignore' | 'refuse';
  /** What a deploy waits for. @default 'migrations' */
  readonly waitFor: WaitFor;
}

export type IndexStrategy = 'auto' | 'inline' | 'concurrent';
export type WaitFor = 'migrations' | 'index-builds' | 'nothing';

export const defaultOptions: MigrationOptions = {
  ledgerSchema: 'migrations',
  indexStrategy: 'auto',
  smallTableRows: 10_000,
  longestBlockSeconds: 1,
  dataCheckSeconds: 5,
  lockTimeoutSeconds: 5,
  lockBudgetSeconds: 120,
  maxAttempts: 3,
  attachSeconds: 60,
  maxConcurrentTables: 4,
  maintenanceWorkMemMegabytes: undefined,
  parallelWorkers: undefined,
  lateMigrations: 'apply',
  missingMigrations: 'ignore',
  waitFor: 'migrations',
};
