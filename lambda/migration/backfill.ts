import type { RelationName } from './relation-name.ts';

/** A statement that is done in batches, taken apart at synth so that a batch's bounds can be put into its WHERE. */
export interface Backfill {
  readonly command: 'update' | 'delete' | 'insert';
  /** The relation whose rows are walked: the target of UPDATE and DELETE, the first table of INSERT … SELECT. */
  readonly table: RelationName;
  /** Whether the author wrote ONLY. */
  readonly only: boolean;
  /** What qualifies the statement's columns. */
  readonly alias: string;
  /** Whether the author wrote it; otherwise it is the table's name. */
  readonly aliasWritten: boolean;
  /** Columns that an UPDATE sets. */
  readonly sets: readonly string[];
  /** Target of INSERT. */
  readonly insertsInto: RelationName | undefined;
  /** Whether a finished row no longer matches the WHERE, so that rows written meanwhile can be found by it. */
  readonly makesItsWhereFalse: boolean;
  /** Whether it has other relations in FROM or USING, so that its WHERE alone is not a query. */
  readonly looksElsewhere: boolean;
  readonly text: BackfillText;
  /** `backfill by (a, b)`: the columns of the key that it is walked by. */
  readonly by?: readonly string[];
  /** What a batch is to take. @default the option backfillBatchSeconds */
  readonly batchMilliseconds?: number;
  /** The pause after a batch, in lengths of the batch. @default the option backfillPause */
  readonly pause?: number;
}

/** The statement is `before table between where condition after`. */
export interface BackfillText {
  readonly before: string;
  /** As written, with ONLY. */
  readonly table: string;
  readonly between: string;
  readonly condition?: string;
  readonly after: string;
}

/** The statement for one batch. `table` replaces the table as written, where a part of it is walked. */
export function batchStatement(
  { text, alias, aliasWritten }: Backfill,
  bounds: string,
  part?: { readonly table: string; readonly quotedAlias: string },
): string {
  const table =
    part === undefined
      ? text.table
      : `only ${part.table}${aliasWritten || alias === '' ? '' : ` as ${part.quotedAlias}`}`;
  const condition = text.condition === undefined ? '' : ` and (${text.condition}\n)`;
  return `${text.before}${table}${text.between} where (${bounds})${condition} ${text.after}`.trimEnd();
}

const FIRST_ROWS = 200;
const LEAST_ROWS = 1;
const MOST_ROWS = 1_000_000;
/** With fewer rows than this, something other than the rows may take the time. */
const FEW_ROWS = 200;
/** Weight of the newest batch in the average. */
const NEWEST = 0.3;

/** How many rows the next batch takes, based on how long earlier ones took. */
export class BatchSize {
  readonly #wantedMilliseconds: number;
  #rows: number;
  #rowsPerMillisecond: number | undefined;
  #last: { readonly rows: number; readonly milliseconds: number } | undefined;
  /** Time that a batch takes however few rows it has, such as for a sub-select that reads another table. */
  #fixedMilliseconds = 0;

  constructor(wantedMilliseconds: number, rows = FIRST_ROWS) {
    this.#wantedMilliseconds = wantedMilliseconds;
    this.#rows = rows;
  }

  get rows(): number {
    return this.#rows;
  }

  /**
   * Learns from the duration of a batch. The size at most doubles, so that one quick batch decides little. If fewer
   * rows do not make a batch shorter, it may take longer: half of its time for its rows.
   */
  took(rows: number, milliseconds: number): void {
    const rate = rows / Math.max(1, milliseconds);
    this.#rowsPerMillisecond =
      this.#rowsPerMillisecond === undefined ? rate : this.#rowsPerMillisecond * (1 - NEWEST) + rate * NEWEST;
    const last = this.#last;
    this.#last = { rows, milliseconds };
    if (last !== undefined && last.rows !== rows && Math.min(rows, last.rows) <= FEW_ROWS) {
      const each = (milliseconds - last.milliseconds) / (rows - last.rows);
      this.#fixedMilliseconds = Math.max(0, Math.min(milliseconds, milliseconds - rows * each));
    }
    const fixed = this.#fixedMilliseconds;
    const isRest = fixed <= this.#wantedMilliseconds / 2;
    const wanted = isRest
      ? this.#rowsPerMillisecond * this.#wantedMilliseconds
      : (rows * fixed) / Math.max(1, milliseconds - fixed);
    this.#rows = Math.min(MOST_ROWS, this.#rows * 2, Math.max(LEAST_ROWS, Math.round(wanted)));
  }

  /** Learns that a batch ran into a timeout. */
  halve(): void {
    this.#rows = Math.max(LEAST_ROWS, Math.floor(this.#rows / 2));
    this.#rowsPerMillisecond = undefined;
  }
}
