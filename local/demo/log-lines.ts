import * as v from 'valibot';
import type { LoggedEvent } from '../../lambda/aws/logged-event.ts';
import { operations } from '../../lambda/migration/build.ts';
import { loggedSteps } from '../cli/logged-steps.ts';

const fault = v.object({
  sqlstate: v.string(),
  message: v.string(),
  detail: v.optional(v.string()),
  hint: v.optional(v.string()),
});
const blocker = v.object({
  pid: v.number(),
  user: v.string(),
  application: v.string(),
  state: v.string(),
  seconds: v.number(),
  lock: v.string(),
  relation: v.string(),
});
const build = {
  operation: v.picklist(operations),
  table: v.string(),
  /** The logger leaves out what is empty. */
  index: v.optional(v.string(), ''),
};
const texts = v.array(v.string());

/** A line of the functions' log, as Powertools writes it: the event's kind is its message. */
const line = v.variant('message', [
  v.object({
    message: v.literal('planned'),
    steps: v.number(),
    files: texts,
    builds: v.number(),
    late: texts,
    reformatted: texts,
    unknown: texts,
  }),
  v.object({
    message: v.literal('applied'),
    steps: loggedSteps,
    milliseconds: v.number(),
  }),
  v.object({
    message: v.literal('linted'),
    findings: v.array(v.object({ rule: v.string(), verdict: v.string(), at: v.string(), what: v.string() })),
  }),
  v.object({
    message: v.literal('started'),
    ...build,
    attempt: v.number(),
    session: v.picklist(['loopback', 'orphan', 'attached']),
    because: v.exactOptional(v.string()),
  }),
  v.object({
    message: v.literal('progress'),
    ...build,
    phase: v.string(),
    fraction: v.optional(v.number()),
    secondsElapsed: v.number(),
    secondsLeft: v.optional(v.number()),
    blocker: v.optional(blocker),
  }),
  v.object({
    message: v.literal('ended'),
    ...build,
    outcome: v.picklist(['done', 'adopted', 'failed']),
    seconds: v.optional(v.number()),
    fault: v.optional(fault),
  }),
  v.object({
    message: v.literal('adopted'),
    tool: v.string(),
    table: v.string(),
    files: texts,
    edited: texts,
    missing: texts,
  }),
  v.object({ message: v.literal('waiting-for-run') }),
  v.object({ message: v.literal('ledger-exposed'), because: v.string() }),
  v.object({
    message: v.literal('locked'),
    file: v.string(),
    attempt: v.number(),
    next: v.picklist(['try', 'hold-back']),
    inMilliseconds: v.number(),
    blockers: v.array(blocker),
  }),
  v.object({ message: v.literal('reconnecting'), because: v.string() }),
  v.object({
    message: v.literal('notice'),
    file: v.string(),
    line: v.number(),
    severity: v.string(),
    sqlstate: v.string(),
    text: v.string(),
    detail: v.exactOptional(v.string()),
    hint: v.exactOptional(v.string()),
  }),
  v.object({ message: v.literal('waiting-for-builds'), file: v.string(), because: v.string() }),
  v.object({ message: v.literal('undoing'), file: v.string(), step: v.number(), steps: v.number() }),
]);

/** Kinds that are shown and have no form above. A turn is no news by itself. */
type Unread = Exclude<LoggedEvent['kind'], v.InferOutput<typeof line>['message'] | 'turn'>;
({}) satisfies Record<Unread, never>;

/** Undefined for what is no event that is shown: another line, or a metric. */
export function parseLogLine(text: string): LoggedEvent | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    const parsed = v.safeParse(line, JSON.parse(text));
    if (!parsed.success) return undefined;
    const { message: kind, ...fields } = parsed.output;
    return { kind, ...fields } as LoggedEvent;
  } catch {
    return undefined;
  }
}
