import type { CompiledMigrations } from '../../migration/migration.ts';
import type { MigrationOptions } from '../../migration/options.ts';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import type { ConnectionTarget } from '../../postgres/session/connection-target.ts';
import type { NoticeEvent } from '../../postgres/session/notices.ts';
import type { Build, SessionKind } from '../build.ts';
import type { Decision } from '../decide.ts';
import type { BuildTable } from '../loop-task.ts';
import type { ProgressSeen } from './build-progress.ts';

export interface TurnRequest {
  readonly table: BuildTable;
  /** From 1; for the log. */
  readonly turn: number;
  readonly target: ConnectionTarget;
  readonly options: MigrationOptions;
  /** The migrations of the running code, with which the ledger is compared. */
  readonly migrations: CompiledMigrations;
  /** Deadline in milliseconds since 1970; absent where nothing ends the process. */
  readonly deadline: number | undefined;
  readonly report: (event: TurnEvent) => void;
  /**
   * Whether something else waits for the end of this invocation: a backfill, which would use up its time, then ends its
   * turn.
   */
  readonly yields?: () => boolean;
  /** Pause between two attempts. @default pauseSeconds of lambda/work/wait-seconds.ts */
  readonly pauseSeconds?: ((attempts: number, fault: PostgresFault | undefined) => number) | undefined;
}

export type TurnEvent =
  /** Notices of a build in our session; those of one in another session are in the server's log. */
  | NoticeEvent
  | {
      readonly kind: 'turn';
      readonly build: Build;
      readonly turn: number;
      readonly decision: Decision['kind'];
    }
  | {
      readonly kind: 'started';
      readonly build: Build;
      readonly attempt: number;
      readonly session: SessionKind;
      /** Why it is not a loopback session, which would outlive us. */
      readonly because?: string;
    }
  | { readonly kind: 'progress'; readonly build: Build; readonly progress: ProgressSeen }
  | {
      readonly kind: 'ended';
      readonly build: Build;
      readonly outcome: 'done' | 'adopted' | 'failed';
      readonly fault: PostgresFault | undefined;
    };
