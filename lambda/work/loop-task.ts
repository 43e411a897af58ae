/**
 * What the state machine and its one function say to each other. All of it is in the execution's history,
 * which more people can read than the database: names of tables and counts, no SQL, no secret.
 */
export type LoopTask =
  /** Which tables have builds that are not over? */
  | { readonly task: 'tables' }
  /**
   * One turn of each table that a branch attends to. `turn` counts from 1 and is the state machine's to carry, as is
   * `newest`, the newest build that was there when the tables were found.
   */
  | {
      readonly task: 'turn';
      readonly tables: readonly BuildTable[];
      readonly newest: string;
      readonly turn: number;
    }
  /** Apply the steps that waited for builds. */
  | { readonly task: 'resume' }
  /** Everything has ended: report. `startedAt` is the execution's start, as Step Functions writes it. */
  | { readonly task: 'settle'; readonly execution: string; readonly startedAt: string };

/** Builds of one table run in order, tables side by side. Each has a branch of the loop, or comes to one that is there. */
export interface BuildTable {
  readonly schema: string;
  readonly table: string;
}

export interface TablesResult {
  readonly tables: readonly BuildTable[];
  /** The newest build that was handed off, by its id: what comes later is nobody's until a branch takes it. */
  readonly newest: string;
}

/** What the turns of a branch gave: the tables that it continues with, its own and those that it has taken. */
export interface BranchResult extends TurnResult {
  readonly tables: readonly BuildTable[];
}

/** `wait`: come again in `waitSeconds`. `done`: no build of this table is left. */
export interface TurnResult {
  readonly outcome: 'wait' | 'done';
  /** 0 or more; 0 with `done`. */
  readonly waitSeconds: number;
  readonly turn: number;
}

/** `more`: the run handed off further builds. `settled`: nothing is left that waits. */
export interface ResumeResult {
  readonly outcome: 'more' | 'settled';
}

export interface SettleResult {
  readonly outcome: 'valid' | 'failed';
  /** For a person; empty where all is valid. */
  readonly message: string;
}
