import type { Blocked, LockWork } from './lock-modes.ts';
import type { RelationName } from './relation-name.ts';

/**
 * What only the real database can tell about a statement; the linter leaves these checks to the deploy: how large a
 * table is, and whether the data lets the statement succeed.
 */
export type DeployCheck = SizeCheck | DataCheck;

interface CheckBase {
  /** Name of the lint rule: for `-- migrate: allow`, and for levels. */
  readonly rule: string;
  /** `refuse`: the run stops before it touches anything. `show`: it is shown, and the run continues. */
  readonly verdict: 'refuse' | 'show';
  readonly relation: RelationName;
  /** With ONLY, NO INHERIT or a foreign key, the tables that inherit from it are not affected. */
  readonly alone?: true;
}

/** The statement blocks others while it works through the table: the table's size decides. */
export interface SizeCheck extends CheckBase {
  readonly kind: 'size';
  readonly work: BlockingWork;
  readonly blocks: Blocked;
  /** The linter's sentence. */
  readonly what: string;
  /** The SQL that the linter suggests instead. */
  readonly instead: string;
  /** ADD COLUMN IF NOT EXISTS does nothing if the table has the column. */
  readonly unlessColumn?: string;
  /** SET NOT NULL: no row is read where the column is that already, or a CHECK shows it. */
  readonly unlessNotNull?: string;
  /** `alter column x type text`: only the column's own type tells whether anything is rewritten. */
  readonly retype?: Retype;
  /** ATTACH PARTITION: no row is read where a valid CHECK shows that all belong there. */
  readonly attach?: Attach;
  /** SET LOGGED, SET TABLESPACE and the like: nothing is rewritten where the table is so already. */
  readonly unlessStored?: Stored;
}

export interface Retype {
  readonly column: string;
  readonly command: string;
  /** `Turning x into text`: how a sentence begins that says what it does. */
  readonly turning: string;
}

export interface Attach {
  readonly parent: RelationName;
  /** `for values from (…) to (…)`, as written. */
  readonly bound: string;
}

/** One of these; names are identifiers, unquoted. */
export type Stored =
  | { readonly by: 'logged' | 'unlogged' }
  | { readonly by: 'tablespace' | 'access method' | 'virtual column'; readonly name: string };

/** Work that takes the longer the larger the table is. */
export type BlockingWork = Exclude<LockWork, 'moment'>;

export type DataCheck = NullsCheck | OrphansCheck | DuplicatesCheck | ViolationsCheck;

/** SET NOT NULL fails where the column holds a null. */
export interface NullsCheck extends CheckBase {
  readonly kind: 'nulls';
  readonly column: string;
}

/** A foreign key fails if a row references a missing one. */
export interface OrphansCheck extends CheckBase {
  readonly kind: 'orphans';
  readonly columns: readonly string[];
  readonly references: RelationName;
  /** Empty for the primary key. */
  readonly referenced: readonly string[];
  /** MATCH FULL: what is null in part refers to nothing either. */
  readonly full?: true;
}

/** A unique index or constraint fails if two rows have the same key. */
export interface DuplicatesCheck extends CheckBase {
  readonly kind: 'duplicates';
  readonly key: UniqueKey;
}

/** The key, as SQL. */
export interface UniqueKey {
  /** Columns, quoted where needed, and expressions in parentheses or as a function call. */
  readonly parts: readonly string[];
  /** For each part, the operator class that the statement names: it decides which values are equal. */
  readonly operatorClasses?: readonly (RelationName | null)[];
  /** The index's own WHERE. */
  readonly where: string | undefined;
  readonly nullsNotDistinct: boolean;
}

/** A CHECK fails if it is false for a row. */
export interface ViolationsCheck extends CheckBase {
  readonly kind: 'violations';
  readonly constraint: string;
  /** SQL, as the author wrote it. */
  readonly expression: string;
}

/** The linter's rules that only a deploy can check. */
export const dataRules = {
  nulls: 'null-values',
  orphans: 'orphaned-rows',
  duplicates: 'duplicate-values',
  violations: 'check-violations',
} as const satisfies Record<DataCheck['kind'], string>;
