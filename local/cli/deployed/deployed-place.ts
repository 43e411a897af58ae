import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import type { ChangingAction } from '../../../lambda/actions/action.ts';
import type { LoggedStep } from '../../../lambda/aws/logged-event.ts';
import type { RunPlan } from '../../../lambda/foresight/plan-run.ts';
import { isOpen } from '../../../lambda/migration/build.ts';
import { MigrationError } from '../../../lambda/migration/migration-error.ts';
import type { Status } from '../../../lambda/status/status.ts';
import { describeLoss, needsPerson } from '../build-lines.ts';
import { asMigrationError } from '../failure.ts';
import { leftAtSignal } from '../interruption.ts';
import { loggedSteps } from '../logged-steps.ts';
import { endOf, type UpEnd } from '../migrate-up.ts';
import type { Place, Watched, WatchedUp } from '../place.ts';
import type { RunDisplay } from '../run-display.ts';
import { whoAsks } from '../who-asks.ts';
import { type DeployedFlags, DeployedMigrator, failureInWords } from './deployed-migrator.ts';
import { BuildWatch } from './watch-builds.ts';

/** How often the builds' progress is read while a person watches. */
const LOOK_MILLISECONDS = 2_000;
/** How soon after its last build the loop resumes the run, if it does. */
const RESUMED_WITHIN_MILLISECONDS = 60_000;

/** The same verbs through the deployed migrator, for people without access to the database. */
export async function openDeployed(flags: DeployedFlags): Promise<Place> {
  return new DeployedPlace(await DeployedMigrator.find(flags));
}

const list = v.array(v.unknown());
/** Of status and plan, where an error thrown would have left out values of rows. */
const failedAnswer = v.strictObject({ error: v.string() });
/** Its parts are as this version's own code makes them; a function of another version is told by its form. */
const statusAnswer = v.looseObject({ migrations: list, builds: list, runs: list });
const planAnswer = v.looseObject({ files: list, stages: list, findings: list, builds: list });
const runAnswer = v.looseObject({
  steps: loggedSteps,
  waiting: v.nullish(v.object({ file: v.string(), because: v.string() })),
});

class DeployedPlace implements Place {
  readonly here = false;
  readonly description: string;
  readonly #migrator: DeployedMigrator;
  /** How all was before the newest action. */
  #before: Status | undefined;

  constructor(migrator: DeployedMigrator) {
    this.#migrator = migrator;
    this.description = `through the deployed function ${migrator.functionName}`;
  }

  async status(): Promise<Status> {
    return (await this.#ask({ action: 'status' }, statusAnswer)) as unknown as Status;
  }

  async plan(): Promise<RunPlan> {
    return (await this.#ask({ action: 'plan' }, planAnswer)) as unknown as RunPlan;
  }

  async act(action: ChangingAction): Promise<object> {
    // Its builds may end before the next look.
    const before = await this.status();
    this.#before = before;
    try {
      return await this.#ask({ ...action, by: whoAsks() }, v.looseObject({}));
    } catch (error) {
      const failure = asMigrationError(error);
      if (failure.code === 'deployed-unreachable') throw failure;
      throw wholeFailure(failure, {
        action: action.action,
        before,
        after: await this.status().catch(() => before),
      });
    }
  }

  async up({ wait, signal, display, record, failedEarly }: WatchedUp): Promise<UpEnd> {
    const before = await this.status();
    const watch = new BuildWatch(display);
    watch.look(before);
    let failure: MigrationError | undefined;
    try {
      // The run continues in the account whether we wait for its answer or not.
      const run = await leftAtSignal(signal, () => this.#ask({ action: 'run', by: whoAsks() }, runAnswer));
      const steps: readonly LoggedStep[] = run.steps;
      if (steps.length > 0) display.show({ kind: 'applied', steps, milliseconds: 0 });
      const versions = new Map(before.migrations.map(({ name, version }) => [name, version]));
      record.steps(steps.flatMap(({ migration }) => versions.get(migration) ?? []));
      if (run.waiting != null) {
        display.show({ kind: 'waiting-for-builds', ...run.waiting });
        record.waits(run.waiting);
      }
    } catch (error) {
      signal.throwIfAborted();
      failure = asMigrationError(error);
      if (failure.code === 'deployed-unreachable') throw failure;
    }
    let status = await this.status();
    failure &&= wholeFailure(failure, { action: 'run', before, after: status });
    record.builds(status.builds.filter(isOpen));
    if (wait && status.builds.some(isOpen)) {
      if (failure !== undefined) failedEarly(failure);
      status = await this.#untilOver({ display, signal, status, watch });
      // The run after the builds succeeded: the failure was due to missing builds.
      if (!status.builds.some(needsPerson) && status.lastRun?.error === undefined) failure = undefined;
    }
    return endOf(status, failure);
  }

  async build({ display, signal }: Watched): Promise<string | undefined> {
    const watch = new BuildWatch(display);
    if (this.#before !== undefined) watch.look(this.#before);
    const status = await this.status();
    watch.look(status);
    const over = await this.#untilOver({ display, signal, status, watch });
    const lost = over.builds.filter(needsPerson);
    return lost.length === 0 ? undefined : lost.map(describeLoss).join('\n');
  }

  /** Watches the loop in the account, and the run that the loop resumes. */
  async #untilOver(looking: {
    readonly display: RunDisplay;
    readonly signal: AbortSignal;
    readonly status: Status;
    readonly watch: BuildWatch;
  }): Promise<Status> {
    let { status } = looking;
    let overSince: number | undefined;
    for (;;) {
      looking.watch.look(status);
      const open = status.builds.some(isOpen);
      if (!open) overSince ??= Date.now();
      else overSince = undefined;
      const left = status.migrations.some(({ state }) => state === 'pending' || state === 'partial');
      if (!open && (!left || status.lastRun?.error !== undefined || status.builds.some(needsPerson)))
        return status;
      if (overSince !== undefined && Date.now() - overSince > RESUMED_WITHIN_MILLISECONDS) return status;
      await sleep(LOOK_MILLISECONDS, undefined, { signal: looking.signal });
      status = await this.status();
    }
  }

  async #ask<const Schema extends v.GenericSchema>(
    action: object,
    schema: Schema,
  ): Promise<v.InferOutput<Schema>> {
    const answer = await this.#migrator.invoke(action);
    if (v.is(failedAnswer, answer)) throw failureInWords(answer.error) ?? failed(answer.error);
    const parsed = v.safeParse(schema, answer);
    if (parsed.success) return parsed.output;
    throw new MigrationError({
      code: 'deployed-answer',
      what: `The deployed function ${this.#migrator.functionName} answers in a form that this version does not know: ${parsed.issues[0]?.message}.`,
      next: 'see that it is the migrator, and use the command line of the version that is deployed.',
    });
  }
}

interface Looks {
  readonly action: string;
  readonly before: Status;
  readonly after: Status;
}

/** What a function throws goes through logs, and may leave out values of rows: the ledger has the error whole. */
function wholeFailure(failure: MigrationError, { action, before, after }: Looks): MigrationError {
  const earlier = new Set(before.runs.map(({ id }) => id));
  const run = after.runs.find((each) => each.action === action && !earlier.has(each.id));
  return failureInWords(run?.error ?? '') ?? failure;
}

function failed(what: string): MigrationError {
  const next = 'see what it says, and run the same command again.';
  return new MigrationError({ code: 'deployed-failed', what, next });
}
