import { locksOf } from '../foresight/planned-locks.ts';
import { type LockMode, modeOfLock } from '../migration/lock-modes.ts';
import { contentionOf, type PossibleBlocker } from '../migration/lock-patience.ts';
import { statementsOf } from '../migration/migration.ts';
import type { PendingStep } from '../migration/plan.ts';
import type { RelationName } from '../migration/relation-name.ts';
import { type Blocker, type LockHolder, lockHolders } from '../postgres/catalog/blockers.ts';
import { withSchemas } from '../postgres/catalog/relation-schemas.ts';
import type { Session } from '../postgres/session/session.ts';
import type { Piece } from './step-script.ts';

/** So many sessions are looked at, the oldest transactions first; so many are named. */
const MOST_HOLDERS = 100;
const MOST_NAMED = 10;

export interface Seen extends PossibleBlocker {
  readonly blocker: Blocker;
}

interface Need {
  readonly relation: RelationName;
  readonly mode: LockMode;
}

/** A step that found its locks taken, and all that was seen of who has them. */
export class LockedStep {
  readonly step: PendingStep;
  /** When its first attempt was over. */
  readonly since = Date.now();
  readonly severalLocks: boolean;
  attempt = 0;
  looks = 0;
  /** Of the latest attempt, for each of its locks. */
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

  /** All but the work of its attempts: the step would have had to do that in any case. */
  get waitedMilliseconds(): number {
    return this.elapsedMilliseconds - this.#workedMilliseconds;
  }

  /** It is sent again, and may wait so long for each of its locks. */
  triesFor(milliseconds: number): void {
    this.waitMilliseconds = milliseconds;
    this.#sentAt = Date.now();
  }

  /** An attempt is over, which ended with a wait for a lock. */
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

  /** Catalog reads, which are in nobody's way. */
  async look(session: Session): Promise<Seen[]> {
    const relations = this.#needs.map(({ relation }) => relation);
    const holders = await lockHolders(session, relations, MOST_HOLDERS).catch(() => []);
    return holders.flatMap((holder) => this.#seen(holder));
  }

  #seen(holder: LockHolder): Seen[] {
    const { asked, idleSeconds, transaction, background, hidden: _, ...blocker } = holder;
    const needed = this.#needs[asked]?.mode ?? 'access exclusive';
    const over = contentionOf(needed, holder.lock.split(', ').map(modeOfLock));
    if (over === undefined) return [];
    // Of other roles' sessions Postgres may hide how old they are. Then they are as old as we know them.
    const key = `${holder.pid} ${transaction}`;
    const since = this.#seenSince.get(key) ?? Date.now();
    this.#seenSince.set(key, since);
    const seconds = Math.max(holder.seconds, (Date.now() - since) / 1000);
    // One that prevents wraparound gives way to nobody.
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

/** One entry for each session. Those that only may have locked a row are named where nobody has locked a table. */
export function blockersAmong(seen: readonly Seen[]): Blocker[] {
  const tables = seen.filter(({ over }) => over === 'table');
  const named = new Map<string, Blocker>();
  for (const { blocker } of tables.length > 0 ? tables : seen) {
    const key = `${blocker.pid} ${blocker.application}`;
    if (!named.has(key)) named.set(key, blocker);
  }
  return [...named.values()].slice(0, MOST_NAMED);
}

/** What decides in which schema a name of the failed statement is. */
function settingsBefore({ step: { step }, statement }: Piece): string[] {
  const statements = statementsOf(step);
  const before = statement === undefined ? [] : statements.slice(0, statements.indexOf(statement));
  return [
    ...step.settings,
    ...before.filter(({ kind }) => kind === 'VariableSetStmt').map(({ text }) => text),
  ];
}
