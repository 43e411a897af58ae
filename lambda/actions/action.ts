import * as v from 'valibot';
import { MigrationError } from '../migration/migration-error.ts';
import { versionColumn } from '../postgres/ledger/ledger.ts';

/** JSON written by hand has versions as numbers, too. */
const version = v.pipe(
  v.union(
    [v.string(), v.pipe(v.number(), v.safeInteger(), v.transform(String))],
    'expected a version, such as "0007"',
  ),
  versionColumn,
);
const CONFIRM = 'this action changes what is recorded or applied: add "confirm": true';
const confirm = v.literal(true);
/** Who asks, for the ledger: Lambda does not say. */
const by = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(200)));

/**
 * What an operator can ask for, from the console's test event and from the command line alike. A step is counted from
 * 1, as every message counts it.
 */
const actionSchema = v.variant(
  'action',
  [
    v.strictObject({ action: v.literal('run'), by }),
    v.strictObject({ action: v.literal('status') }),
    v.strictObject({ action: v.literal('plan') }),
    v.strictObject({ action: v.literal('retry'), index: v.optional(v.string()), by }),
    v.strictObject({ action: v.literal('cancel'), index: v.string(), by }),
    v.strictObject({ action: v.literal('baseline'), version, confirm, by }),
    v.strictObject({
      action: v.literal('repair'),
      version,
      accept: v.optional(v.literal('checksum')),
      step: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
      as: v.optional(v.picklist(['applied', 'not-applied'])),
      forget: v.optional(v.literal(true)),
      confirm,
      by,
    }),
    v.strictObject({ action: v.literal('undo'), to: version, confirm, by }),
  ],
  'expected one of run, status, plan, retry, cancel, baseline, repair, undo',
);

export type Action = v.InferOutput<typeof actionSchema>;

/** One line each, with an example that can be pasted. All that change something take `"by": "who asks"`. */
export const actionExamples = [
  '{}                                                    apply what is pending; the same as {"action": "run"}',
  '{"action": "status"}                                  the ledger, the builds and their progress',
  '{"action": "plan"}                                    what a run would do; writes nothing',
  '{"action": "retry"}                                   build again all that failed or was cancelled; "index": "name" for one',
  '{"action": "cancel", "index": "name"}                 stop a running build cleanly',
  '{"action": "baseline", "version": "20260101", "confirm": true}    take all up to this version as applied already',
  '{"action": "repair", "version": "7", "accept": "checksum", "confirm": true}    accept the changed file',
  '{"action": "repair", "version": "7", "step": 2, "as": "applied", "confirm": true}    or "not-applied": settle an interrupted step',
  '{"action": "repair", "version": "7", "forget": true, "confirm": true}    forget that it was applied',
  '{"action": "undo", "to": "6", "confirm": true}        run the undo files of all later versions, newest first',
] as const;

/** Reads an action; `{}` means run. What it is not is said with what was expected, and examples. */
export function parseAction(event: unknown): Action {
  const isEmpty = v.is(v.strictObject({}), event) && !Array.isArray(event);
  const parsed = v.safeParse(actionSchema, isEmpty ? { action: 'run' } : event);
  if (!parsed.success) throw invalid(parsed.issues.map(describe).join('; '));
  const action = parsed.output;
  if (action.action === 'repair' && formsOf(action) !== 1) {
    throw invalid('repair does one thing: "accept": "checksum"; or "step" with "as"; or "forget": true');
  }
  return action;
}

function formsOf({ accept, step, as, forget }: Extract<Action, { action: 'repair' }>): number {
  const settles = step !== undefined && as !== undefined;
  // Half of a pair is no form, and none that another one could stand beside.
  if (!settles && (step !== undefined || as !== undefined)) return 0;
  return [accept, forget, settles || undefined].filter((form) => form !== undefined).length;
}

function invalid(problem: string): MigrationError {
  return new MigrationError({
    code: 'action-invalid',
    what: `This event is no action: ${problem}.`,
    applied: 'nothing.',
    next: `send one of these:\n${actionExamples.join('\n')}`,
  });
}

function describe(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  if (path === null) return `expected a JSON object such as {"action": "status"}, received ${issue.received}`;
  if (path === 'confirm') return CONFIRM;
  if (issue.expected === 'never') return `"${path}" is not known here`;
  if (issue.received === 'undefined' && issue.type === 'strict_object') return `"${path}" is missing`;
  return `${path}: ${issue.message}`;
}
