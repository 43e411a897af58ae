import type { Blocked } from '../../lambda/migration/lock-modes.ts';
import type { RelationName } from '../../lambda/migration/relation-name.ts';
import type { StatementContext } from './statement-context.ts';

/**
 * `error`: nearly always wrong on a table that exists; synth fails. `warning`: wrong on a table that is large or in
 * use; the size at deploy decides. `advice`: safe now, but often regretted.
 */
export type Severity = 'error' | 'warning' | 'advice';

export interface Rule {
  /** As in `-- migrate: allow RULE reason`. */
  readonly name: string;
  /** Unless the folder's levels say otherwise. */
  readonly severity: Severity;
  /** What it finds, in a few words. */
  readonly title: string;
  /** Whether its findings are about a lock, and so name it. */
  readonly aboutLocks: boolean;
  /** The table's size decides whether it matters, so the deploy checks it again. @default false */
  readonly bySize?: boolean;
  /** Its SQL does the same as the statement, so `lint --fix` may write it. @default false */
  readonly fixes?: boolean;
  readonly check: (context: StatementContext) => Iterable<Report>;
}

/** What a rule says about one statement. */
export interface Report {
  /** Where in the file's text. @default the statement's beginning */
  readonly index?: number | undefined;
  /** One sentence: what is wrong. */
  readonly what: string;
  /** How that sentence begins where the deploy finds out what a change of a column's type does. */
  readonly turning?: string;
  /** SQL to put in place of the statement, with its semicolons. */
  readonly instead: string;
  /** SQL for a later migration, once what the note asks for is done. */
  readonly afterwards?: string | undefined;
  /** What the SQL alone does not tell. */
  readonly note?: string | undefined;
  /** The relation whose lock it is about. @default the relation that the statement locks most strongly */
  readonly relation?: RelationName | undefined;
  /** Nobody is kept waiting but the deploy, for as long as it reads these. */
  readonly reads?: readonly RelationName[];
  /** Who is kept waiting, where that does not follow from the statement's own lock. */
  readonly blocks?: Blocked;
  /** Tables that inherit from it are left alone. */
  readonly alone?: boolean;
}
