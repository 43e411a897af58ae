import type { BranchResult, BuildTable, TurnResult } from '../work/loop-task.ts';

export interface Attending {
  /** The branch's own table, and those it has taken on. */
  readonly tables: readonly BuildTable[];
  readonly turn: number;
  /** One turn of one table. */
  readonly turnOf: (table: BuildTable, told: Told) => Promise<TurnResult>;
  /**
   * Applies the steps that no longer wait, if there are any. `later`: there are, and a new invocation has to apply
   * them, with the code that is deployed by then.
   */
  readonly resume: () => Promise<'done' | 'later'>;
  /** Tables that no branch attends to and that may start now. */
  readonly unattended: () => Promise<readonly BuildTable[]>;
  /** Whether it is too late in this invocation to start anything. */
  readonly isLate: () => boolean;
}

interface Told {
  /** Call it when a build has ended, even if the turn continues with the next one. */
  readonly ended: () => void;
  /** Whether a turn should not use up the invocation's time, since something waits for the next invocation. */
  readonly yields: () => boolean;
}

/** When to look again at a table whose turn failed while its neighbours went on. */
const AFTER_FAILURE_SECONDS = 15;

/**
 * Takes the turns of one branch, side by side. Where a turn hands off more builds (for the partitions of a table), or
 * ends a build that steps wait for, what follows starts here at once: otherwise it would start only after all other
 * branches have ended. Returns the tables that the branch has to come back to; throws where every turn failed.
 */
export async function attendTables(attending: Attending): Promise<BranchResult> {
  const branch = new Branch(attending);
  for (const table of attending.tables) branch.begin(table);
  branch.lookAround();
  return branch.result();
}

class Branch {
  readonly #attending: Attending;
  readonly #working = new Set<Promise<void>>();
  readonly #atWork = new Set<string>();
  readonly #left = new Map<string, { readonly table: BuildTable; readonly waitSeconds: number }>();
  readonly #failed = new Set<string>();
  /** Timers for tables to look at again while another table's turn continues. */
  readonly #later = new Map<string, NodeJS.Timeout>();
  #error: unknown;
  #resumesLater = false;
  #looking: 'no' | 'yes' | 'once more' = 'no';

  constructor(attending: Attending) {
    this.#attending = attending;
  }

  begin(table: BuildTable): void {
    const key = keyOf(table);
    if (this.#atWork.has(key)) return;
    this.#atWork.add(key);
    this.#left.delete(key);
    clearTimeout(this.#later.get(key));
    this.#track(
      this.#attending
        .turnOf(table, { ended: () => this.lookAround(), yields: () => this.#resumesLater })
        .then(
          ({ outcome, waitSeconds }) => {
            if (outcome === 'done') return this.lookAround();
            this.#left.set(key, { table, waitSeconds });
            // Zero seconds means: wait for a new invocation.
            if (waitSeconds > 0)
              this.#later.set(
                key,
                setTimeout(() => this.#again(table), waitSeconds * 1000),
              );
          },
          (error: unknown) => {
            this.#error ??= error;
            this.#failed.add(key);
            this.#left.set(key, { table, waitSeconds: AFTER_FAILURE_SECONDS });
          },
        )
        .finally(() => this.#atWork.delete(key)),
    );
  }

  /** Otherwise the table would wait for a neighbour that uses up the invocation. */
  #again(table: BuildTable): void {
    if (this.#atWork.size > 0 && !this.#resumesLater && !this.#attending.isLate()) this.begin(table);
  }

  /** One look at a time; a request that comes meanwhile leads to another look after it. */
  lookAround(): void {
    const looking = this.#looking !== 'no';
    this.#looking = looking ? 'once more' : 'yes';
    if (!looking) this.#track(this.#look());
  }

  async #look(): Promise<void> {
    try {
      while (this.#looking !== 'no') {
        this.#looking = 'yes';
        this.#resumesLater = (await this.#attending.resume()) === 'later';
        for (const table of await this.#attending.unattended()) this.#take(table);
        if (this.#isAnswered()) this.#looking = 'no';
      }
    } catch (error) {
      this.#looking = 'no';
      this.#error ??= error;
    }
  }

  /** Whether no request has come since the look began. */
  #isAnswered(): boolean {
    return this.#looking === 'yes';
  }

  #take(table: BuildTable): void {
    // A failed table comes back at its own time; one that waited for a slot may have it now.
    if (this.#failed.has(keyOf(table))) return;
    if (this.#attending.isLate()) this.#left.set(keyOf(table), { table, waitSeconds: 0 });
    else this.begin(table);
  }

  #track(work: Promise<void>): void {
    this.#working.add(work);
    void work.finally(() => this.#working.delete(work));
  }

  async result(): Promise<BranchResult> {
    while (this.#working.size > 0) await Promise.all(this.#working);
    for (const timer of this.#later.values()) clearTimeout(timer);
    const { turn, tables } = this.#attending;
    const left = [...this.#left.values()];
    // The state machine asks again, with the tables that this turn began with.
    if (this.#error !== undefined && left.every(({ table }) => this.#failed.has(keyOf(table))))
      throw this.#error;
    if (left.length === 0) {
      return this.#resumesLater
        ? { outcome: 'wait', waitSeconds: 0, turn, tables }
        : { outcome: 'done', waitSeconds: 0, turn, tables: [] };
    }
    const waits = left.map(({ waitSeconds }) => waitSeconds);
    if (this.#resumesLater) waits.push(0);
    if (this.#error !== undefined) waits.push(AFTER_FAILURE_SECONDS);
    return {
      outcome: 'wait',
      waitSeconds: Math.min(...waits),
      turn,
      tables: left.map(({ table }) => table),
    };
  }
}

function keyOf({ schema, table }: BuildTable): string {
  return JSON.stringify([schema, table]);
}
