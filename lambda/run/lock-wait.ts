import { setTimeout as sleep } from 'node:timers/promises';
import { locksOf, locksOnlyRows } from '../foresight/planned-locks.ts';
import { type LockMode, modeOfLock } from '../migration/lock-modes.ts';
import {
  contentionOf,
  firstWait,
  type LockLimits,
  nextMove,
  type PossibleBlocker,
  pauseBeforeLook,
} from '../migration/lock-patience.ts';
import { statementsOf } from '../migration/migration.ts';
import type { MigrationError } from '../migration/migration-error.ts';
import type { PendingStep } from '../migration/plan.ts';
import type { RelationName } from '../migration/relation-name.ts';
import {
  type Blocker,
  describeBlockers,
  type LockHolder,
  lockHolders,
} from '../postgres/catalog/blockers.ts';
import { withSchemas } from '../postgres/catalog/relation-schemas.ts';
import type { StatementFault } from '../postgres/session/fault.ts';
import type { Session } from '../postgres/session/session.ts';
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

/** How often an unchanged wait is reported again. */
const REPORT_EVERY_MILLISECONDS = 10_000;

/**
 * How steps acquire their locks: a short wait; then looks at who has them, and further waits only when they can
 * succeed. See docs/locks.md.
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

  /** How long an attempt that is sent now may wait for each of its locks. */
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
        // Leaves out short transactions.
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

  /** Whether the step was tried before, so that the time until now was not spent by its own work. */
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

  /** Pauses. True if the run's time is up before that; the caller that sends the step will notice. */
  async #timeEndsWithin(milliseconds: number): Promise<boolean> {
    const { deadline, signal } = this.#context;
    const left = deadline === undefined ? milliseconds : Math.max(0, deadline - Date.now());
    await sleep(Math.min(milliseconds, left), undefined, signal && { signal }).catch(() => undefined);
    signal?.throwIfAborted();
    return left < milliseconds;
  }

  #move(locked: LockedStep, seen: readonly SeenHolder[], inMilliseconds: number) {
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

  #report(locked: LockedStep, seen: readonly SeenHolder[], inMilliseconds: number): void {
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

/** An idle transaction will still be there after the pause; a busy one may have ended. */
function aged(one: SeenHolder, milliseconds: number): SeenHolder {
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
    what: `The step did not get its locks within ${context.lockBudgetSeconds} s.${describeBlockers(blockers)}`,
    next: 'end the blocking transaction (select pg_terminate_backend(pid)) or wait for it, then run again; the run continues with this step.',
  });
}

/** How many sessions are looked at, oldest transaction first, and how many are named. */
const MOST_HOLDERS = 100;
const MOST_NAMED = 10;

export interface SeenHolder extends PossibleBlocker {
  readonly blocker: Blocker;
}

interface Need {
  readonly relation: RelationName;
  readonly mode: LockMode;
}

/** A step that found its locks taken, and what was seen of their holders. */
export class LockedStep {
  readonly step: PendingStep;
  /** When its first attempt ended. */
  readonly since = Date.now();
  readonly severalLocks: boolean;
  attempt = 0;
  looks = 0;
  /** How long the latest attempt may wait for each of its locks. */
  waitMilliseconds: number;
  lastTry = false;
  readonly #needs: readonly Need[];
  readonly #seenSince = new Map<string, number>();
  #autovacuumAsked: number | undefined;
  #sentAt: number | undefined;
  #workedMilliseconds = 0;

  static async after(session: Session, failed: Piece, waitMilliseconds: number): Promise<LockedStep> {
    const needs = locksOf(failed.step.step, true).map(
      ({ relation, mode = 'access exclusive' }): Need => ({ relation, mode }),
    );
    const found = await withSchemas(session, needs, settingsBefore(failed)).catch(() => needs);
    return new LockedStep(failed.step, found, waitMilliseconds);
  }

  private constructor(step: PendingStep, needs: readonly Need[], waitMilliseconds: number) {
    this.step = step;
    this.#needs = needs;
    const writes = needs.some(({ mode }) => mode === 'row exclusive' || mode === 'row share');
    this.severalLocks = writes || needs.length > 1 || statementsOf(step.step).length > 1;
    this.waitMilliseconds = waitMilliseconds;
  }

  get elapsedMilliseconds(): number {
    return Date.now() - this.since;
  }

  /** Elapsed time without the work of the attempts, which the step has to do anyway. */
  get waitedMilliseconds(): number {
    return this.elapsedMilliseconds - this.#workedMilliseconds;
  }

  /** Notes that the step is sent again, and how long it may wait for each lock. */
  triesFor(milliseconds: number): void {
    this.waitMilliseconds = milliseconds;
    this.#sentAt = Date.now();
  }

  /** Notes that an attempt ended in a lock timeout. */
  failedAgain(): void {
    this.attempt += 1;
    if (this.#sentAt === undefined) return;
    this.#workedMilliseconds += Math.max(0, Date.now() - this.#sentAt - this.waitMilliseconds);
    this.#sentAt = undefined;
  }

  /** The next attempt is long enough for Postgres to end an autovacuum that is in its way. */
  asksAutovacuum(): void {
    this.#autovacuumAsked = Date.now();
  }

  /** Reads the catalog only, which blocks nobody. */
  async look(session: Session): Promise<SeenHolder[]> {
    const relations = this.#needs.map(({ relation }) => relation);
    const holders = await lockHolders(session, relations, MOST_HOLDERS).catch(() => []);
    return holders.flatMap((holder) => this.#seen(holder));
  }

  #seen(holder: LockHolder): SeenHolder[] {
    const { which, idleSeconds, transaction, background, hidden: _, ...blocker } = holder;
    const needed = this.#needs[which]?.mode ?? 'access exclusive';
    const over = contentionOf(needed, holder.lock.split(', ').map(modeOfLock));
    if (over === undefined) return [];
    // Postgres may hide how old other roles' transactions are. Then their age counts from when we first saw them.
    const key = `${holder.pid} ${transaction}`;
    const since = this.#seenSince.get(key) ?? Date.now();
    this.#seenSince.set(key, since);
    const seconds = Math.max(holder.seconds, (Date.now() - since) / 1000);
    // An autovacuum against wraparound does not give way.
    const outlasted = this.#autovacuumAsked !== undefined && since < this.#autovacuumAsked;
    return [
      {
        over,
        milliseconds: seconds * 1000,
        idleMilliseconds: idleSeconds * 1000,
        yields: background && !outlasted,
        blocker: { ...blocker, seconds },
      },
    ];
  }
}

/** One entry per session. Sessions that may only have locked a row are named if nobody has locked a table. */
export function blockersAmong(seen: readonly SeenHolder[]): Blocker[] {
  const tables = seen.filter(({ over }) => over === 'table');
  const named = new Map<string, Blocker>();
  for (const { blocker } of tables.length > 0 ? tables : seen) {
    const key = `${blocker.pid} ${blocker.application}`;
    if (!named.has(key)) named.set(key, blocker);
  }
  return [...named.values()].slice(0, MOST_NAMED);
}

/** The settings that decide in which schema the failed statement's names are. */
function settingsBefore({ step: { step }, statement }: Piece): string[] {
  const statements = statementsOf(step);
  const before = statement === undefined ? [] : statements.slice(0, statements.indexOf(statement));
  return [
    ...step.settings,
    ...before.filter(({ kind }) => kind === 'VariableSetStmt').map(({ text }) => text),
  ];
}
