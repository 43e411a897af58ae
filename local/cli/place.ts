import type { ChangingAction } from '../../lambda/actions/action.ts';
import type { RunPlan } from '../../lambda/foresight/plan-run.ts';
import type { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { Status } from '../../lambda/status/status.ts';
import type { UpEnd } from './migrate-up.ts';
import type { RunDisplay } from './run-display.ts';
import type { UpRecord } from './up-record.ts';

/** A pass of `up` or `retry`, as a person watches it. */
export interface Watched {
  readonly display: RunDisplay;
  readonly record: UpRecord;
  readonly signal: AbortSignal;
}

export interface WatchedUp extends Watched {
  /** Stay until every build has ended. */
  readonly wait: boolean;
  /** The run failed, and the builds of the steps before it continue. */
  readonly failedEarly: (error: MigrationError) => void;
}

/** Where a verb works: on a database directly, or through the deployed migrator. */
export interface Place {
  /** Never with a password. */
  readonly description: string;
  /** Whether runs and builds are in this process, so that an interruption affects them. */
  readonly here: boolean;
  status(patienceSeconds?: number): Promise<Status>;
  plan(): Promise<RunPlan>;
  act(action: ChangingAction, display: RunDisplay): Promise<object>;
  up(watched: WatchedUp): Promise<UpEnd>;
  /** Waits until every build has ended. Returns what went wrong, or undefined if all are valid. */
  build(watched: Watched): Promise<string | undefined>;
}
