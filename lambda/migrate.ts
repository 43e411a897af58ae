import {
  describeEvent,
  isCloudFormationEvent,
  parseCloudFormationEvent,
  physicalResourceId,
} from './aws/cloudformation-event.ts';
import { type FunctionContext, functionContext, required } from './aws/function-context.ts';
import { startLoop } from './aws/hand-off.ts';
import { logEvent } from './aws/log.ts';
import { environment } from './environment.ts';
import { type Action, parseAction } from './story/action.ts';
import { deployProgress } from './story/deploy-progress.ts';
import { performAction } from './story/perform-action.ts';
import { planRun } from './story/plan-run.ts';
import type { RunCause, RunResult } from './story/run.ts';
import { runMigrations } from './story/run-migrations.ts';
import { readStatus } from './story/status.ts';

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
export async function handler(event: unknown, context: LambdaContext): Promise<ProviderAnswer | object> {
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

const CONSOLE: RunCause = { kind: 'console', actor: 'console' };

async function act(event: unknown, context: LambdaContext): Promise<object> {
  const action = parseAction(event);
  switch (action.action) {
    case 'run': {
      const { runId, outcome, applied, builds, waiting } = await runAndHandOff(context, CONSOLE);
      const answer: RunAnswer = {
        runId,
        outcome,
        applied: applied.map(({ migration, step, how }) => `${migration.name} step ${step + 1}: ${how}`),
        builds: builds.map(({ index, table, state }) => `${index} on ${table}: ${state}`),
        waiting,
      };
      return answer;
    }
    case 'status':
    case 'plan': {
      const { target, options, migrations } = await functionContext(context.getRemainingTimeInMillis());
      const ask = action.action === 'status' ? readStatus : planRun;
      return ask(target, { options, migrations });
    }
    case 'retry':
    case 'cancel':
    case 'baseline':
    case 'repair':
    case 'undo':
      return change(action, context);
    default:
      return action satisfies never;
  }
}

/** A retry needs the loop; nothing else that an operator changes does. */
async function change(
  action: Exclude<Action, { action: 'run' | 'status' | 'plan' }>,
  context: LambdaContext,
): Promise<object> {
  const asked = await functionContext(context.getRemainingTimeInMillis());
  const answer = await performAction(action, { ...asked, cause: CONSOLE, report: logEvent });
  if (action.action === 'retry') await handOffOpenBuilds(asked, crypto.randomUUID());
  return answer;
}

/**
 * Builds are handed off also where a later step failed: they wait for nobody. `request` names the hand-off, so that
 * an event which is delivered twice starts one loop.
 */
async function runAndHandOff(context: LambdaContext, cause: RunCause, request?: string): Promise<RunResult> {
  const asked = await functionContext(context.getRemainingTimeInMillis());
  const name = request || crypto.randomUUID();
  try {
    const result = await runMigrations({ ...asked, cause, report: logEvent });
    if (result.builds.some(isOpen))
      await startLoop(required(environment.stateMachineArn), `hand-off-${name}`);
    return result;
  } catch (error) {
    // The run's own error matters more than one of this second look.
    await handOffOpenBuilds(asked, name).catch(() => undefined);
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

function isOpen({ state }: { readonly state: string }): boolean {
  return state === 'pending' || state === 'building';
}
