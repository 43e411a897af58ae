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
  /** CREATE INDEX's text after the table name: compared with what stands in the catalog. */
  readonly definition: string;
  /** The file's SET statements, for the build session. */
  readonly settings: readonly string[];
  /** REINDEX: the indexes as they were; it is done when all of them are replaced. */
  readonly replaces: readonly number[];
  /** The table is partitioned: its index is made of its partitions' indexes, each a build of its own. */
  readonly partitioned: boolean;
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
  /** As the looks so far have found it waiting; undefined where the newest did not. */
  readonly waiting: Waiting | undefined;
  /** How the newest attempt ended, where somebody was there to see it. */
  readonly attemptOutcome: AttemptOutcome | undefined;
}

/** A build that stands still until another session's transaction ends. */
export interface Waiting {
  /** Tells one transaction from the next. */
  readonly blocker: string;
  /** For how long we have known that transaction in its way. */
  readonly blockerSeconds: number;
  /** For how long it has waited, for whomever. */
  readonly seconds: number;
}

/** Where the build's statement lives; docs/index-builds.md tells them apart. */
export const sessionKinds = ['loopback', 'orphan', 'attached'] as const;
export type SessionKind = (typeof sessionKinds)[number];

export type AttemptOutcome =
  | { readonly kind: 'succeeded' }
  | { readonly kind: 'failed'; readonly fault: PostgresFault };
