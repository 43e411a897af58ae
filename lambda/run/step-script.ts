import type { Mirror } from '../history/mirror.ts';
import {
  type IndexOperationStep,
  type Migration,
  type Statement,
  type Step,
  statementsOf,
  type TransactionStep,
} from '../migration/migration.ts';
import type { PendingStep } from '../migration/plan.ts';
import { createsDblink, makeRoomForDblink } from '../postgres/build-session/dblink.ts';
import { plainStatement } from '../postgres/catalog/index-statement.ts';
import { forgetRows, insertStep } from '../postgres/ledger/ledger.ts';
import { cleanSession } from '../postgres/session/author-settings.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/session/quote.ts';
import {
  limitsAgain,
  type StepLimits,
  setLockTimeout,
  statementTimeout,
} from '../postgres/session/statement-limits.ts';

/**
 * One message of many statements, and for each the step it belongs to. Postgres tells how many completed, so an error
 * finds its file and line although fifty migrations were sent together.
 */
export interface StepScript {
  readonly text: string;
  readonly pieces: readonly Piece[];
}

export interface Piece {
  readonly text: string;
  readonly step: PendingStep;
  /** The author's statement; absent for the statements around it. */
  readonly statement: Statement | undefined;
  /** The row that claims the step; Postgres refuses it if another run was first. */
  readonly claim: boolean;
  /** Where the piece begins in the text, in characters. */
  readonly offset: number;
}

export interface ScriptContext {
  readonly ledgerSchema: string;
  readonly runId: string;
  /** SET statements that our sessions start with; sent again after a step that may have changed them. */
  readonly sessionSettings: readonly string[];
  /** Milliseconds that a statement may take, from the moment the message arrives; absent for no limit. */
  readonly budgetMilliseconds: number | undefined;
  readonly lockWait: LockWaits;
  /** Writes the other tool's history table. */
  readonly mirror?: Mirror | undefined;
}

/** In milliseconds, for each lock. */
export interface LockWaits {
  /** Timeout of the session before and after the message. */
  readonly session: number;
  /** Timeout of an attempt of the step, unless its file sets another. */
  readonly of: (step: PendingStep) => number;
}

/** A step that runs in one transaction, with replacement statements where it does not run its own. */
export interface ScriptStep {
  readonly pending: PendingStep;
  /** The rows that a hand-off writes instead of running the index operation. */
  readonly handOff: readonly string[] | undefined;
}

const SEPARATOR = '\n;\n';

export function stepScript(steps: readonly ScriptStep[], context: ScriptContext): StepScript {
  const pieces: Piece[] = [];
  let offset = 0;
  let before = context.lockWait.session;
  for (const [index, step] of steps.entries()) {
    const now = step.handOff === undefined ? context.lockWait.of(step.pending) : before;
    const last = index === steps.length - 1;
    for (const { text, statement, claim } of statementsAround(step, context, { before, now, last })) {
      pieces.push({ text, step: step.pending, statement, claim: claim === true, offset });
      // Postgres counts characters where JavaScript counts UTF-16 units.
      offset += characters(text) + SEPARATOR.length;
    }
    before = isCleaned(step) ? context.lockWait.session : now;
  }
  return { text: pieces.map((piece) => piece.text).join(SEPARATOR), pieces };
}

function characters(text: string): number {
  let surrogates = 0;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    if (unit >= 0xd800 && unit <= 0xdbff) surrogates += 1;
  }
  return text.length - surrogates;
}

interface Line {
  readonly text: string;
  readonly statement?: Statement | undefined;
  readonly claim?: boolean;
}

interface InMessage {
  /** The session's lock_timeout when the step begins, and the one that the step needs. */
  readonly before: number;
  readonly now: number;
  readonly last: boolean;
}

/** Whether the step may have changed settings, so that the session's own must be set again. */
function isCleaned({ pending: { step }, handOff }: ScriptStep): boolean {
  return handOff === undefined && (step.leavesSettings || step.settings.length > 0);
}

function* statementsAround(
  scriptStep: ScriptStep,
  context: ScriptContext,
  { before, now, last }: InMessage,
): Generator<Line, void> {
  const { pending, handOff } = scriptStep;
  const { step, migration } = pending;
  if (step.kind === 'autocommit' && handOff === undefined)
    throw new TypeError(`step ${step.number} of ${migration.file} can't be in a script`);
  yield { text: beginOf(step) };
  // Commits become durable in order, so only the last of a message needs to wait for the disk.
  if (!last) yield { text: 'set local synchronous_commit = off' };
  if (context.budgetMilliseconds !== undefined) yield { text: statementTimeout(context.budgetMilliseconds) };
  const key = { version: migration.version, step: step.number };
  if (pending.record === 'rewritten' || pending.record === 'interrupted')
    for (const text of forgetRows(context.ledgerSchema, key)) yield { text };
  if (pending.begunAs !== undefined) yield { text: forgetBeginning(context.ledgerSchema, pending) };
  if (pending.record === 'repeated') {
    for (const text of forgetRows(context.ledgerSchema, { version: migration.version })) yield { text };
  }
  const state = handOff === undefined ? 'applied' : 'pending';
  yield {
    text: insertStep(context.ledgerSchema, stepRow(pending), { state, runId: context.runId }),
    claim: true,
  };
  // Before the author's statements, for the same reasons as the ledger's own row.
  for (const text of context.mirror?.rowsFor(migration, step) ?? []) yield { text };
  if (handOff !== undefined) {
    for (const text of handOff) yield { text };
  } else if (step.kind !== 'autocommit') {
    // Also applies to the following steps if this one commits; nearly all need the same, which saves a SET.
    if (now !== before) yield { text: setLockTimeout(now) };
    if (statementsOf(step).some(createsDblink)) yield { text: makeRoomForDblink(context.ledgerSchema) };
    if (step.kind === 'transaction' && step.transaction.readOnly) yield { text: 'set transaction read only' };
    const { budgetMilliseconds, lockWait } = context;
    const limits: StepLimits = {
      wait: now,
      longestWait: lockWait.session,
      budget: budgetMilliseconds,
      until: 'transaction',
    };
    yield* authored(step, limits, migration);
  }
  const cleaned = isCleaned(scriptStep);
  if (last && !cleaned && now !== context.lockWait.session) {
    yield { text: setLockTimeout(context.lockWait.session) };
  }
  yield { text: 'commit' };
  if (cleaned) {
    // In its own transaction: otherwise the next step's BEGIN would join the one that these start.
    for (const text of ['begin', ...cleanSession(context.sessionSettings), 'commit']) yield { text };
  }
}

/** The isolation of the author's own BEGIN; READ ONLY comes later, since the ledger must be written first. */
export function beginOf(step: Step): string {
  if (step.kind !== 'transaction') return 'begin';
  const { isolation, deferrable } = step.transaction;
  const modes = [
    ...(isolation === undefined ? [] : [`isolation level ${isolation}`]),
    ...(deferrable === undefined ? [] : [deferrable ? 'deferrable' : 'not deferrable']),
  ];
  return modes.length === 0 ? 'begin' : `begin ${modes.join(', ')}`;
}

/** In a step of thousands of statements, statement_timeout is updated once per this many. */
const MOST_RENEWALS = 200;

/**
 * The step's own statements, under the settings of its file. statement_timeout applies to each statement anew, so it is
 * lowered to the time left. Where the file may have changed limits, all limits are set again.
 */
export function* authored(
  step: TransactionStep | IndexOperationStep,
  limits: StepLimits,
  migration: Migration,
): Generator<Line, void> {
  for (const text of step.settings) yield { text, statement: statementOfSetting(migration, step, text) };
  const statements = step.kind === 'transaction' ? step.statements : [step.statement];
  const every = Math.ceil(statements.length / MOST_RENEWALS);
  let changed = step.settings.length > 0;
  for (const [index, statement] of statements.entries()) {
    const again = changed && statement.kind !== 'VariableSetStmt';
    if (again) yield { text: limitsAgain(limits) };
    const renews = again || (index % every === 0 && index > 0);
    if (renews && limits.budget !== undefined) yield { text: statementTimeout(limits.budget) };
    changed = (changed && !again) || statement.changesSettings === true;
    const text = step.kind === 'transaction' ? statement.text : plainStatement(step.operation);
    yield { text, statement };
  }
}

/** The statement that a later step's setting comes from, to point at it in errors. */
export function statementOfSetting(
  { steps, undo }: Migration,
  step: Step,
  text: string,
): Statement | undefined {
  const all = steps.includes(step) ? steps : (undo?.steps ?? []);
  return all
    .slice(0, all.indexOf(step))
    .flatMap(statementsOf)
    .findLast((statement) => statement.text === text);
}

/** The row for the step's first statements; in a later run, the row for the whole, which claims the step. */
function forgetBeginning(ledgerSchema: string, { migration, step, begunAs = '' }: PendingStep): string {
  return `delete from ${quoteIdentifier(ledgerSchema)}.step
 where version operator(pg_catalog.=) ${quoteLiteral(migration.version)} and step operator(pg_catalog.=) ${step.number}
   and fingerprint operator(pg_catalog.=) ${quoteLiteral(begunAs)}`;
}

export function stepRow({ migration, step }: Pick<PendingStep, 'migration' | 'step'>) {
  return {
    version: migration.version,
    step: step.number,
    steps: migration.steps.length,
    name: migration.name,
    checksum: migration.checksum,
    fingerprint: step.fingerprint,
    position: migration.position,
  };
}
