/** CloudWatch namespace; the dimension `service` names the construct. */
export const METRIC_NAMESPACE = 'PostgresMigrations';

/** Metric names, shared by the functions that emit them and the alarms and dashboard that show them. */
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
  /** Rows written by a backfill, and rows walked per second, with the dimension `index`. */
  buildRows: 'BuildRows',
  buildRowsPerSecond: 'BuildRowsPerSecond',
  /** How often a backfill was found resting, with the dimension `reason`. */
  buildResting: 'BuildResting',
  /** Seconds that the build's blocker has been in its transaction; 0 while nothing blocks. */
  buildBlockedSeconds: 'BuildBlockedSeconds',
} as const;
