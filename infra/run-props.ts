import type { Duration, Size } from 'aws-cdk-lib';
import type { IndexStrategy, WaitFor } from '../lambda/migration/options.ts';
import type { RowValues } from '../lambda/migration/row-values.ts';

/** How runs and index builds behave: MigrationOptions, in the CDK's types. */
export interface RunProps {
  /**
   * Schema of the ledger.
   *
   * @default 'migrations'
   */
  readonly ledgerSchema?: string;

  /**
   * Which index operations run at once, in their plain form, and which become index builds. `auto`: by the table's
   * size. `inline`: all at once. `concurrent`: all but those on tables that the run itself created are handed off.
   *
   * @default 'auto'
   */
  readonly indexStrategy?: IndexStrategy;

  /**
   * A table with at most so many rows is small.
   *
   * @default 10000
   */
  readonly smallTableRows?: number;

  /**
   * A statement that would keep others from a table that is not small for longer, as the linter estimates by the
   * table's size, stops the run before it touches anything: up to 1 day.
   *
   * @default Duration.seconds(1)
   */
  readonly longestBlock?: Duration;

  /**
   * Before a run touches anything, and before a unique index is built, the data is searched for what would make it
   * fail: nulls, orphans, duplicates, rows against a check. Each search ends after this, without an answer: up to 1
   * minute. `Duration.seconds(0)` searches for nothing.
   *
   * @default Duration.seconds(5)
   */
  readonly dataCheckTimeout?: Duration;

  /**
   * No attempt of a step waits longer for a lock: 1 ms to 1 minute. The first waits 100 ms, later ones longer, and none
   * is made while it could not succeed.
   *
   * @default Duration.seconds(5)
   */
  readonly lockTimeout?: Duration;

  /**
   * Total time a step keeps retrying for its locks: from `lockTimeout` to 10 minutes.
   *
   * @default Duration.minutes(2)
   */
  readonly lockBudget?: Duration;

  /**
   * Attempts of one index build before it fails: 1 to 100.
   *
   * @default 3
   */
  readonly maxAttempts?: number;

  /**
   * How long the turn that starts a build stays with it, so that short builds end there: up to 14 minutes.
   *
   * @default Duration.minutes(1)
   */
  readonly attach?: Duration;

  /**
   * Tables that build side by side: 1 to 40.
   *
   * @default 4
   */
  readonly maxConcurrentTables?: number;

  /**
   * Target duration of a backfill's batch, unless its directive sets it: 1 ms to 1 minute. A session that writes a row of
   * the batch waits at most that long.
   *
   * @default Duration.millis(50)
   */
  readonly backfillBatch?: Duration;

  /**
   * The rest after a batch of a backfill, in lengths of the batch, where its directive does not say it: 0 to 1000.
   *
   * @default - 1 where other sessions are active, else 0
   */
  readonly backfillPause?: number;

  /**
   * Memory of each build (`maintenance_work_mem`): 1 MiB to 1 TiB.
   *
   * @default - by the server's size and the builds side by side
   */
  readonly maintenanceWorkMem?: Size;

  /**
   * Parallel workers of each build (`max_parallel_maintenance_workers`): 0 to 64.
   *
   * @default - by the server's size and the builds side by side
   */
  readonly parallelWorkers?: number;

  /**
   * Pending files that are older than the newest applied one, as when two branches are merged: `apply` them, or `refuse`
   * the run before it touches anything. They are named either way.
   *
   * @default 'apply'
   */
  readonly lateMigrations?: 'apply' | 'refuse';

  /**
   * Applied files that the folder lacks: `ignore` or `refuse`. They are named either way. A deploy back to earlier code
   * is never refused for it.
   *
   * @default 'ignore'
   */
  readonly missingMigrations?: 'ignore' | 'refuse';

  /**
   * The table in which the layout's tool (Prisma, Flyway, …) keeps its history, where the database has it. `mirror`: what
   * it says is applied is taken over, and what is applied from then on is written to it as well, so that the tool finds
   * nothing to do. `adopt`: it is read alone. `ignore`: it is not looked at. docs/coming-from.md.
   *
   * @default 'mirror'
   */
  readonly history?: 'mirror' | 'adopt' | 'ignore';

  /**
   * That table, `TABLE` or `SCHEMA.TABLE`, where the tool was given another name for it; letters as the tool writes them.
   *
   * @default - as the tool's own settings in or above the folder have it, else by the name that the tool gives it
   */
  readonly historyTable?: string;

  /**
   * What a deploy waits for. `migrations`: every step that is not an index build, and the builds that a step waits
   * for. `index-builds`: all of them valid. `nothing`: what the first run applies.
   *
   * @default 'migrations'
   */
  readonly waitFor?: WaitFor;

  /**
   * Values of rows in what more people read than the database: CloudFormation's events, Step Functions' history,
   * EventBridge, the functions' log, traces. An error or a notice of Postgres may quote them. `hidden`: there are names,
   * counts and SQLSTATEs; the values are in the ledger, in the action `status` and in a terminal. `shown`: everywhere.
   * docs/security.md.
   *
   * @default 'hidden'
   */
  readonly rowValuesInLogs?: RowValues;
}
