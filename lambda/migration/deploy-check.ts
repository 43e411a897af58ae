import type { Blocked, LockWork } from './lock-modes.ts';
import type { RelationName } from './relation-name.ts';

/**
 * What only the real database can tell of a statement, as the linter left it at synth: how large a table is, and
 * whether the data is such that the statement can succeed.
 */
export type DeployCheck = SizeCheck | DataCheck;

interface CheckBase {
  /** Name of the lint rule: for `-- migrate: allow`, and for levels. */
  readonly rule: string;
  /** `refuse`: the run stops before it touches anything. `show`: it is said, and the run goes on. */
  readonly verdict: 'refuse' | 'show';
  readonly relation: RelationName;
  /** ONLY, NO INHERIT, a foreign key: the tables that inherit from it are left alone. */
  readonly alone?: true;
}

/** The statement keeps others out for as long as it works through the table: the table's size decides. */
export interface SizeCheck extends CheckBase {
  readonly kind: 'size';
  readonly work: BlockingWork;
  readonly blocks: Blocked;
  /** The linter's sentence. */
  readonly what: string;
  /** The linter's SQL, to be written instead. */
  readonly instead: string;
  /** ADD COLUMN IF NOT EXISTS: nothing is done where the table has the column. */
  readonly unlessColumn?: string;
  /** SET NOT NULL: no row is read where the column is that already, or a CHECK shows it. */
  readonly unlessNotNull?: string;
  /** `alter column x type text`: only the column's own type tells whether anything is rewritten. */
  readonly retype?: { readonly column: string; readonly command: string };
}

/** Work that takes the longer the larger the table is. */
export type BlockingWork = Exclude<LockWork, 'moment'>;

export type DataCheck = NullsCheck | OrphansCheck | DuplicatesCheck | ViolationsCheck;

/** SET NOT NULL fails where the column holds a null. */
export interface NullsCheck extends CheckBase {
  readonly kind: 'nulls';
  readonly column: string;
}

/** A foreign key fails where a row refers to one that is not there. */
export interface OrphansCheck extends CheckBase {
  readonly kind: 'orphans';
  readonly columns: readonly string[];
  readonly references: RelationName;
  /** Empty for the primary key. */
  readonly referenced: readonly string[];
  /** MATCH FULL: what is null in part refers to nothing either. */
  readonly full?: true;
}

/** A unique index, or the constraint over one, fails where a key stands in two rows. */
export interface DuplicatesCheck extends CheckBase {
  readonly kind: 'duplicates';
  readonly key: UniqueKey;
}

/** What may not stand in two rows, as SQL. */
export interface UniqueKey {
  /** Columns, in quotes where they need them, and expressions in brackets or of one function. */
  readonly parts: readonly string[];
  /** For each part, where the statement names one: it decides which values are equal. */
  readonly operatorClasses?: readonly (RelationName | null)[];
  /** The index's own WHERE. */
  readonly where: string | undefined;
  readonly nullsNotDistinct: boolean;
}

/** A CHECK fails where a row makes it false. */
export interface ViolationsCheck extends CheckBase {
  readonly kind: 'violations';
  readonly constraint: string;
  /** SQL, as the author wrote it. */
  readonly expression: string;
}

/** Rules of the linter that only the deploy can ask. */
export const dataRules = {
  nulls: 'null-values',
  orphans: 'orphaned-rows',
  duplicates: 'duplicate-values',
  violations: 'check-violations',
} as const satisfies Record<DataCheck['kind'], string>;
