import type { RelationName } from './relation-name.ts';

/** A statement that is done in batches, taken apart at synth so that a batch's bounds can be put into its WHERE. */
export interface Backfill {
  readonly command: 'update' | 'delete' | 'insert';
  /** The relation whose rows are walked: the target of UPDATE and DELETE, the first table of INSERT … SELECT. */
  readonly table: RelationName;
  /** The author wrote ONLY. */
  readonly only: boolean;
  /** By which the statement's columns are qualified. */
  readonly alias: string;
  /** The author wrote it; else it is the table's name. */
  readonly aliasWritten: boolean;
  /** Columns that an UPDATE sets. */
  readonly sets: readonly string[];
  /** Of INSERT. */
  readonly insertsInto: RelationName | undefined;
  /** A row that is done does not match its WHERE any more, so rows written meanwhile can be found by it. */
  readonly makesItsWhereFalse: boolean;
  /** It has other relations in FROM or USING, so its WHERE means nothing by itself. */
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
/** With so few rows to a batch, it may be something else than its rows that takes the time. */
const FEW_ROWS = 200;
/** Weight of the newest batch in the average. */
const NEWEST = 0.3;

/** Rows of the next batch, by how long the ones before took. */
export class BatchSize {
  readonly #wantedMilliseconds: number;
  #rows: number;
  #rowsPerMillisecond: number | undefined;
  #last: { readonly rows: number; readonly milliseconds: number } | undefined;
  /** What a batch takes however few rows it has: a sub-select that reads another table, say. */
  #fixedMilliseconds = 0;

  constructor(wantedMilliseconds: number, rows = FIRST_ROWS) {
    this.#wantedMilliseconds = wantedMilliseconds;
    this.#rows = rows;
  }

  get rows(): number {
    return this.#rows;
  }

  /**
   * What a batch of that many rows took. It at most doubles, so that one quick batch decides nothing. Where fewer rows
   * do not make it shorter, it takes the time that it needs: half of it for its rows.
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

  /** A batch ran into a limit. */
  halve(): void {
    this.#rows = Math.max(LEAST_ROWS, Math.floor(this.#rows / 2));
    this.#rowsPerMillisecond = undefined;
  }
}
