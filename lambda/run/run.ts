import type { DeployFinding } from '../foresight/deploy-finding.ts';
import type { RecordedBuild } from '../migration/build.ts';
import type { Ledger } from '../migration/ledger.ts';
import type { LockMove } from '../migration/lock-patience.ts';
import type { CompiledMigrations, Migration } from '../migration/migration.ts';
import type { MigrationOptions } from '../migration/options.ts';
import type { Plan } from '../migration/plan.ts';
import type { Blocker } from '../postgres/catalog/blockers.ts';
import type { ConnectionTarget } from '../postgres/session/connection-target.ts';
import type { NoticeEvent } from '../postgres/session/notices.ts';

/** One pass of the migrator, whatever started it. */
export interface RunRequest {
  readonly migrations: CompiledMigrations;
  readonly target: ConnectionTarget;
  readonly options: MigrationOptions;
  readonly cause: RunCause;
  /** Deadline in milliseconds since 1970; absent where nothing ends the process. */
  readonly deadline: number | undefined;
  /**
   * The deadline is earlier than the invocation's end: what it interrupts is left to the next run, and is not reported
   * as too long.
   */
  readonly shortened?: boolean;
  /** Called with each event that a person watching would want to see. */
  readonly report: (event: RunEvent) => void;
  /** Ends the run: cancels the statement under way, sends no other, and throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** Seconds after which connecting is given up. @default 30 */
  readonly patienceSeconds?: number;
  /** Seconds of silence after which the statement is checked from a second session. @default 60 */
  readonly silentSeconds?: number;
}

/** Stored in the ledger with each run. */
export interface RunCause {
  readonly kind: 'cloudformation' | 'loop' | 'console' | 'command line';
  /** `Create of stack …`, a user and host, an execution's name. */
  readonly actor: string;
}

export interface RunResult {
  readonly runId: string;
  /**
   * `done`: every step that is not a build is applied. `waiting`: some wait for builds. `unfinished`: time ran out
   * between two steps; the next run continues.
   */
  readonly outcome: 'done' | 'waiting' | 'unfinished';
  readonly applied: readonly AppliedStep[];
  /** All builds that are not over, handed off by this run or before it. */
  readonly builds: readonly RecordedBuild[];
  /** The ledger as it was read, where there was nothing to do. */
  readonly idle: Ledger | undefined;
  /** The first step that waits, and why. */
  readonly waiting: { readonly file: string; readonly step: number; readonly because: string } | undefined;
}

/**
 * How a run ended, for whoever is told. `kept`: a rollback to earlier code, which left the database as it is.
 */
export type RunEnd =
  | { readonly kind: 'ended'; readonly result: RunResult }
  | { readonly kind: 'kept'; readonly runId: string }
  | { readonly kind: 'failed'; readonly error: unknown };

/** How a step was applied. */
export const appliedHow = ['transaction', 'autocommit', 'inline', 'handed off'] as const;

export interface AppliedStep {
  readonly migration: Migration;
  readonly step: number;
  readonly how: (typeof appliedHow)[number];
}

export type RunEvent =
  | { readonly kind: 'planned'; readonly plan: Plan }
  | { readonly kind: 'applied'; readonly steps: readonly AppliedStep[]; readonly milliseconds: number }
  /** What the linter found in the real database; the run may be refused next. */
  | { readonly kind: 'linted'; readonly findings: readonly DeployFinding[] }
  /** Adopted from another tool's history; `edited`: files that differ from what that tool applied. */
  | {
      readonly kind: 'adopted';
      readonly tool: string;
      readonly table: string;
      readonly files: readonly string[];
      readonly edited: readonly string[];
      readonly missing: readonly string[];
    }
  /** Other roles could change the ledger, and with it what is executed. */
  | { readonly kind: 'ledger-exposed'; readonly because: string }
  | { readonly kind: 'waiting-for-run' }
  | {
      readonly kind: 'locked';
      readonly file: string;
      /** How many attempts have found the step's locks taken. */
      readonly attempt: number;
      /** `hold-back`: another attempt would fail and keep the application waiting, so we only look again. */
      readonly next: LockMove['kind'];
      readonly inMilliseconds: number;
      readonly blockers: readonly Blocker[];
    }
  | { readonly kind: 'reconnecting'; readonly because: string }
  | NoticeEvent
  | { readonly kind: 'waiting-for-builds'; readonly file: string; readonly because: string }
  | { readonly kind: 'undoing'; readonly file: string; readonly step: number; readonly steps: number };
