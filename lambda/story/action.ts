import * as v from 'valibot';
import { MigrationError } from '../migration/migration-error.ts';
import { versionColumn } from '../postgres/ledger.ts';

const version = versionColumn;
const confirmed = v.literal(true, 'this action changes what is recorded or applied: add "confirm": true');

/**
 * What an operator can ask for, from the console's test event and from the command line alike. A step is counted from
 * 1, as every message counts it.
 */
const actionSchema = v.variant('action', [
  v.strictObject({ action: v.literal('run') }),
  v.strictObject({ action: v.literal('status') }),
  v.strictObject({ action: v.literal('plan') }),
  v.strictObject({ action: v.literal('retry'), index: v.optional(v.string()) }),
  v.strictObject({ action: v.literal('cancel'), index: v.string() }),
  v.strictObject({ action: v.literal('baseline'), version, confirm: confirmed }),
  v.strictObject({
    action: v.literal('repair'),
    version,
    accept: v.optional(v.literal('checksum')),
    step: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
    as: v.optional(v.picklist(['applied', 'not-applied'])),
    forget: v.optional(v.literal(true)),
    confirm: confirmed,
  }),
  v.strictObject({ action: v.literal('undo'), to: v.union([v.literal('0'), version]), confirm: confirmed }),
]);

export type Action = v.InferOutput<typeof actionSchema>;

/** One line each, with an example that can be pasted. */
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
  const isEmpty = typeof event === 'object' && event !== null && Object.keys(event).length === 0;
  const parsed = v.safeParse(actionSchema, isEmpty ? { action: 'run' } : event);
  if (parsed.success) return parsed.output;
  throw new MigrationError({
    code: 'action-invalid',
    what: `This event is no action: ${parsed.issues.map(describe).join('; ')}.`,
    applied: 'nothing.',
    next: `send one of these:\n${actionExamples.join('\n')}`,
  });
}

function describe(issue: v.BaseIssue<unknown>): string {
  const path = v.getDotPath(issue);
  return path === null ? issue.message : `${path}: ${issue.message}`;
}
