import * as v from 'valibot';
import { MigrationError } from '../migration/migration-error.ts';

/**
 * What a Lambda Hook on stack operations is asked. The templates are not in it: `payload` is a presigned URL under
 * which a JSON document with `template` and `previousTemplate` lies, each as text.
 */
const hookEvent = v.object({
  clientRequestToken: v.string(),
  awsAccountId: v.optional(v.string()),
  actionInvocationPoint: v.string(),
  requestData: v.optional(v.object({ payload: v.nullish(v.string()) }), {}),
});

export type HookEvent = v.InferOutput<typeof hookEvent>;

export function parseHookEvent(event: unknown): HookEvent {
  const parsed = v.safeParse(hookEvent, event);
  if (parsed.success) return parsed.output;
  throw new MigrationError({
    code: 'hook-event-invalid',
    what: `This is no event of a CloudFormation Lambda Hook: ${v.summarize(parsed.issues).replaceAll('\n', '; ')}.`,
    applied: 'nothing.',
    next: 'let the hook call this function; operators send the action plan to the migrator function instead.',
  });
}

/** What a hook answers. `NonCompliant` stops the deploy or warns, as the hook's failure mode says. */
export interface HookAnswer {
  readonly hookStatus: 'SUCCESS' | 'FAILED';
  readonly errorCode?: 'NonCompliant' | 'InternalFailure';
  readonly message: string;
  readonly clientRequestToken: string;
}

/** CloudFormation cuts a hook's message after so many characters. */
export const MOST_MESSAGE_CHARACTERS = 4_096;
