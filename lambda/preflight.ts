import { comingMigrations } from './aws/coming-migrations.ts';
import { functionContext } from './aws/function-context.ts';
import {
  type HookAnswer,
  type HookEvent,
  MOST_MESSAGE_CHARACTERS,
  parseHookEvent,
} from './aws/hook-event.ts';
import { publicText } from './aws/public-error.ts';
import { traced } from './aws/tracing.ts';
import { preflight } from './foresight/preflight.ts';

interface LambdaContext {
  getRemainingTimeInMillis(): number;
}

/** Reserved for the answer. */
const MARGIN_MILLISECONDS = 2_000;

/**
 * Answers CloudFormation's hook before a stack operation touches anything:
 * 1. deleting a stack is always allowed;
 * 2. the migrations that the deploy brings are read from the asset that its template names; if that fails,
 *    those of the previous deploy are checked, and the answer says so;
 * 3. everything that would make them fail goes into one message. What can't be checked refuses nothing: this very
 *    deploy may repair the network or the secret. Nothing is thrown: a hook whose function fails tells the person who
 *    deploys nothing.
 */
export async function handler(event: unknown, context: LambdaContext): Promise<HookAnswer> {
  const request = parseHookEvent(event);
  const { clientRequestToken } = request;
  if (request.actionInvocationPoint === 'DELETE_PRE_PROVISION')
    return {
      hookStatus: 'SUCCESS',
      message: 'Nothing is checked when a stack is deleted.',
      clientRequestToken,
    };
  const milliseconds = context.getRemainingTimeInMillis() - MARGIN_MILLISECONDS;
  try {
    const checked = traced('preflight', () => check(request, context));
    return await inTime(checked, milliseconds);
  } catch (error) {
    const reason = publicText(error);
    return {
      hookStatus: 'SUCCESS',
      message: `The migrations could not be checked: ${reason}`.slice(0, MOST_MESSAGE_CHARACTERS),
      clientRequestToken,
    };
  }
}

async function check(event: HookEvent, context: LambdaContext): Promise<HookAnswer> {
  const { target, options, migrations: deployed } = await functionContext(context.getRemainingTimeInMillis());
  const { migrations, note } = await comingOr(event, deployed);
  const { findings, warnings, unseen } = await preflight({ target, options, migrations });
  const { clientRequestToken } = event;
  const notChecked = unseen.map((reason) => `Not everything could be checked: ${reason}`);
  const besides = [...warnings.map((warning) => `Besides: ${warning}.`), ...notChecked];
  if (findings.length === 0)
    return {
      hookStatus: 'SUCCESS',
      message: [...(unseen.length === 0 ? [`Nothing blocks the migrations.${note}`] : []), ...besides]
        .join('\n\n')
        .slice(0, MOST_MESSAGE_CHARACTERS),
      clientRequestToken,
    };
  const things = findings.length === 1 ? 'One thing' : `${findings.length} things`;
  return {
    hookStatus: 'FAILED',
    errorCode: 'NonCompliant',
    message: [`${things} would make the migrations of this deploy fail.${note}`, ...findings, ...besides]
      .join('\n\n')
      .slice(0, MOST_MESSAGE_CHARACTERS),
    clientRequestToken,
  };
}

type Compiled = Awaited<ReturnType<typeof functionContext>>['migrations'];

async function comingOr(
  event: HookEvent,
  deployed: Compiled,
): Promise<{ migrations: Compiled; note: string }> {
  try {
    // A template without our function deploys no migrations.
    return { migrations: (await comingMigrations(event)) ?? { ...deployed, migrations: [] }, note: '' };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return {
      migrations: deployed,
      note: ` (Only the migrations of the deploy before could be checked, not the new ones: ${reason}.)`,
    };
  }
}

async function inTime<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the hook ran out of time')), Math.max(0, milliseconds));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
