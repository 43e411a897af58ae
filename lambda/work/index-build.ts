import type { BuildState } from '../migration/build.ts';
import type { PostgresFault } from '../migration/migration-error.ts';
import type { Version } from '../migration/version.ts';

/** An index operation that was handed off to the loop, as the ledger has it. */
export interface IndexBuild {
  readonly id: string;
  /** Schema of the ledger that has it. */
  readonly ledger: string;
  readonly version: Version;
  readonly step: number;
  /** The run that handed it off. */
  readonly runId: string;
  readonly file: string;
  readonly line: number;
  readonly operation: 'create' | 'drop' | 'reindex';
  readonly schema: string;
  readonly table: string;
  /** Empty for REINDEX TABLE. */
  readonly index: string;
  readonly unique: boolean;
  /** The concurrent statement, with every name resolved. */
  readonly statement: string;
  /** CREATE INDEX's text after the table name: compared with what stands in the catalog. */
  readonly definition: string;
  /** The file's SET statements, for the build session. */
  readonly settings: readonly string[];
  /** REINDEX: the indexes as they were; it is done when all of them are replaced. */
  readonly replaces: readonly number[];
  /** The table is partitioned: its index is made of its partitions' indexes, each a build of its own. */
  readonly partitioned: boolean;
  readonly state: BuildState;
  /** Begun so far. */
  readonly attempts: number;
  readonly turns: number;
  readonly session: SessionKind | undefined;
  /** Since the newest attempt was begun; undefined before the first. */
  readonly secondsSinceStart: number | undefined;
  /** Since the first attempt was begun. */
  readonly secondsSinceFirstStart: number | undefined;
  /** The newest attempt's builder has been at work: should nobody be seen, it is gone, and not yet to come. */
  readonly builderAppeared: boolean;
  /** How the newest attempt ended, where somebody was there to see it. */
  readonly attemptOutcome: AttemptOutcome | undefined;
}

/** Where the build's statement lives. */
export type SessionKind = 'loopback' | 'orphan' | 'attached';

export type AttemptOutcome =
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'failed'; readonly fault: PostgresFault };
