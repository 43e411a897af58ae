import type { RecordedStep } from './ledger.ts';
import type { Migration, Step, TransactionStep } from './migration.ts';

/** The ledger's rows of a file, aligned with the file as it is now. */
export interface Alignment {
  /** The row that matches each step, by the step's number in the file. */
  readonly rows: ReadonlyMap<number, RecordedStep>;
  /** Rows that need another number, since steps before them were added or removed. */
  readonly moved: readonly { readonly from: number; readonly to: number }[];
  /** Failed builds whose statement has changed, or that now come after new steps: their rows are deleted. */
  readonly dropped: readonly RecordedStep[];
  /** How many statements at the start of a step are applied, by its number. */
  readonly begun: ReadonlyMap<number, Begun>;
}

export interface Begun {
  readonly row: RecordedStep;
  readonly statements: number;
}

/** The first row that does not match: its step was applied, and is missing from the file or has moved. */
export interface Misfit {
  readonly misfit: RecordedStep;
  /** Everything matches, but the file has more steps than the complete one that was applied. */
  readonly grown: boolean;
}

/**
 * A file is a list of steps, of which the first ones are applied. Where a file stopped in the middle (a step or a build
 * failed), the rest may be corrected in any way: other steps, more, fewer, or new ones before the one that failed. What
 * was applied must still be there, in its order.
 */
export function align(migration: Migration, recorded: readonly RecordedStep[]): Alignment | Misfit {
  const rows = [...recorded].sort((a, b) => a.step - b.step);
  // The same bytes, or an operator's word: nothing is compared.
  const trusted = rows.some(({ state }) => state === 'baselined');
  if (trusted || rows.every(({ checksum }) => checksum === migration.checksum)) return inPlace(rows);
  return new Walk(migration, rows).end();
}

function inPlace(rows: readonly RecordedStep[]): Alignment {
  return { rows: new Map(rows.map((row) => [row.step, row])), moved: [], dropped: [], begun: new Map() };
}

class Walk {
  readonly #migration: Migration;
  readonly #recorded: readonly RecordedStep[];
  readonly #rows = new Map<number, RecordedStep>();
  readonly #dropped: RecordedStep[] = [];
  readonly #begun = new Map<number, Begun>();
  /** The first step without a row. */
  #next = 0;
  /** Failed builds since the last row that matched a step. */
  #failed: RecordedStep[] = [];

  constructor(migration: Migration, recorded: readonly RecordedStep[]) {
    this.#migration = migration;
    this.#recorded = recorded;
  }

  end(): Alignment | Misfit {
    const complete = isComplete(this.#recorded);
    for (const [at, row] of this.#recorded.entries()) {
      if (row.state === 'failed') {
        this.#failed.push(row);
        continue;
      }
      const following = this.#recorded[at + 1];
      const stopped = following === undefined ? !complete : following.state === 'failed';
      if (!this.#place(row, stopped)) return { misfit: row, grown: false };
    }
    const { steps } = this.#migration;
    const last = this.#recorded.at(-1);
    // A file that was applied completely may not grow.
    if (last !== undefined && this.#failed.length === 0 && complete && this.#next < steps.length) {
      return { misfit: last, grown: true };
    }
    this.#settleFailed(steps.length);
    const moved = [...this.#rows].flatMap(([to, { step: from }]) => (from === to ? [] : [{ from, to }]));
    return { rows: this.#rows, moved, dropped: this.#dropped, begun: this.#begun };
  }

  /** New steps may only be inserted where a build failed. `stopped`: nothing after this row is applied. */
  #place(row: RecordedStep, stopped: boolean): boolean {
    const { steps } = this.#migration;
    const last = this.#failed.length > 0 ? steps.length - 1 : this.#next;
    for (let number = this.#next; number <= last; number += 1) {
      const step = steps[number];
      if (step === undefined) return false;
      const begun = stopped && row.state === 'applied' ? beginningOf(step, row) : undefined;
      if (!this.#isSame(step, row) && begun === undefined) continue;
      this.#settleFailed(number);
      this.#rows.set(number, row);
      if (!this.#isSame(step, row) && begun !== undefined) {
        this.#begun.set(number, { row, statements: begun });
      }
      this.#next = number + 1;
      return true;
    }
    return false;
  }

  /** Failed builds up to this step: those in their old place are retried, the others are dropped from the ledger. */
  #settleFailed(until: number): void {
    let unchanged = !this.#begun.has(this.#next - 1);
    for (const row of this.#failed) {
      const step = this.#migration.steps[this.#next];
      unchanged &&= this.#next < until && row.step === this.#next && step?.fingerprint === row.fingerprint;
      if (unchanged) {
        this.#rows.set(this.#next, row);
        this.#next += 1;
      } else {
        this.#dropped.push(row);
      }
    }
    this.#failed = [];
  }

  #isSame(step: Step, row: RecordedStep): boolean {
    if (step.fingerprint === row.fingerprint) return true;
    return row.checksum === this.#migration.checksum && row.step === step.number;
  }
}

/** Whether every step of the file, as it was when the newest was applied, has been applied or handed off. */
export function isComplete(rows: readonly RecordedStep[]): boolean {
  const last = rows.at(-1);
  return (
    last !== undefined &&
    rows.length >= last.steps &&
    rows.every(({ state }) => state !== 'failed' && state !== 'started')
  );
}

/** How many of its first statements made up the step when the row was written; undefined if it began differently. */
function beginningOf(step: Step, { fingerprint }: RecordedStep): number | undefined {
  if (step.kind !== 'transaction') return undefined;
  const at = (step.beginnings ?? []).findIndex((each) => each !== '' && fingerprint.startsWith(each));
  return at === -1 ? undefined : at + 1;
}

/** The rest of a partly applied step: its later statements, under the settings of the earlier ones. */
export function restOf(step: TransactionStep, statements: number): TransactionStep {
  const applied = step.statements.slice(0, statements);
  return {
    ...step,
    statements: [
      ...applied.filter(({ kind }) => kind === 'VariableSetStmt'),
      ...step.statements.slice(statements),
    ],
  };
}
