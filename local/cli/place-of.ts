import type { ChangingAction } from '../../lambda/actions/action.ts';
import { performAction } from '../../lambda/actions/perform-action.ts';
import { planRun, type RunPlan } from '../../lambda/foresight/plan-run.ts';
import { readStatus, type Status } from '../../lambda/status/status.ts';
import {
  type DatabaseFlags,
  describeTarget,
  type Invocation,
  PATIENCE_SECONDS,
  readInvocation,
} from './database-options.ts';
import { runLoop } from './in-process-loop.ts';
import { migrateUp, type UpEnd } from './migrate-up.ts';
import type { Place, Watched, WatchedUp } from './place.ts';
import type { RunDisplay } from './run-display.ts';

/** Reads where the verb works; throws for anything that is wrong before connecting. */
export async function placeOf(flags: DatabaseFlags): Promise<Place> {
  if (flags.stack === undefined && flags.function === undefined)
    return new DatabasePlace(await readInvocation(flags));
  // The AWS SDK is loaded only where it is used.
  const { openDeployed } = await import('./deployed/deployed-place.ts');
  return openDeployed(flags);
}

class DatabasePlace implements Place {
  readonly here = true;
  readonly description: string;
  readonly #invocation: Invocation;

  constructor(invocation: Invocation) {
    this.#invocation = invocation;
    this.description = describeTarget(invocation);
  }

  status(patienceSeconds = PATIENCE_SECONDS): Promise<Status> {
    return readStatus(this.#invocation.target, { ...this.#invocation, patienceSeconds });
  }

  plan(): Promise<RunPlan> {
    return planRun(this.#invocation.target, this.#invocation);
  }

  act(action: ChangingAction, display: RunDisplay): Promise<object> {
    return performAction(action, {
      ...this.#invocation,
      deadline: undefined,
      report: display.report,
      patienceSeconds: PATIENCE_SECONDS,
    });
  }

  up({ wait, signal, display, record, failedEarly }: WatchedUp): Promise<UpEnd> {
    return migrateUp({
      ...this.#invocation,
      wait,
      signal,
      deadline: undefined,
      patienceSeconds: PATIENCE_SECONDS,
      report: (event) => {
        record.note(event);
        display.report(event);
      },
      failedEarly,
    });
  }

  async build({ signal, display }: Watched): Promise<string | undefined> {
    const settled = await runLoop({
      ...this.#invocation,
      deadline: undefined,
      signal,
      report: display.report,
    });
    return settled.outcome === 'valid' ? undefined : settled.message;
  }
}
