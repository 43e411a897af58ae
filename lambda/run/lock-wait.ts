import { setTimeout as sleep } from 'node:timers/promises';
import { locksOnlyRows } from '../foresight/planned-locks.ts';
import { firstWait, type LockLimits, nextMove, pauseBeforeLook } from '../migration/lock-patience.ts';
import type { MigrationError } from '../migration/migration-error.ts';
import type { PendingStep } from '../migration/plan.ts';
import { type Blocker, describeBlockers } from '../postgres/catalog/blockers.ts';
import type { StatementFault } from '../postgres/session/fault.ts';
import type { Session } from '../postgres/session/session.ts';
import { blockersAmong, LockedStep, type Seen } from './locked-step.ts';
import type { RunEvent } from './run.ts';
import { statementFailed } from './statement-failed.ts';
import type { Piece } from './step-script.ts';

export interface LockContext extends LockLimits {
  readonly deadline: number | undefined;
  readonly report: (event: RunEvent) => void;
  readonly signal?: AbortSignal | undefined;
  /** What to say of earlier steps in an error. */
  readonly appliedSoFar: () => string;
}

/** While nothing changes, it is said again so often. */
const REPORT_EVERY_MILLISECONDS = 10_000;

/**
 * How steps come by their locks: a short wait; then looks at who has them, and further waits where these are not in
 * vain. See docs/locks.md.
 */
export class LockWait {
  readonly #session: Session;
  readonly #context: LockContext;
  #locked: LockedStep | undefined;
  #reported = { what: '', at: 0 };

  constructor(session: Session, context: LockContext) {
    this.#session = session;
    this.#context = context;
  }

  /** For how long the attempt of a step that is sent now may wait for each of its locks. */
  waitOf(step: PendingStep): number {
    return this.#locked?.step === step ? this.#locked.waitMilliseconds : this.#firstWait(step);
  }

  /** Waits until the failed step is worth another attempt. Throws MigrationError when its budget is spent. */
  async untilNextTry(failed: Piece, fault: StatementFault): Promise<void> {
    const locked = await this.#after(failed);
    let seen = await locked.look(this.#session);
    for (let waited = locked.waitMilliseconds; ; waited = 0) {
      const left = this.#context.lockBudgetSeconds * 1000 - locked.waitedMilliseconds;
      if (left <= 0 || locked.lastTry) {
        // Not those who only pass by.
        const move = this.#move(locked, seen, 0);
        const blockers = blockersAmong(move.kind === 'hold-back' ? move.behind : seen);
        throw lockTimeout(failed, { fault, blockers, context: this.#context });
      }
      const lastWait = this.#firstWait(locked.step);
      const beforeLastTry = left - lastWait;
      if (beforeLastTry <= 0) {
        locked.lastTry = true;
        locked.triesFor(lastWait);
        return;
      }
      locked.looks += 1;
      const pause = Math.min(beforeLastTry, pauseBeforeLook(locked.looks, waited, Math.random()));
      this.#report(locked, seen, pause);
      if (await this.#timeEndsWithin(pause)) return locked.triesFor(lastWait);
      seen = await locked.look(this.#session);
      const move = this.#move(locked, seen, 0);
      if (move.kind === 'try') {
        if (seen.some(({ yields }) => yields)) locked.asksAutovacuum();
        locked.triesFor(move.waitMilliseconds);
        return;
      }
    }
  }

  /** The step has been tried before, and the time until now was not its own. */
  hasTried(step: PendingStep): boolean {
    return this.#locked?.step === step;
  }

  async #after(failed: Piece): Promise<LockedStep> {
    if (this.#locked?.step !== failed.step) {
      this.#locked = await LockedStep.after(this.#session, failed, this.#firstWait(failed.step));
    }
    this.#locked.failedAgain();
    return this.#locked;
  }

  #firstWait({ step }: PendingStep): number {
    return firstWait(this.#context, locksOnlyRows(step));
  }

  /** Pauses. True where the run's time is up before that: whoever sends the step will see it. */
  async #timeEndsWithin(milliseconds: number): Promise<boolean> {
    const { deadline, signal } = this.#context;
    const left = deadline === undefined ? milliseconds : Math.max(0, deadline - Date.now());
    await sleep(Math.min(milliseconds, left), undefined, signal && { signal }).catch(() => undefined);
    signal?.throwIfAborted();
    return left < milliseconds;
  }

  #move(locked: LockedStep, seen: readonly Seen[], inMilliseconds: number) {
    const { lockTimeoutSeconds, lockBudgetSeconds } = this.#context;
    return nextMove(seen, {
      lockTimeoutSeconds,
      lockBudgetSeconds,
      elapsedMilliseconds: locked.elapsedMilliseconds + inMilliseconds,
      waitedMilliseconds: locked.waitedMilliseconds + inMilliseconds,
      severalLocks: locked.severalLocks,
      onlyRows: locksOnlyRows(locked.step.step),
    });
  }

  #report(locked: LockedStep, seen: readonly Seen[], inMilliseconds: number): void {
    const { file } = locked.step.migration;
    const { attempt } = locked;
    const then = seen.map((one) => aged(one, inMilliseconds));
    const move = this.#move(locked, then, inMilliseconds);
    const next = move.kind;
    const blockers = blockersAmong(move.kind === 'hold-back' ? move.behind : seen);
    const what = [file, locked.step.step.number, attempt, next, ...blockers.map(({ pid }) => pid)].join(' ');
    if (what === this.#reported.what && Date.now() - this.#reported.at < REPORT_EVERY_MILLISECONDS) return;
    this.#reported = { what, at: Date.now() };
    this.#context.report({ kind: 'locked', file, attempt, next, inMilliseconds, blockers });
  }
}

/** Idle, it will be there after the pause too; one at work may be done by then. */
function aged(one: Seen, milliseconds: number): Seen {
  if (one.idleMilliseconds === 0) return one;
  return {
    ...one,
    milliseconds: one.milliseconds + milliseconds,
    idleMilliseconds: one.idleMilliseconds + milliseconds,
  };
}

interface GivenUp {
  readonly fault: StatementFault;
  readonly blockers: readonly Blocker[];
  readonly context: LockContext;
}

function lockTimeout(failed: Piece, { fault, blockers, context }: GivenUp): MigrationError {
  return statementFailed(failed, fault, {
    applied: context.appliedSoFar(),
    what: `The step's locks could not be had within ${context.lockBudgetSeconds} s.${describeBlockers(blockers)}`,
    next: 'end the blocking transaction (select pg_terminate_backend(pid)) or wait for it, then run again; the run continues with this step.',
  });
}
