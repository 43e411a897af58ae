import type { Backfill } from './backfill.ts';
import type { LongOperation } from './build.ts';
import type { DeployCheck } from './deploy-check.ts';
import type { LayoutName, LayoutOrder, ToolRecord } from './layout.ts';
import type { RelationLock } from './lock-modes.ts';
import type { RelationName } from './relation-name.ts';
import type { Version } from './version.ts';

/**
 * What `compiler/steps/compile-migrations.ts` makes of a folder at synth, and all that the Lambda knows of it: plain
 * JSON without syntax trees, so that the bundle needs no parser.
 */
export interface CompiledMigrations {
  /** Increased when the meaning of a field changes; an older function refuses a newer file. */
  readonly format: 1;
  /** SHA-256 over all migrations, in order: how CloudFormation notices a change. */
  readonly checksum: string;
  /** How the folder is laid out, and how its identities compare. Absent in files of older compilers. */
  readonly layout?: LayoutName;
  readonly order?: LayoutOrder;
  /** The table of the layout's tool, where the tool's own settings give it another name. */
  readonly historyTable?: RelationName;
  /** In the order in which they are applied. */
  readonly migrations: readonly Migration[];
}

/** One versioned SQL file, compiled. */
export interface Migration {
  /** Its identity: the tool's own name for it, according to the layout. */
  readonly version: Version;
  /** Its place in the folder, from 0. Absent in files of older compilers. */
  readonly position?: number;
  /** Its name in older ledgers, which did not have the tool's own. */
  readonly formerly?: Version;
  /**
   * `repeatable`: applied again with every change, after all others. `checkpoint`: stands for all before it, in a
   * database that has none of them.
   */
  readonly kind?: 'repeatable' | 'checkpoint';
  /** Its record in the tool's own table. */
  readonly record?: ToolRecord;
  /** File name without `.sql`, or the folder's name: `0002_message_indexes`. */
  readonly name: string;
  /** Path relative to the migrations folder, with `/`: what errors point to. */
  readonly file: string;
  /** SHA-256 (hex) of the file's bytes without BOM and with LF: changes with every edit. */
  readonly checksum: string;
  /** At least one: an empty or comment-only file is one transaction step without statements. */
  readonly steps: readonly Step[];
  /** Steps of the undo file; absent without one. */
  readonly undo: UndoFile | undefined;
  /** Why an undo file of another tool's folder can't be used: where, and what is wrong. */
  readonly undoProblem?: string | undefined;
  /** `-- migrate: wait`: every index build before this file must be valid before it begins. */
  readonly waitsForBuilds: boolean;
  /** `-- migrate: allow RULE reason`, in the order written. */
  readonly allowed: readonly AllowedRule[];
}

export interface UndoFile {
  readonly file: string;
  readonly checksum: string;
  readonly steps: readonly Step[];
}

export interface AllowedRule {
  readonly rule: string;
  readonly reason: string;
  readonly position: Position;
}

/** 1-based, in characters of the file as the author sees it. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** `columns`: those that may differ, where no others may. */
export type AlteredRelation = RelationName & { readonly columns?: readonly string[] };

/** One SQL statement, exactly as written, without its semicolon. */
export interface Statement {
  readonly text: string;
  readonly position: Position;
  /** The parser's node name: `CreateStmt`, `IndexStmt`, `SelectStmt`, … */
  readonly kind: string;
  readonly touches: Touches;
  /**
   * The strongest lock on each relation, as far as the text and the folder before it tell. Absent in files of older
   * compilers.
   */
  readonly locks?: readonly RelationLock[];
  /**
   * Relations whose rows or columns may differ after it has run; `everything` if it can't be analysed; `names` if names
   * without a schema may mean other relations afterwards, in the same step. Absent: as `everything`.
   */
  readonly alters?: 'everything' | 'names' | readonly AlteredRelation[];
  /** CREATE INDEX IF NOT EXISTS: Postgres skips the statement if a relation of this name exists. */
  readonly unlessExists?: RelationName;
  /** CREATE MATERIALIZED VIEW: the relations that its query names, which a refresh reads. */
  readonly reads?: readonly RelationName[];
  /** RENAME and SET SCHEMA of a table or view: the same relation under another name. */
  readonly renames?: { readonly from: RelationName; readonly to: RelationName };
  /** A SET, RESET or set_config and nothing else, so that it may be sent again. */
  readonly setting?: true;
  /** Whether settings may differ after it has run, if only for the rest of its transaction. */
  readonly changesSettings?: true;
  /** What the linter leaves to the deploy. */
  readonly checks?: readonly DeployCheck[];
}

/** What a statement has to do with relations: enough to know which of them must wait for a build. */
export interface Touches {
  /** Tables and materialized views that it creates. */
  readonly creates: readonly RelationName[];
  /**
   * Existing relations that its DDL locks: altered, dropped, truncated, indexed, clustered, refreshed,
   * given a trigger, or referenced by a new foreign key.
   */
  readonly changes: readonly RelationName[];
  /** Targets of INSERT, UPDATE, DELETE, MERGE and COPY. */
  readonly writes: readonly RelationName[];
  /** Targets of INSERT … ON CONFLICT and MERGE: these may need a unique index. */
  readonly upserts: readonly RelationName[];
  /** Indexes that it names: ALTER INDEX, DROP INDEX, USING INDEX, CLUSTER … USING, REPLICA IDENTITY. */
  readonly indexes: readonly RelationName[];
  /** It can't be analysed: DO, CALL, EXECUTE. */
  readonly opaque: boolean;
  /** Tables whose partitions, or inheriting tables, are among `changes`, as far as the folder tells. */
  readonly partOf?: readonly RelationName[];
  /** Absent if it neither reads nor changes existing rows. */
  readonly rows?: TouchedRows;
}

/** Rows that a statement reads or changes, through views too that the folder makes; not those that it adds. */
export interface TouchedRows {
  readonly relations: readonly RelationName[];
  /** Every name that may be one of their columns; `*` for whole rows. */
  readonly columns: readonly string[];
}

/** A maximal part of a migration that runs and is recorded as one. */
export type Step = TransactionStep | AutocommitStep | IndexOperationStep;

/** A statement that may outlast a function, and its target. */
export interface LongStatement {
  readonly operation: LongOperation;
  /** The table, view or domain; absent if there is none, or it is unknown. */
  readonly relation: RelationName | undefined;
  /**
   * The constraints that it validates, the partition that it detaches, the columns that it fills, the table that it
   * adds rows to.
   */
  readonly names: readonly string[];
  /** Whether its file says `-- migrate: hand-off`, whatever the table's size. */
  readonly handOff?: true;
  /** Its result may have any number of rows, which nobody reads: SELECT, RETURNING. */
  readonly hasRows?: true;
  /** For a `backfill`: how it is done in batches. */
  readonly backfill?: Backfill;
}

interface StepBase {
  /** 0-based within its file. */
  readonly number: number;
  /** SHA-256 (hex) over the parsed statements, blind to comments, white space and keyword case. */
  readonly fingerprint: string;
  /**
   * `SET` statements (and `select set_config(…, false)`) of earlier steps of the same file, in order. They are
   * sent before the step, since it may run in another session than the step that first had them.
   */
  readonly settings: readonly string[];
  /** Whether something in it may persist in the session (SET, set_config, temporary tables, PREPARE, DO, …). */
  readonly leavesSettings: boolean;
  /** It is one statement, which is handed off to the loop if it would take too long for the run. */
  readonly long?: LongStatement;
}

export interface TransactionStep extends StepBase {
  readonly kind: 'transaction';
  readonly transaction: TransactionOptions;
  readonly statements: readonly Statement[];
  /**
   * The first digits of the fingerprints that the step would have if it ended after its first, second, … statement,
   * without the last: an applied step may have been extended since.
   */
  readonly beginnings?: readonly string[];
}

/** From the author's own BEGIN or SET TRANSACTION; empty for the server's defaults. */
export interface TransactionOptions {
  readonly isolation?: 'read uncommitted' | 'read committed' | 'repeatable read' | 'serializable';
  readonly readOnly?: boolean;
  readonly deferrable?: boolean;
}

/** One statement that PostgreSQL refuses inside a transaction block, or that commits by itself. */
export interface AutocommitStep extends StepBase {
  readonly kind: 'autocommit';
  readonly statement: Statement;
  /** How to find out, after a crash, whether it happened. */
  readonly recovery: Recovery;
}

/**
 * `repeat`: running it twice is the same as running it once (VACUUM, ALTER SYSTEM, …).
 * `exists` / `absent`: it happened if the object exists / is gone.
 * `ask`: nothing can tell; an operator must say so with `repair`.
 */
export type Recovery =
  | { readonly kind: 'repeat' }
  | {
      readonly kind: 'exists' | 'absent';
      readonly object: 'database' | 'tablespace' | 'subscription';
      readonly name: string;
    }
  | { readonly kind: 'ask' };

export interface IndexOperationStep extends StepBase {
  readonly kind: 'index-operation';
  readonly statement: Statement;
  readonly operation: IndexOperation;
}

/** The parts of the statement, from which its concurrent and its plain form can be written. */
export type IndexOperation = CreateIndex | DropIndexes | Reindex;

export interface CreateIndex {
  readonly kind: 'create-index';
  readonly table: RelationName;
  /** As Postgres will store it: unquoted, cut to 63 bytes. Absent if the author left the name to Postgres. */
  readonly index: string | undefined;
  readonly unique: boolean;
  readonly ifNotExists: boolean;
  /** Source text after the table's name, from USING or the opening bracket to the end. */
  readonly definition: string;
  /** `create index … on only parent`. */
  readonly only: boolean;
  /** The name that Postgres would choose, such as `messages_user_id_idx`. */
  readonly suggestedName: string;
}

export interface DropIndexes {
  readonly kind: 'drop-index';
  readonly indexes: readonly RelationName[];
  readonly ifExists: boolean;
  readonly cascade: boolean;
}

export interface Reindex {
  readonly kind: 'reindex';
  readonly target: 'index' | 'table' | 'schema' | 'database' | 'system';
  /** Absent for the current database. */
  readonly name: RelationName | undefined;
  /** `(tablespace x, verbose)` as written, without CONCURRENTLY; empty where there are none. */
  readonly options: string;
}

/** The settings under which a statement of the step runs: those of its file before the step, and those within. */
export function settingsOf(step: Step, statement: Statement): readonly string[] {
  const statements = statementsOf(step);
  const own = statements.slice(0, statements.indexOf(statement)).filter(({ setting }) => setting === true);
  return own.length === 0 ? step.settings : [...step.settings, ...own.map(({ text }) => text)];
}

/** A step as one for each of the settings within: what each of them names is found under its own. */
export function partsOf(step: Step): readonly Step[] {
  if (step.kind !== 'transaction' || step.statements.every(({ setting }) => setting !== true)) return [step];
  const parts: TransactionStep[] = [];
  let settings = step.settings;
  for (const statement of step.statements) {
    const last = parts.at(-1);
    if (statement.setting === true) settings = [...settings, statement.text];
    else if (last?.settings === settings)
      parts[parts.length - 1] = { ...last, statements: [...last.statements, statement] };
    else parts.push({ ...step, settings, statements: [statement] });
  }
  return parts;
}

/** All statements of a step, in order. */
export function statementsOf(step: Step): readonly Statement[] {
  return step.kind === 'transaction' ? step.statements : [step.statement];
}
