import { setTimeout as sleep } from 'node:timers/promises';
import { statementsOf } from '../migration/migration.ts';
import type { MigrationError } from '../migration/migration-error.ts';
import { type Blocker, describeBlocker, lockHolders } from '../postgres/blockers.ts';
import { SessionLost, type StatementFault, sqlstate } from '../postgres/fault.ts';
import type { Session } from '../postgres/session.ts';
import {
  cleanSession,
  type Piece,
  type ScriptContext,
  type ScriptStep,
  stepScript,
} from '../postgres/step-script.ts';
import type { RunEvent } from './run.ts';
import { statementFailed } from './statement-failed.ts';

/** Another run applied a step that this one thought pending: plan again. */
export class LedgerMoved extends Error {}
/** The deadline came: what was not applied is left for the next run. */
export class TimeUp extends Error {}

export interface BatchContext extends Omit<ScriptContext, 'budgetMilliseconds'> {
  readonly deadline: number | undefined;
  readonly lockBudgetSeconds: number;
  readonly report: (event: RunEvent) => void;
  readonly signal?: AbortSignal | undefined;
  /** Called as soon as steps are known to be applied, before anything later can fail. */
  readonly applied: (steps: readonly ScriptStep[], milliseconds: number) => void;
  /** What to say of earlier steps in an error. */
  readonly appliedSoFar: () => string;
}

/**
 * Sends the steps in one message, each its own transaction. A step whose locks are taken is tried again, whole,
 * with jitter, until its budget is spent; a step that fails stops the run, and all before it stays applied.
 */
export async function applyBatch(session: Session, steps: readonly ScriptStep[], context: BatchContext) {
  let left = steps;
  const patience = new LockPatience(context.lockBudgetSeconds);
  while (left.length > 0) {
    context.signal?.throwIfAborted();
    const budgetMilliseconds = context.deadline === undefined ? undefined : context.deadline - Date.now();
    if (budgetMilliseconds !== undefined && budgetMilliseconds <= 0) throw new TimeUp();
    const script = stepScript(left, { ...context, budgetMilliseconds });
    const sentAt = Date.now();
    const { completed, fault } = await session.script(script.text);
    if (fault === undefined) {
      context.applied(left, Date.now() - sentAt);
      return;
    }
    const failed = script.pieces[completed];
    if (failed === undefined) throw new SessionLost(fault);
    const index = left.findIndex((step) => step.pending === failed.step);
    if (index > 0) context.applied(left.slice(0, index), Date.now() - sentAt);
    left = left.slice(index);
    await session.script(['rollback', ...cleanSession(context.sessionSettings)].join(';\n'));
    await passOrThrow(session, failed, { fault, context, patience, wholeBudget: index === 0 });
  }
}

interface Failure {
  readonly fault: StatementFault;
  readonly context: BatchContext;
  readonly patience: LockPatience;
  /** The failed step had the whole of the remaining time to itself. */
  readonly wholeBudget: boolean;
}

async function passOrThrow(session: Session, failed: Piece, failure: Failure): Promise<void> {
  const { fault, context, patience, wholeBudget } = failure;
  const { sqlstate: code } = fault.fault;
  if (failed.claim && code === '23505') throw new LedgerMoved();
  if (
    code === sqlstate.queryCanceled &&
    context.deadline !== undefined &&
    context.deadline - Date.now() < 1000
  ) {
    if (!wholeBudget) throw new TimeUp();
    throw statementFailed(failed, fault, { applied: context.appliedSoFar(), next: TOO_LONG });
  }
  if (!MAY_PASS.has(code)) throw statementFailed(failed, fault, { applied: context.appliedSoFar() });
  const blockers = await lockHolders(session, touchedBy(failed)).catch(() => []);
  const pause = patience.next(failed, Math.random());
  if (pause === undefined) throw lockTimeout(failed, { fault, blockers, context });
  context.report({
    kind: 'locked',
    file: failed.step.migration.file,
    attempt: patience.attempt,
    retryInMilliseconds: pause,
    blockers,
  });
  await sleep(pause);
}

const MAY_PASS: ReadonlySet<string> = new Set([
  sqlstate.lockNotAvailable,
  sqlstate.deadlockDetected,
  sqlstate.serializationFailure,
]);

const TOO_LONG =
  'the step needs longer than one invocation has: split it into smaller steps (a file each), or apply it from the command line, which has no time limit: npm run migrate -- up.';

function touchedBy({ step }: Piece) {
  return statementsOf(step.step).flatMap(({ touches }) => [...touches.changes, ...touches.writes]);
}

function lockTimeout(
  failed: Piece,
  {
    fault,
    blockers,
    context,
  }: { fault: StatementFault; blockers: readonly Blocker[]; context: BatchContext },
): MigrationError {
  const who = blockers.length === 0 ? '' : ` Blocked by ${blockers.map(describeBlocker).join('; ')}.`;
  return statementFailed(failed, fault, {
    applied: context.appliedSoFar(),
    what: `The step's locks could not be had within ${context.lockBudgetSeconds} s.${who}`,
    next: 'end the blocking transaction (select pg_terminate_backend(pid)) or wait for it, then run again; the run continues with this step.',
  });
}

/** How long a step keeps asking for its locks. The pauses let the application's queue drain in between. */
class LockPatience {
  attempt = 0;
  #step: unknown;
  #since = 0;
  readonly #budgetSeconds: number;

  constructor(budgetSeconds: number) {
    this.#budgetSeconds = budgetSeconds;
  }

  /** Milliseconds until the next attempt, or undefined when the budget is spent. `random` is in [0, 1). */
  next(failed: Piece, random: number): number | undefined {
    if (this.#step !== failed.step) {
      this.#step = failed.step;
      this.#since = Date.now();
      this.attempt = 0;
    }
    this.attempt += 1;
    const pause = Math.min(250 * 2 ** (this.attempt - 1), 8_000) * (0.5 + random);
    const spent = Date.now() - this.#since;
    return spent + pause > this.#budgetSeconds * 1000 ? undefined : Math.round(pause);
  }
}
