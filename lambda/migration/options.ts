/**
 * How runs and builds behave, each option once: the construct's props, their checks, the context keys, the functions'
 * environment and the command line's flags follow from this table.
 */
export const optionTable = {
  /** Schema of the ledger. @default 'migrations' */
  ledgerSchema: { kind: 'schema', prop: 'ledgerSchema', default: 'migrations' },
  /**
   * `auto`: by the table's size. `inline`: index operations run at once, in their plain form. `concurrent`: all but
   * those on tables that the run itself created are handed off. @default 'auto'
   */
  indexStrategy: {
    kind: 'choice',
    of: ['auto', 'inline', 'concurrent'],
    prop: 'indexStrategy',
    default: 'auto',
    flag: '--index-strategy <strategy>',
    help: 'where index operations run',
  },
  /** A table with at most this many rows is small. @default 10000 */
  smallTableRows: {
    kind: 'whole',
    range: [0, Number.MAX_SAFE_INTEGER],
    prop: 'smallTableRows',
    default: 10_000,
    flag: '--small-table-rows <rows>',
    help: 'a table with at most so many rows is small',
  },
  /** How long, by the linter's estimate, a statement may block others on a table that is not small. @default 1 */
  longestBlockSeconds: {
    kind: 'seconds',
    range: [0, 24 * 3600],
    prop: 'longestBlock',
    default: 1,
    flag: '--longest-block <seconds>',
    help: 'nobody may be kept longer from a table that is not small',
  },
  /** Limit for each search for data that would make a statement fail; 0 turns the searches off. @default 5 */
  dataCheckSeconds: {
    kind: 'seconds',
    range: [0, 60],
    prop: 'dataCheckTimeout',
    default: 5,
    flag: '--data-check-seconds <seconds>',
    help: 'each search for data that would make a statement fail',
  },
  /** The longest that an attempt of a step waits for a lock; the first ones are shorter. @default 5 */
  lockTimeoutSeconds: {
    kind: 'seconds',
    range: [0.001, 60],
    prop: 'lockTimeout',
    default: 5,
    flag: '--lock-timeout <seconds>',
    help: 'no attempt waits longer for a lock',
  },
  /** Total time a step keeps retrying for its locks. @default 120 */
  lockBudgetSeconds: {
    kind: 'seconds',
    range: ['lockTimeoutSeconds', 600],
    prop: 'lockBudget',
    default: 120,
    flag: '--lock-budget <seconds>',
    help: 'total time that a step keeps trying for its locks',
  },
  /** Attempts of one index build before it fails. @default 3 */
  maxAttempts: {
    kind: 'whole',
    range: [1, 100],
    prop: 'maxAttempts',
    default: 3,
    flag: '--max-attempts <count>',
    help: 'attempts of one index build',
  },
  /** How long the turn that starts a build stays with it. @default 60 */
  attachSeconds: {
    kind: 'seconds',
    range: [0, 14 * 60],
    prop: 'attach',
    default: 60,
    flag: '--attach-seconds <seconds>',
    help: 'how long a turn stays with a build',
  },
  /** Tables that build side by side. @default 4 */
  maxConcurrentTables: {
    kind: 'whole',
    range: [1, 40],
    prop: 'maxConcurrentTables',
    default: 4,
    flag: '--max-concurrent-tables <count>',
    help: 'tables that build side by side',
  },
  /** How long a batch of a backfill should take, unless its file says so. @default 0.05 */
  backfillBatchSeconds: {
    kind: 'seconds',
    range: [0.001, 60],
    prop: 'backfillBatch',
    default: 0.05,
    flag: '--backfill-batch <seconds>',
    help: 'what a batch of a backfill is to take',
  },
  /**
   * The rest after a batch, in lengths of the batch, unless the file says so. @default 1 where others are active, else
   * 0
   */
  backfillPause: {
    kind: 'times',
    range: [0, 1000],
    prop: 'backfillPause',
    default: undefined,
    flag: '--backfill-pause <lengths>',
    help: 'the rest after a batch, in lengths of the batch (default: 1 where others are active)',
  },
  /** Memory for each build, in MiB. @default by the server's size and the number of concurrent builds */
  maintenanceWorkMemMegabytes: {
    kind: 'mebibytes',
    range: [1, 1024 * 1024],
    prop: 'maintenanceWorkMem',
    default: undefined,
  },
  /** Parallel workers for each build. @default by the server's size and the number of concurrent builds */
  parallelWorkers: { kind: 'whole', range: [0, 64], prop: 'parallelWorkers', default: undefined },
  /** Pending files that are older than the newest applied one. @default 'apply' */
  lateMigrations: {
    kind: 'choice',
    of: ['apply', 'refuse'],
    prop: 'lateMigrations',
    default: 'apply',
    flag: '--late <what>',
    help: 'pending files older than the newest applied one',
  },
  /** Applied files that the folder lacks. @default 'ignore' */
  missingMigrations: {
    kind: 'choice',
    of: ['ignore', 'refuse'],
    prop: 'missingMigrations',
    default: 'ignore',
    flag: '--missing <what>',
    help: 'applied files that the folder lacks',
  },
  /** What to do with the history table of the layout's tool, if it exists. @default 'mirror' */
  history: {
    kind: 'choice',
    of: ['mirror', 'adopt', 'ignore'],
    prop: 'history',
    default: 'mirror',
    flag: '--history <what>',
    help: "the layout's tool has a table of its own: read it and write it, read it alone, or leave it",
    anyVerb: true,
  },
  /** That table, if the tool was configured to use another one. @default by the tool's own settings */
  historyTable: {
    kind: 'relation',
    prop: 'historyTable',
    default: undefined,
    flag: '--history-table <name>',
    help: "that table, where it has another name than the tool's own: TABLE or SCHEMA.TABLE",
    anyVerb: true,
  },
  /** What a deploy waits for. @default 'migrations' */
  waitFor: {
    kind: 'choice',
    of: ['migrations', 'index-builds', 'nothing'],
    prop: 'waitFor',
    default: 'migrations',
  },
  /** Whether logs, events and histories show the row values that errors and notices quote. @default 'hidden' */
  rowValuesInLogs: {
    kind: 'choice',
    of: ['hidden', 'shown'],
    prop: 'rowValuesInLogs',
    default: 'hidden',
  },
} as const satisfies Readonly<Record<string, OptionRow>>;

/** One option: its values, its name among the construct's props, and its flag, if the command line has one. */
export type OptionRow = {
  readonly prop: string;
  readonly flag?: string;
  readonly help?: string;
  /** Every verb that uses a database takes it, not only those that run. @default false */
  readonly anyVerb?: boolean;
} & (
  | { readonly kind: 'schema'; readonly default: string }
  | {
      /** A name as `readRelationName` takes it. */
      readonly kind: 'relation';
      readonly default: undefined;
    }
  | { readonly kind: 'choice'; readonly of: readonly string[]; readonly default: string }
  | {
      /** Seconds and times may have a fraction; in the construct seconds are a Duration, mebibytes a Size. */
      readonly kind: 'whole' | 'times' | 'seconds' | 'mebibytes';
      /** Least and most as the construct takes them; the name of an option stands for its value. */
      readonly range: readonly [least: number | 'lockTimeoutSeconds', most: number];
      /** `undefined`: determined at run time. */
      readonly default: number | undefined;
    }
);

type Table = typeof optionTable;

export type OptionName = keyof Table;

/** All options as one value. */
export type MigrationOptions = {
  readonly [Name in OptionName]: Table[Name] extends { of: readonly (infer Choice)[] }
    ? Choice
    : Table[Name]['kind'] extends 'schema'
      ? string
      : Table[Name]['kind'] extends 'relation'
        ? string | undefined
        : Table[Name]['default'] extends undefined
          ? number | undefined
          : number;
};

export type IndexStrategy = MigrationOptions['indexStrategy'];
export type WaitFor = MigrationOptions['waitFor'];

export const optionRows = Object.entries(optionTable) as readonly (readonly [OptionName, OptionRow])[];

export const defaultOptions = Object.fromEntries(
  optionRows.map(([name, row]) => [name, row.default]),
) as MigrationOptions;
