import { Logger } from '@aws-lambda-powertools/logger';
import { Metrics, MetricUnit } from '@aws-lambda-powertools/metrics';
import { isOpen, kindOf, nameOf } from '../migration/build.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { withoutRowValues } from '../migration/postgres-fault.ts';
import type { RunCause, RunEnd, RunEvent } from '../run/run.ts';
import type { DeployProgress } from '../status/deploy-progress.ts';
import type { TurnEvent } from '../work/turn/turn-request.ts';
import { type DomainEvent, sendEvents, UnsentEvents } from './events.ts';
import { logged } from './logged-event.ts';
import { METRIC_NAMESPACE, metric } from './metric-names.ts';
import { publicText, rowValuesInLogs } from './public-error.ts';

const logger = new Logger();
const metrics = new Metrics({ namespace: METRIC_NAMESPACE });
let events: DomainEvent[] = [];

/** Logs an event as a structured line; some events are also metrics or EventBridge events. */
export function report(event: RunEvent | TurnEvent): void {
  const { kind, ...fields } = logged(event, rowValuesInLogs());
  logger[levelOf(event)](kind, fields);
  switch (event.kind) {
    case 'applied':
      metrics.addMetric(metric.stepsApplied, MetricUnit.Count, event.steps.length);
      break;
    case 'progress': {
      const { fraction, blockedSeconds, secondsLeft, fill } = event.progress;
      const single = metrics.singleMetric();
      single.addDimension('index', nameOf(event.build));
      if (fraction !== undefined) single.addMetric(metric.buildProgress, MetricUnit.Percent, fraction * 100);
      if (secondsLeft !== undefined)
        single.addMetric(metric.buildSecondsLeft, MetricUnit.Seconds, secondsLeft);
      if (fill !== undefined) reportFill(single, fill);
      metrics.addMetric(metric.buildBlockedSeconds, MetricUnit.Seconds, blockedSeconds);
      break;
    }
    case 'ended':
      reportBuildEnd(event);
      break;
    default:
      break;
  }
}

type Fill = NonNullable<Extract<TurnEvent, { kind: 'progress' }>['progress']['fill']>;

function reportFill(single: Metrics, { rowsWritten, rowsPerSecond, pause }: Fill): void {
  single.addMetric(metric.buildRows, MetricUnit.Count, rowsWritten);
  single.addMetric(metric.buildRowsPerSecond, MetricUnit.CountPerSecond, rowsPerSecond);
  if (pause === undefined) return;
  const resting = metrics.singleMetric();
  resting.addDimension('reason', pause.split(':')[0] ?? pause);
  resting.addMetric(metric.buildResting, MetricUnit.Count, 1);
}

/** SQLSTATEs of class 01 are warnings, in whatever language the server writes their severity. */
function levelOf(event: RunEvent | TurnEvent): 'info' | 'warn' {
  if (event.kind === 'ledger-exposed') return 'warn';
  return event.kind === 'notice' && event.sqlstate.startsWith('01') ? 'warn' : 'info';
}

function reportBuildEnd({ build, outcome, fault }: Extract<TurnEvent, { kind: 'ended' }>): void {
  const told = fault !== undefined && rowValuesInLogs() === 'hidden' ? withoutRowValues(fault) : fault;
  metrics.addMetric(outcome === 'failed' ? metric.buildFailed : metric.buildSucceeded, MetricUnit.Count, 1);
  const seconds = build.secondsSinceFirstStart;
  if (seconds !== undefined) metrics.addMetric(metric.buildSeconds, MetricUnit.Seconds, seconds);
  events.push({
    type: 'Index Build Ended',
    detail: {
      outcome,
      kind: kindOf(build.operation),
      operation: build.operation,
      table: `${build.schema}.${build.table}`,
      index: build.index,
      file: build.file,
      seconds,
      attempts: build.attempts,
      error: told === undefined ? undefined : `${told.message} (SQLSTATE ${told.sqlstate})`,
    },
  });
}

/** Reports the end of a run, whoever started it. */
export function reportRunEnd(cause: RunCause, end: RunEnd): void {
  const detail = { ...detailOf(end), ...cause };
  const failed = end.kind === 'failed';
  metrics.addMetric(failed ? metric.runFailed : metric.runSucceeded, MetricUnit.Count, 1);
  if (failed) logger.error('run failed', detail);
  else logger.info('run ended', detail);
  events.push({ type: 'Run Ended', detail });
}

function detailOf(end: RunEnd): { readonly outcome: string; readonly [key: string]: unknown } {
  switch (end.kind) {
    case 'ended': {
      const { outcome, runId, applied, builds, waiting } = end.result;
      return { outcome, runId, steps: applied.length, openBuilds: builds.filter(isOpen).length, waiting };
    }
    case 'kept':
      return { outcome: 'kept', runId: end.runId };
    case 'failed':
      return {
        outcome: 'failed',
        code: end.error instanceof MigrationError ? end.error.code : 'unexpected',
        error: publicText(end.error),
      };
    default:
      return end satisfies never;
  }
}

/** This once, the state of the deploy could not be read; the framework will ask again. */
interface OutOfSight {
  readonly kind: 'out-of-sight';
  readonly because: string;
}

/** What a deploy is waiting for: one line each time the framework asks. */
export function logDeployProgress(progress: DeployProgress | OutOfSight): void {
  if (progress.kind === 'out-of-sight') logger.warn('deploy', { ...progress });
  else logger.info('deploy', { ...progress });
}

/** A deploy does not wait any longer for a bus that does not answer. */
const LONGEST_FLUSH_MILLISECONDS = 8_000;
/** Reserved for the function's answer. */
const ANSWER_MILLISECONDS = 1_000;

/**
 * Sends what the invocation has gathered. Await it before the handler answers, since a frozen function sends nothing.
 * What can't be sent in the time left is logged, and does not fail the deploy.
 */
export async function flushTelemetry(context: { getRemainingTimeInMillis(): number }): Promise<void> {
  if (metrics.hasStoredMetrics()) metrics.publishStoredMetrics();
  const gathered = events;
  events = [];
  try {
    const left = context.getRemainingTimeInMillis() - ANSWER_MILLISECONDS;
    await sendEvents(gathered, Math.min(LONGEST_FLUSH_MILLISECONDS, left));
  } catch (error) {
    logger.warn('events could not be sent', {
      error: error instanceof Error ? error.message : String(error),
      events: error instanceof UnsentEvents ? error.events : gathered,
    });
  }
}
