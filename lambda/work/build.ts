import type { RecordedBuild } from '../migration/build.ts';
import type { PostgresFault } from '../migration/postgres-fault.ts';

/** A piece of work that was handed off to the loop, of whatever kind, as the ledger has it. */
export interface Build extends RecordedBuild {
  /** Schema of the ledger that has it. */
  readonly ledger: string;
  /** The run that handed it off. */
  readonly runId: string;
  readonly file: string;
  readonly line: number;
  /** The concurrent statement, with every name resolved. */
  readonly statement: string;
  /**
   * CREATE INDEX's text after the table name: compared with the catalog. Of a statement whose result has
   * rows: WITH_ROWS.
   */
  readonly definition: string;
  /** The file's SET statements, for the build session. */
  readonly settings: readonly string[];
  /** REINDEX: the oids of the old indexes; it is done when all of them are replaced. */
  readonly replaces: readonly number[];
  /** Whether the table is partitioned: each partition's index is then a build of its own. */
  readonly partitioned: boolean;
  /** Attempts started so far. */
  readonly attempts: number;
  readonly turns: number;
  readonly session: SessionKind | undefined;
  /** Since the latest attempt started; undefined before the first. */
  readonly secondsSinceStart: number | undefined;
  /** Since the first attempt started. */
  readonly secondsSinceFirstStart: number | undefined;
  /**
   * Whether the latest attempt's builder has been seen: if nobody is seen now, it is gone rather than still to come.
   */
  readonly builderAppeared: boolean;
  /** What it was last seen waiting for; undefined if it was not waiting. */
  readonly waiting: Waiting | undefined;
  /** How the latest attempt ended, if its end was recorded. */
  readonly attemptOutcome: AttemptOutcome | undefined;
}

export const WITH_ROWS = 'rows';

/** A build that waits until another session's transaction ends. */
export interface Waiting {
  /** Tells one transaction from the next. */
  readonly blocker: string;
  /** How long that transaction has been known to block it. */
  readonly blockerSeconds: number;
  /** How long it has waited in all. */
  readonly seconds: number;
}

/** Where the build's statement lives; docs/index-builds.md tells them apart. */
export const sessionKinds = ['loopback', 'orphan', 'attached'] as const;
export type SessionKind = (typeof sessionKinds)[number];

export type AttemptOutcome =
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'failed'; readonly fault: PostgresFault };
