import {
  type Blocked,
  blockedBy,
  type LockMode,
  type LockWork,
  type RelationLock,
} from '../../lambda/migration/lock-modes.ts';
import type { Position } from '../../lambda/migration/migration.ts';
import type { Version } from '../../lambda/migration/version.ts';
import type { Severity } from './rule.ts';
import { writtenRelation } from './written-name.ts';

/** One thing that a rule found in a migration. */
export interface Finding {
  readonly rule: string;
  readonly severity: Severity;
  readonly version: Version;
  readonly file: string;
  readonly position: Position;
  /** The source line and a caret below it. */
  readonly excerpt: string;
  /** What is wrong, in one or two sentences. */
  readonly what: string;
  readonly lock: FindingLock | undefined;
  /** SQL to put in place of the statement. */
  readonly instead: string;
  /** SQL for a later migration. */
  readonly afterwards: string | undefined;
  /** What the SQL alone does not tell. */
  readonly note: string | undefined;
}

export interface FindingLock {
  readonly mode: LockMode;
  /** Name of the table or view, as a person writes it. */
  readonly relation: string;
  readonly blocks: Blocked;
  readonly work: LockWork;
  /** How long, in words: what it depends on, and seconds per million rows. */
  readonly duration: string;
}

/**
 * Measured with rows of 120 bytes and three indexes, all in memory; see docs/lint.md. From a cold disk it is several
 * times as long, so each is rounded up.
 */
const DURATIONS: Readonly<Record<LockWork, string>> = {
  moment: 'for a moment once it has the lock; while it waits for it, all who come later wait too',
  scan: 'for as long as it reads the whole table: about 0.5 s per million rows in memory',
  build: 'for as long as it builds the index: about 1 s per million rows in memory',
  write: 'until the transaction ends: about 15 s per million rows written',
  rewrite: 'for as long as it rewrites the table and its indexes: about 4 s per million rows in memory',
};

export function findingLock({ relation, mode, work }: RelationLock): FindingLock {
  return {
    mode,
    relation: writtenRelation(relation),
    blocks: blockedBy(mode),
    work,
    duration: DURATIONS[work],
  };
}
