import type { LoggedEvent } from '../../lambda/aws/logged-event.ts';
import { duration } from '../../lambda/migration/amounts.ts';
import {
  type BuildState,
  describeBuild,
  isIndexBuild,
  isLost,
  successOf,
  tableOf,
} from '../../lambda/migration/build.ts';
import { faultLines } from '../../lambda/migration/migration-error.ts';
import type { PostgresFault } from '../../lambda/migration/postgres-fault.ts';
import { describeBlocker } from '../../lambda/postgres/catalog/blockers.ts';
import type { BuildRow } from '../../lambda/postgres/ledger/build-rows.ts';
import type { BuildStatus } from '../../lambda/status/status.ts';
import type { ProgressSeen } from '../../lambda/work/turn/build-progress.ts';

/** A build as the JSON document has it. */
export interface BuildDocument {
  /** Empty for REINDEX of a whole table. */
  readonly index: string;
  /** With its schema. */
  readonly table: string;
  readonly operation: BuildStatus['operation'];
  readonly file: string;
  readonly line: number;
  readonly outcome: BuildOutcome;
  /** Over without success, with a statement that is no longer in the folder. */
  readonly abandoned: boolean;
  readonly seconds: number | null;
  /** The least that it may be, where nobody saw the build end; null where `seconds` is exact. */
  readonly leastSeconds: number | null;
  readonly turns: number;
  readonly session: string | null;
  readonly attempts: number;
  readonly progress: ProgressSeen | null;
  readonly fault: PostgresFault | null;
}

/** `adopted`: it existed before any attempt of ours. `valid` also means that DROP INDEX dropped it. */
export type BuildOutcome = 'valid' | 'adopted' | Exclude<BuildState, 'done'>;

export function outcomeOf({ state, adopted }: Pick<BuildRow, 'state' | 'adopted'>): BuildOutcome {
  if (state !== 'done') return state;
  return adopted ? 'adopted' : 'valid';
}

export function buildDocument(build: BuildStatus): BuildDocument {
  const { index, operation, file, line, turns, session, attempts } = build;
  return {
    index,
    table: tableOf(build),
    operation,
    file,
    line,
    outcome: outcomeOf(build),
    abandoned: build.abandoned,
    seconds: rounded(build.seconds),
    leastSeconds: rounded(build.leastSeconds),
    turns,
    session: session ?? null,
    attempts,
    progress: build.progress ?? null,
    fault: build.fault ?? null,
  };
}

function rounded(seconds: number | undefined): number | null {
  return seconds === undefined ? null : Math.round(seconds * 1000) / 1000;
}

/** The outcome in words: a dropped index is not called valid. */
export function describeOutcome(build: Pick<BuildRow, 'state' | 'adopted' | 'operation'>): string {
  const outcome = outcomeOf(build);
  if (outcome !== 'valid') return outcome;
  return successOf(build.operation);
}

/** Whether a person has to act. */
export function needsPerson(build: Pick<BuildStatus, 'state' | 'abandoned'>): boolean {
  return isLost(build) && !build.abandoned;
}

/** `messages_user_id on public.messages` */
export function nameOfBuild({
  index,
  schema,
  table,
  operation,
}: {
  readonly index: string;
  /** Absent where the table is named with it. */
  readonly schema?: string;
  readonly table: string;
  readonly operation: BuildStatus['operation'];
}): string {
  if (!isIndexBuild({ operation })) return describeBuild({ index, schema: schema ?? '', table, operation });
  const on = schema === undefined ? table : `${schema}.${table}`;
  if (operation === 'create') return `${index} on ${on}`;
  return `${operation} of ${index === '' ? 'all indexes' : index} on ${on}`;
}

/** `building index: scanning table, 42 %, 12 s so far, about 3 min left` */
export function describeProgress(progress: ProgressSeen): string {
  const { phase, fraction, secondsElapsed, secondsLeft, blocker } = progress;
  const parts = [phase];
  if (fraction !== undefined) parts.push(`${Math.floor(fraction * 100)} %`);
  parts.push(`${duration(secondsElapsed)} so far`);
  if (secondsLeft !== undefined) parts.push(`about ${duration(secondsLeft)} left`);
  if (blocker !== undefined) parts.push(`waits for ${describeBlocker(blocker)}`);
  return parts.join(', ');
}

/** Shows a build's progress as an event, if it is under way and can be seen. */
export function showProgress(build: BuildStatus, show: (event: LoggedEvent) => void): void {
  const { operation, schema, table, index, progress, state } = build;
  if (state === 'building' && progress !== undefined)
    show({ kind: 'progress', operation, table: `${schema}.${table}`, index, ...progress });
}

/** `42 %, about 3 min left, building index: scanning table`: most important first, since a bar's line is cut. */
export function describeBriefly({ phase, fraction, secondsLeft, blocker }: ProgressSeen): string {
  const parts: string[] = [];
  if (fraction !== undefined) parts.push(`${Math.floor(fraction * 100)} %`);
  if (secondsLeft !== undefined) parts.push(`about ${duration(secondsLeft)} left`);
  parts.push(phase);
  if (blocker !== undefined) parts.push(`waits for ${describeBlocker(blocker)}`);
  return parts.join(', ');
}

/** `i on public.large (2_index.sql:1) failed, and its statement is not in this folder any more: …` */
export function describeAbandoned(build: BuildStatus): string {
  const { file, line, state } = build;
  return `${nameOfBuild(build)} (${file}:${line}) ${state === 'failed' ? 'failed' : 'was cancelled'}, and its statement is not in this folder any more: nothing waits for it.`;
}

/** Why a build has ended without success, with Postgres's own words. */
export function describeLoss(build: BuildStatus): string {
  const name = `${nameOfBuild(build)} (${build.file}:${build.line})`;
  const { fault, attempts, state } = build;
  if (state === 'cancelled') return `${name} was cancelled.`;
  const when = attempts === 0 ? 'before it started' : `after ${attempts} attempt${attempts === 1 ? '' : 's'}`;
  const after = `${name} failed ${when}`;
  if (fault === undefined) return `${after}.`;
  return [`${after}: ${fault.message} (SQLSTATE ${fault.sqlstate})`, ...faultLines(fault)].join('\n');
}
