import type { ChangingAction } from '../../lambda/actions/action.ts';
import { performAction } from '../../lambda/actions/perform-action.ts';
import { planRun, type RunPlan } from '../../lambda/foresight/plan-run.ts';
import { readStatus, type Status } from '../../lambda/status/status.ts';
import { type Asked, ask, type DatabaseFlags, describeTarget, PATIENCE_SECONDS } from './database-options.ts';
import { runLoop } from './in-process-loop.ts';
import { migrateUp, type UpEnd } from './migrate-up.ts';
import type { Place, Watched, WatchedUp } from './place.ts';
import type { RunDisplay } from './run-display.ts';

/** Reads where the verb is to work, with all that can be wrong before anybody is asked. */
export async function placeOf(flags: DatabaseFlags): Promise<Place> {
  if (flags.stack === undefined && flags.function === undefined) return new DatabasePlace(await ask(flags));
  // The AWS SDK is loaded only where it is used.
  const { openDeployed } = await import('./deployed/deployed-place.ts');
  return openDeployed(flags);
}

class DatabasePlace implements Place {
  readonly here = true;
  readonly description: string;
  readonly #asked: Asked;

  constructor(asked: Asked) {
    this.#asked = asked;
    this.description = describeTarget(asked);
  }

  status(patienceSeconds = PATIENCE_SECONDS): Promise<Status> {
    return readStatus(this.#asked.target, { ...this.#asked, patienceSeconds });
  }

  plan(): Promise<RunPlan> {
    return planRun(this.#asked.target, this.#asked);
  }

  act(action: ChangingAction, display: RunDisplay): Promise<object> {
    return performAction(action, {
      ...this.#asked,
      deadline: undefined,
      report: display.report,
      patienceSeconds: PATIENCE_SECONDS,
    });
  }

  up({ wait, signal, display, record, failedEarly }: WatchedUp): Promise<UpEnd> {
    return migrateUp({
      ...this.#asked,
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
    const settled = await runLoop({ ...this.#asked, deadline: undefined, signal, report: display.report });
    return settled.outcome === 'valid' ? undefined : settled.message;
  }
}
