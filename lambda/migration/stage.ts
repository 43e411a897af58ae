import type { BuildState, Operation } from './build.ts';

/** What of a plan happens together, one stage after the other. */
export type Stage = ApplyStage | BuildStage;

/** Steps that the run applies, in order. */
export interface ApplyStage {
  readonly kind: 'apply';
  readonly files: readonly string[];
  readonly steps: number;
}

/** Work of the loop: of one table in order, tables side by side. */
export interface BuildStage {
  readonly kind: 'build';
  readonly tables: readonly TableBuilds[];
  /** So many tables at once. */
  readonly sideBySide: number;
  /** Until the last is valid; absent where one of them can't be told. */
  readonly estimatedSeconds: number | undefined;
}

export interface TableBuilds {
  /** With its schema; empty for a statement of which no table is known. */
  readonly table: string;
  readonly builds: readonly PlannedBuild[];
}

export interface PlannedBuild {
  readonly operation: Operation;
  /** Empty for the whole table, as of REINDEX TABLE and VACUUM. */
  readonly index: string;
  /** Where it was handed off by an earlier run, its state. */
  readonly state: 'new' | Exclude<BuildState, 'done'>;
  readonly estimatedSeconds: number | undefined;
}

/** As long as all builds of one table take after each other. */
function secondsOf({ builds }: TableBuilds): number | undefined {
  let sum = 0;
  for (const { estimatedSeconds } of builds) {
    if (estimatedSeconds === undefined) return undefined;
    sum += estimatedSeconds;
  }
  return sum;
}

/** The loop takes the tables in order, the next one as soon as one is done. */
export function buildStage(tables: readonly TableBuilds[], sideBySide: number): BuildStage {
  const lanes: number[] = Array.from({ length: Math.max(1, sideBySide) }, () => 0);
  let known = true;
  for (const table of tables) {
    const seconds = secondsOf(table);
    if (seconds === undefined) known = false;
    const free = lanes.indexOf(Math.min(...lanes));
    lanes[free] = (lanes[free] ?? 0) + (seconds ?? 0);
  }
  return { kind: 'build', tables, sideBySide, estimatedSeconds: known ? Math.max(...lanes) : undefined };
}
