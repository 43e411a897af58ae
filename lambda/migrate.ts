import { type ChangingAction, isChanging, parseAction, recordOf } from './actions/action.ts';
import { performAction } from './actions/perform-action.ts';
import { isBusy } from './aws/client-limits.ts';
import {
  type CloudFormationEvent,
  describeEvent,
  isCloudFormationEvent,
  parseCloudFormationEvent,
  physicalResourceId,
} from './aws/cloudformation-event.ts';
import { cloudFormationFailure } from './aws/cloudformation-failure.ts';
import { type FunctionContext, functionContext, required } from './aws/function-context.ts';
import { loopRuns, startLoop } from './aws/hand-off.ts';
import { handedOffNow, handOffAgain, handOffAtTheEnd } from './aws/hand-off-again.ts';
import { type LoggedStep, loggedStep } from './aws/logged-event.ts';
import { heldBack, publicError, publicText } from './aws/public-error.ts';
import { flushTelemetry, logDeployProgress, report, reportRunEnd } from './aws/telemetry.ts';
import { traced } from './aws/tracing.ts';
import { environment } from './environment.ts';
import { planRun } from './foresight/plan-run.ts';
import { isOpen } from './migration/build.ts';
import { MigrationError } from './migration/migration-error.ts';
import { keepForEarlierCode } from './run/earlier-code.ts';
import { mayPass } from './run/may-pass.ts';
import type { RunCause, RunResult } from './run/run.ts';
import { runMigrations } from './run/run-migrations.ts';
import { deployProgress, outOfSight, stillRunning } from './status/deploy-progress.ts';
import { readStatus } from './status/status.ts';

interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

interface ProviderAnswer {
  readonly PhysicalResourceId: string;
  readonly Data: Readonly<Record<string, string>>;
}

/**
 * The migrator. CloudFormation's events and an operator's actions enter here:
 * 1. Delete answers at once and touches no data: the database and the secret may be gone;
 * 2. Create and Update run the migrations and hand off the pending index builds; an Update back to earlier code
 *    changes nothing;
 * 3. an action from the console is performed; `{}` runs.
 * Failures are thrown: the Provider framework takes any returned status for success.
 */
export async function handler(event: unknown, context: LambdaContext): Promise<ProviderAnswer | object> {
  try {
    return await traced('migrator', async () =>
      isCloudFormationEvent(event) ? deploy(event, context) : act(event, context),
    );
  } catch (error) {
    throw publicError(error);
  } finally {
    await flushTelemetry(context);
  }
}

/** Outcome of an Update back to code that the database is ahead of. */
const KEPT = 'kept';

async function deploy(event: unknown, context: LambdaContext): Promise<ProviderAnswer> {
  const request = parseCloudFormationEvent(event);
  const PhysicalResourceId = physicalResourceId(request);
  if (request.RequestType === 'Delete') return { PhysicalResourceId, Data: {} };
  const cause: RunCause = { kind: 'cloudformation', actor: describeEvent(request) };
  const StartedAt = new Date().toISOString();
  try {
    if (request.RequestType === 'Update') {
      const deployed = await functionContext(context.getRemainingTimeInMillis());
      const kept = await keepForEarlierCode({ ...deployed, cause, report });
      if (kept !== undefined) {
        // This must not hold up a rollback: the next deploy tries again.
        await handOffLeftAlone(deployed, request.RequestId).catch(() => undefined);
        reportRunEnd(cause, { kind: 'kept', runId: kept });
        return { PhysicalResourceId, Data: { RunId: kept, Outcome: KEPT, StartedAt } };
      }
    }
    const { runId, outcome } = await runAndHandOff(context, cause, {
      name: request.RequestId,
      looksAgain: true,
    });
    return { PhysicalResourceId, Data: { RunId: runId, Outcome: outcome, StartedAt } };
  } catch (error) {
    throw cloudFormationFailure(error);
  }
}

/**
 * The framework calls this until the deploy may continue; `waitFor` decides what that means. A thrown error rolls the
 * stack back, so an error that may pass (a failover, full connection slots, a throttled call) answers "not yet".
 */
export async function isComplete(event: unknown, context: LambdaContext): Promise<{ IsComplete: boolean }> {
  const request = parseCloudFormationEvent(event);
  if (request.RequestType === 'Delete' || request.Data.Outcome === KEPT) return { IsComplete: true };
  try {
    return { IsComplete: await traced('is-complete', () => mayGoOn(request, context)) };
  } catch (error) {
    if (!mayPass(error)) throw cloudFormationFailure(error);
    if (waitedTooLong(request)) throw cloudFormationFailure(outOfSight(error));
    logDeployProgress({
      kind: 'out-of-sight',
      because: publicText(error),
    });
    return { IsComplete: false };
  } finally {
    await flushTelemetry(context);
  }
}

async function mayGoOn(request: CloudFormationEvent, context: LambdaContext): Promise<boolean> {
  const deployed = await functionContext(context.getRemainingTimeInMillis());
  const progress = await deployProgress(deployed.target, deployed);
  logDeployProgress(progress);
  if (progress.kind === 'complete') {
    if (progress.open) await handOffAtTheEnd(required(environment.stateMachineArn), request.RequestId);
    return true;
  }
  if (waitedTooLong(request)) throw stillRunning(progress);
  if (progress.kind === 'in-progress') {
    await handOffAgain(required(environment.stateMachineArn), {
      requestId: request.RequestId,
      startedAt: Date.parse(request.Data.StartedAt ?? '') || Date.now(),
    });
  }
  if (progress.kind === 'idle') {
    const cause: RunCause = { kind: 'cloudformation', actor: `${describeEvent(request)}, continued` };
    const until =
      patienceEnds(request) + Math.min(LAST_RUN_MILLISECONDS, longestWaitMilliseconds() * LAST_RUN_SHARE);
    const { builds } = await runAndHandOff(context, cause, { until });
    if (builds.some(isOpen)) handedOffNow(request.RequestId);
  }
  return false;
}

const DEFAULT_LONGEST_WAIT_SECONDS = 50 * 60;

/**
 * Time for a run that starts at the last moment and still has to end within CloudFormation's hour, or within the
 * shorter limit that the construct was given.
 */
const LAST_RUN_MILLISECONDS = 120_000;
const LAST_RUN_SHARE = 2 / 3;

function waitedTooLong(request: CloudFormationEvent): boolean {
  return Date.now() > patienceEnds(request);
}

/** In milliseconds since 1970. */
function patienceEnds({ Data }: CloudFormationEvent): number {
  return Data.StartedAt === undefined ? Infinity : Date.parse(Data.StartedAt) + longestWaitMilliseconds();
}

function longestWaitMilliseconds(): number {
  return Number(process.env[environment.longestWait] ?? DEFAULT_LONGEST_WAIT_SECONDS) * 1000;
}

/** A run's result, as the console shows it. */
interface RunAnswer {
  readonly runId: string;
  readonly outcome: RunResult['outcome'];
  readonly applied: readonly string[];
  /** The same, for a program. */
  readonly steps: readonly LoggedStep[];
  readonly builds: readonly string[];
  readonly waiting: RunResult['waiting'];
}

function causeOf({ by }: { readonly by?: string | undefined }): RunCause {
  return { kind: 'console', actor: by ?? 'console' };
}

async function act(event: unknown, context: LambdaContext): Promise<object> {
  const action = parseAction(event);
  if (isChanging(action)) return change(action, context);
  switch (action.action) {
    case 'run': {
      const { runId, outcome, applied, builds, waiting } = await runAndHandOff(context, causeOf(action));
      const answer: RunAnswer = {
        runId,
        outcome,
        applied: applied.map(({ migration, step, how }) => `${migration.name} step ${step + 1}: ${how}`),
        steps: applied.map(loggedStep),
        builds: builds.map(({ index, table, state }) => `${index} on ${table}: ${state}`),
        waiting,
      };
      return answer;
    }
    case 'status':
    case 'plan': {
      const { target, options, migrations } = await functionContext(context.getRemainingTimeInMillis());
      const ask = action.action === 'status' ? readStatus : planRun;
      return ask(target, { options, migrations }).catch((failure: unknown) => {
        const error = heldBack(failure);
        if (error === undefined) throw failure;
        // Thrown, it would be logged without them, and the ledger has nothing of it.
        return { error };
      });
    }
    default:
      return action satisfies never;
  }
}

/** Performs an action that changes something, and starts the loop if it left builds. */
async function change(action: ChangingAction, context: LambdaContext): Promise<object> {
  const deployed = await functionContext(context.getRemainingTimeInMillis());
  const answer = await performAction(action, { ...deployed, cause: causeOf(action), report });
  if (recordOf(action.action).handsOff === true) await handOffOpenBuilds(deployed, crypto.randomUUID());
  return answer;
}

interface HandingOff {
  /** Names the hand-off, so that an event delivered twice starts one loop. */
  readonly name?: string;
  /** Whether `isComplete` follows, which starts a loop where none runs. A service that is busy then fails nothing. */
  readonly looksAgain?: boolean;
  /** When the run must have ended, in milliseconds since 1970, though the function may continue. */
  readonly until?: number;
}

/** Hands builds off even if a later step failed: they depend on nothing that failed. */
async function runAndHandOff(
  context: LambdaContext,
  cause: RunCause,
  { name: given, looksAgain = false, until = Infinity }: HandingOff = {},
): Promise<RunResult> {
  const deployed = await functionContext(context.getRemainingTimeInMillis());
  const name = given || crypto.randomUUID();
  const deadline = Math.min(deployed.deadline, until);
  try {
    const result = await runMigrations({
      ...deployed,
      deadline,
      shortened: deadline < deployed.deadline,
      cause,
      report,
    });
    if (result.builds.some(isOpen)) {
      await startLoop(required(environment.stateMachineArn), `hand-off-${name}`).catch((error: unknown) => {
        if (!(looksAgain && error instanceof MigrationError && isBusy(error.cause))) throw error;
        logDeployProgress({ kind: 'out-of-sight', because: publicText(error) });
      });
    }
    reportRunEnd(cause, { kind: 'ended', result });
    return result;
  } catch (error) {
    reportRunEnd(cause, { kind: 'failed', error });
    // The run's own error matters more than an error here.
    await handOffOpenBuilds(deployed, name).catch(() => undefined);
    throw error;
  }
}

async function handOffOpenBuilds(
  { target, options, migrations }: FunctionContext,
  name: string,
): Promise<void> {
  const { builds } = await readStatus(target, { options, migrations });
  if (builds.some(isOpen)) await startLoop(required(environment.stateMachineArn), `hand-off-${name}`);
}

/** Starts a loop for open builds if none runs. */
async function handOffLeftAlone(deployed: FunctionContext, name: string): Promise<void> {
  if (!(await loopRuns(required(environment.stateMachineArn)))) await handOffOpenBuilds(deployed, name);
}
