import * as v from 'valibot';
import { MigrationError } from '../migration/migration-error.ts';
import { cancel } from './cancel-build.ts';
import { type ActionExample, by } from './define-action.ts';
import { pause, resume } from './pause-work.ts';
import { baseline, repair } from './repair.ts';
import { retry } from './retry-builds.ts';
import { undo } from './undo.ts';

/** The actions that change the ledger or the schema themselves, other than a run. */
const changing = [retry, cancel, pause, resume, baseline, repair, undo] as const;

const run = {
  name: 'run',
  schema: v.strictObject({ action: v.literal('run'), by }),
  examples: [['{}', 'apply what is pending; the same as {"action": "run"}']],
} as const;
const status = {
  name: 'status',
  schema: v.strictObject({ action: v.literal('status') }),
  examples: [['{"action": "status"}', 'the ledger, the builds and their progress']],
} as const;
const plan = {
  name: 'plan',
  schema: v.strictObject({ action: v.literal('plan') }),
  examples: [['{"action": "plan"}', 'what a run would do; writes nothing']],
} as const;

const actions = [run, status, plan, ...changing] as const;

/**
 * What an operator can ask for, from the console's test event and from the command line alike. Steps count from 1,
 * as in every message.
 */
const actionSchema = v.variant(
  'action',
  actions.map(({ schema }) => schema),
  `expected one of ${actions.map(({ name }) => name).join(', ')}`,
);

export type Action = v.InferOutput<(typeof actions)[number]['schema']>;
export type ChangingAction = v.InferOutput<(typeof changing)[number]['schema']>;

const changingNames: ReadonlySet<string> = new Set(changing.map(({ name }) => name));

/** Whether an action changes the ledger or the schema itself. */
export function isChanging(action: Action): action is ChangingAction {
  return changingNames.has(action.action);
}

/** The record of an action that changes something. */
export function recordOf(name: ChangingAction['action']): (typeof changing)[number] {
  const record = changing.find((each) => each.name === name);
  if (record === undefined) throw new TypeError(`${name} changes nothing by itself`);
  return record;
}

/** The keys under which answers say what was done; a run has `applied`. */
export const doneKeys = ['applied', ...new Set(changing.map(({ done }) => done))];

const WIDTH = 54;

/** A line for each action, with an example to paste. All that change something take `"by": "who asks"`. */
export const actionExamples = actions
  .flatMap(({ examples }): readonly ActionExample[] => examples)
  .map(([event, does]) => `${event.length < WIDTH - 3 ? event.padEnd(WIDTH) : `${event}    `}${does}`);

/** Reads an action; `{}` means run. The error for anything else says what was expected, with examples. */
export function parseAction(event: unknown): Action {
  const isEmpty = v.is(v.strictObject({}), event) && !Array.isArray(event);
  const parsed = v.safeParse(actionSchema, isEmpty ? { action: 'run' } : event);
  if (!parsed.success) throw invalid(parsed.issues.map(describe).join('; '));
  const action = parsed.output;
  const problem = isChanging(action) ? recordOf(action.action).problem?.(action as never) : undefined;
  if (problem !== undefined) throw invalid(problem);
  return action;
}

const CONFIRM = 'this action changes what is recorded or applied: add "confirm": true';

function invalid(problem: string): MigrationError {
  return new MigrationError({
    code: 'action-invalid',
    what: `This event is not an action: ${problem}.`,
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
