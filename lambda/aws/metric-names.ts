/** CloudWatch namespace; the dimension `service` names the construct. */
export const METRIC_NAMESPACE = 'PostgresMigrations';

/** Metric names, shared by the functions that count and the alarms and dashboard that show. */
export const metric = {
  stepsApplied: 'StepsApplied',
  runSucceeded: 'RunSucceeded',
  runFailed: 'RunFailed',
  buildSucceeded: 'BuildSucceeded',
  buildFailed: 'BuildFailed',
  buildSeconds: 'BuildSeconds',
  /** 0 to 100, with the dimension `index`. */
  buildProgress: 'BuildProgress',
  /** Until its end, with the dimension `index`. */
  buildSecondsLeft: 'BuildSecondsLeft',
  /** Rows that a backfill has written, and walks a second, with the dimension `index`. */
  buildRows: 'BuildRows',
  buildRowsPerSecond: 'BuildRowsPerSecond',
  /** Looks at a backfill that rests, with the dimension `reason`. */
  buildResting: 'BuildResting',
  /** Seconds that the build's blocker has been in its transaction; 0 while nothing blocks. */
  buildBlockedSeconds: 'BuildBlockedSeconds',
} as const;
