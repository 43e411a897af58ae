import { describeBlocker } from '../../lambda/postgres/blockers.ts';
import type { ProgressSeen } from '../../lambda/story/build-progress.ts';
import type { BuildStatus } from '../../lambda/story/status.ts';
import { duration } from './duration.ts';

/** A build as the JSON document has it. */
export interface BuildDocument {
  readonly index: string;
  readonly table: string;
  readonly outcome: 'valid' | 'adopted' | 'failed' | 'cancelled' | 'pending' | 'building';
  readonly seconds: number | null;
  readonly turns: number;
  readonly session: string | null;
  readonly attempts: number;
  readonly progress: ProgressSeen | null;
  readonly error: string | null;
}

export function buildDocument(build: BuildStatus): BuildDocument {
  const { index, schema, table, state, adopted, seconds, turns, session, attempts, progress, fault } = build;
  return {
    index: index === '' ? `REINDEX ${table}` : index,
    table: `${schema}.${table}`,
    outcome: state === 'done' ? (adopted ? 'adopted' : 'valid') : state,
    seconds: seconds === undefined ? null : Math.round(seconds * 1000) / 1000,
    turns,
    session: session ?? null,
    attempts,
    progress: progress ?? null,
    error: fault === undefined ? null : `${fault.message} (SQLSTATE ${fault.sqlstate})`,
  };
}

/** `building index: scanning table, 42 %, 12 s so far, about 3 min left` */
export function describeProgress({
  phase,
  fraction,
  secondsElapsed,
  secondsLeft,
  blocker,
}: ProgressSeen): string {
  const parts = [phase];
  if (fraction !== undefined) parts.push(`${Math.floor(fraction * 100)} %`);
  parts.push(`${duration(secondsElapsed)} so far`);
  if (secondsLeft !== undefined) parts.push(`about ${duration(secondsLeft)} left`);
  if (blocker !== undefined) parts.push(`waits for ${describeBlocker(blocker)}`);
  return parts.join(', ');
}
