import {
  describeEvent,
  isCloudFormationEvent,
  parseCloudFormationEvent,
  physicalResourceId,
} from './aws/cloudformation-event.ts';
import { parseAction } from './aws/console-action.ts';
import { functionContext, required } from './aws/function-context.ts';
import { startLoop } from './aws/hand-off.ts';
import { logEvent } from './aws/log.ts';
import { environment } from './environment.ts';
import { deployProgress } from './story/deploy-progress.ts';
import type { RunCause, RunResult } from './story/run.ts';
import { runMigrations } from './story/run-migrations.ts';
import { readStatus, type Status } from './story/status.ts';

interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

interface ProviderAnswer {
  readonly PhysicalResourceId: string;
  readonly Data: Readonly<Record<string, string>>;
}

/**
 * The migrator. CloudFormation's events and an operator's actions come in here:
 * 1. Delete answers at once: the database, and the secret, may be gone, and no data is touched;
 * 2. Create and Update run the migrations and hand off the pending index builds;
 * 3. an action from the console does what it says; `{}` runs.
 * What fails is thrown: the Provider framework takes a returned status for success.
 */
export async function handler(
  event: unknown,
  context: LambdaContext,
): Promise<ProviderAnswer | RunAnswer | Status> {
  if (!isCloudFormationEvent(event)) return act(event, context);
  const request = parseCloudFormationEvent(event);
  const PhysicalResourceId = physicalResourceId(request);
  if (request.RequestType === 'Delete') return { PhysicalResourceId, Data: {} };
  const cause: RunCause = { kind: 'cloudformation', actor: describeEvent(request) };
  const { runId, outcome } = await runAndHandOff(context, cause, request.RequestId);
  return { PhysicalResourceId, Data: { RunId: runId, Outcome: outcome } };
}

/** The Provider asks until the deploy may go on; `waitFor` decides what that means. */
export async function isComplete(event: unknown, context: LambdaContext): Promise<{ IsComplete: boolean }> {
  const request = parseCloudFormationEvent(event);
  if (request.RequestType === 'Delete') return { IsComplete: true };
  const { target, options, migrations } = await functionContext(context.getRemainingTimeInMillis());
  if (options.waitFor === 'nothing') return { IsComplete: true };
  const progress = await deployProgress(target, { options, migrations });
  if (progress.kind === 'idle') {
    await runAndHandOff(context, { kind: 'cloudformation', actor: `${describeEvent(request)}, continued` });
    return { IsComplete: false };
  }
  return { IsComplete: progress.kind === 'complete' };
}

/** A run's result for a person who looks at the console. */
interface RunAnswer {
  readonly runId: string;
  readonly outcome: RunResult['outcome'];
  readonly applied: readonly string[];
  readonly builds: readonly string[];
  readonly waiting: RunResult['waiting'];
}

async function act(event: unknown, context: LambdaContext): Promise<RunAnswer | Status> {
  const action = parseAction(event);
  switch (action.action) {
    case 'run': {
      const { runId, outcome, applied, builds, waiting } = await runAndHandOff(context, {
        kind: 'console',
        actor: 'console',
      });
      return {
        runId,
        outcome,
        applied: applied.map(({ migration, step, how }) => `${migration.name} step ${step + 1}: ${how}`),
        builds: builds.map(({ index, table, state }) => `${index} on ${table}: ${state}`),
        waiting,
      };
    }
    case 'status': {
      const { target, options, migrations } = await functionContext(context.getRemainingTimeInMillis());
      return readStatus(target, { options, migrations });
    }
    default:
      return action satisfies never;
  }
}

/**
 * Builds are handed off also where a later step failed: they wait for nobody. `request` names the hand-off, so that
 * an event which is delivered twice starts one loop.
 */
async function runAndHandOff(context: LambdaContext, cause: RunCause, request?: string): Promise<RunResult> {
  const { migrations, target, options, deadline } = await functionContext(context.getRemainingTimeInMillis());
  const handOff = async (builds: readonly { readonly state: string }[]) => {
    const name = `hand-off-${request || crypto.randomUUID()}`;
    if (builds.some(isOpen)) await startLoop(required(environment.stateMachineArn), name);
  };
  try {
    const result = await runMigrations({ migrations, target, options, cause, deadline, report: logEvent });
    await handOff(result.builds);
    return result;
  } catch (error) {
    const { builds } = await readStatus(target, { options, migrations }).catch(() => ({ builds: [] }));
    await handOff(builds);
    throw error;
  }
}

function isOpen({ state }: { readonly state: string }): boolean {
  return state === 'pending' || state === 'building';
}
