import * as v from 'valibot';
import { MigrationError } from '../migration/migration-error.ts';

/**
 * What a Lambda Hook on stack operations receives, according to the Hooks user guide ("Lambda Hook stack input
 * syntax"). The templates are not in it: `payload` is a presigned URL under which a JSON document with `template` and
 * `previousTemplate` lies, each as text; for a delete both are empty. The token has to be given back.
 */
const hookEvent = v.pipe(
  v.unknown(),
  v.transform(withToken),
  v.object({
    clientRequestToken: v.string(),
    awsAccountId: v.optional(v.string()),
    /** CREATE_, UPDATE_ or DELETE_PRE_PROVISION; an invocation point added later must not stop every deploy. */
    actionInvocationPoint: v.string(),
    requestData: v.optional(v.object({ payload: v.nullish(v.string()) }), {}),
  }),
);

/** The guide's syntax writes `clientRequesttoken` where its example and its code write `clientRequestToken`. */
function withToken(event: unknown): unknown {
  if (typeof event !== 'object' || event === null || !('clientRequesttoken' in event)) return event;
  return { clientRequestToken: event.clientRequesttoken, ...event };
}

export type HookEvent = v.InferOutput<typeof hookEvent>;

export function parseHookEvent(event: unknown): HookEvent {
  const parsed = v.safeParse(hookEvent, event);
  if (parsed.success) return parsed.output;
  throw new MigrationError({
    code: 'hook-event-invalid',
    what: `This is not an event of a CloudFormation Lambda Hook: ${v.summarize(parsed.issues).replaceAll('\n', '; ')}.`,
    applied: 'nothing.',
    next: 'let the hook call this function; operators send the action plan to the migrator function instead.',
  });
}

/** A hook's answer. `NonCompliant` stops the deploy or warns, depending on the hook's failure mode. */
export interface HookAnswer {
  readonly hookStatus: 'SUCCESS' | 'FAILED';
  readonly errorCode?: 'NonCompliant';
  readonly message: string;
  readonly clientRequestToken: string;
}

/** CloudFormation cuts a hook's message at this many characters. */
export const MOST_MESSAGE_CHARACTERS = 4_096;
