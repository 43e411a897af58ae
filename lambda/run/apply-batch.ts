import { inTheWay, sqlstate } from '../migration/sqlstate.ts';
import { cleanSession } from '../postgres/session/author-settings.ts';
import { SessionLost, type StatementFault } from '../postgres/session/fault.ts';
import { isSaidOnPurpose, type Notices, speakerAt } from '../postgres/session/notices.ts';
import type { Session } from '../postgres/session/session.ts';
import { endedByDeadline } from '../postgres/session/statement-limits.ts';
import { type LockContext, LockWait } from './lock-wait.ts';
import { statementFailed } from './statement-failed.ts';
import { type Piece, type ScriptContext, type ScriptStep, stepScript } from './step-script.ts';

/** Another run applied a step that this run took for pending: plan again. */
export class LedgerMoved extends Error {}
/** The deadline was reached: what is not applied is left to the next run. */
export class TimeUp extends Error {}

export interface BatchContext extends Omit<ScriptContext, 'budgetMilliseconds' | 'lockWait'>, LockContext {
  /** As in RunRequest. */
  readonly shortened: boolean;
  /** Called as soon as steps are known to be applied, before anything later can fail. */
  readonly applied: (steps: readonly ScriptStep[], milliseconds: number) => void;
  readonly notices: Notices;
}

/**
 * Sends the steps in one message, each its own transaction. A step whose locks are taken is tried again, whole, until
 * its budget is spent; a step that fails stops the run, and every step before it stays applied.
 */
export async function applyBatch(session: Session, steps: readonly ScriptStep[], context: BatchContext) {
  let left = steps;
  const locks = new LockWait(session, context);
  while (left.length > 0) {
    context.signal?.throwIfAborted();
    const budgetMilliseconds = context.deadline === undefined ? undefined : context.deadline - Date.now();
    if (budgetMilliseconds !== undefined && budgetMilliseconds <= 0) throw new TimeUp();
    const script = stepScript(left, {
      ...context,
      budgetMilliseconds,
      lockWait: { session: context.lockTimeoutSeconds * 1000, of: (step) => locks.waitOf(step) },
    });
    const sentAt = Date.now();
    const { completed, fault } = await session.execute(
      script.text,
      context.notices.heard((piecesDone, notice) => {
        const piece = script.pieces[piecesDone];
        const ofTheFile =
          piece?.statement !== undefined || (piece?.text === 'commit' && isSaidOnPurpose(notice));
        if (piece === undefined || !ofTheFile) return undefined;
        return speakerAt(piece.step.migration.file, piece.step.step, piece.statement);
      }),
    );
    if (fault === undefined) {
      context.applied(left, Date.now() - sentAt);
      return;
    }
    const failed = script.pieces[completed];
    if (failed === undefined) throw new SessionLost(fault);
    const index = left.findIndex((step) => step.pending === failed.step);
    if (index > 0) context.applied(left.slice(0, index), Date.now() - sentAt);
    left = left.slice(index);
    await session.execute(['rollback', ...cleanSession(context.sessionSettings)].join(';\n'));
    const wholeBudget = index === 0 && !locks.hasTried(failed.step);
    await passOrThrow(failed, { fault, context, locks, wholeBudget });
  }
}

interface Failure {
  readonly fault: StatementFault;
  readonly context: BatchContext;
  readonly locks: LockWait;
  /** Whether the failed step had all of the remaining time to itself. */
  readonly wholeBudget: boolean;
}

async function passOrThrow(failed: Piece, { fault, context, locks, wholeBudget }: Failure): Promise<void> {
  const { sqlstate: code } = fault.fault;
  if (failed.claim && code === sqlstate.uniqueViolation) throw new LedgerMoved();
  if (endedByDeadline(fault, context.deadline)) {
    if (!wholeBudget || context.shortened) throw new TimeUp();
    throw statementFailed(failed, fault, { applied: context.appliedSoFar(), next: TOO_LONG });
  }
  if (!inTheWay.has(code)) throw statementFailed(failed, fault, { applied: context.appliedSoFar() });
  await locks.untilNextTry(failed, fault);
}

/** What to do about a step that was cancelled at the function's deadline. */
export const TOO_LONG =
  'the step needs longer than one invocation has: write "-- migrate: hand-off" before the statement that takes so long, and the loop runs it to its end (docs/long-work.md); or split it into smaller steps (a file each); or apply it from the command line, which has no time limit: npx cdk-postgres-migrations up.';
