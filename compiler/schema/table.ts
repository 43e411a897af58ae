import type { RelationName } from '../../lambda/migration/relation-name.ts';
import type { DataType } from './type-name.ts';

/** Which statement made something: a file by its place in the order of versions, a statement by its place in it. */
export interface Origin {
  readonly file: string;
  readonly statement: number;
}

export type RelationKind =
  | 'table'
  | 'partitioned table'
  | 'foreign table'
  | 'view'
  | 'materialized view'
  /** Only altered or referenced in this folder, so created by something that the folder does not show. */
  | 'unknown';

export interface Relation {
  name: RelationName;
  readonly kind: RelationKind;
  readonly temporary: boolean;
  /** Absent where the folder does not create it. */
  readonly origin: Origin | undefined;
  readonly columns: Map<string, Column>;
  readonly constraints: Map<string, TableConstraint>;
  /** Tables of which it is a partition or a child. */
  readonly parents: Relation[];
  /** Of a partitioned table: the columns by which rows find their partition; an expression has no name. */
  readonly partitionKey: readonly (string | undefined)[];
  /** The default partition: a new partition has to scan it. */
  isDefaultPartition: boolean;
  hasPolicy: boolean;
}

export interface Column {
  readonly type: DataType | undefined;
  readonly notNull: boolean;
  readonly origin: Origin | undefined;
}

export type ConstraintKind = 'check' | 'not null' | 'unique' | 'primary key' | 'exclusion' | 'foreign key';

export interface TableConstraint {
  readonly name: string;
  readonly kind: ConstraintKind;
  /** Columns of the table itself; for a CHECK, those that its expression names. */
  readonly columns: readonly string[];
  readonly validated: boolean;
  /** Columns that a CHECK proves to be not null: `check (x is not null)`. */
  readonly provesNotNull: readonly string[];
  /** Of a foreign key. */
  readonly references: Relation | undefined;
  /** Fingerprint of a check's expression. */
  readonly expression: string | undefined;
  readonly origin: Origin;
}

export interface Index {
  /** As Postgres has it: given, or chosen as Postgres chooses it. */
  name: string;
  readonly table: Relation;
  readonly unique: boolean;
  readonly method: string;
  /** Column or expression with collation, operator class and order, normalised. */
  readonly keys: readonly string[];
  /** The columns behind the keys; an expression has none. */
  readonly keyColumns: readonly (string | undefined)[];
  /** Every column that it needs, those in expressions and in the predicate included. */
  readonly columns: ReadonlySet<string>;
  readonly include: readonly string[];
  readonly predicate: string | undefined;
  readonly nullsNotDistinct: boolean;
  /** An index `on only parent`, or one that backs a constraint, can't be told from others by its definition alone. */
  readonly only: boolean;
  readonly constraint: boolean;
  readonly origin: Origin | undefined;
}
