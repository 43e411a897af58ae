import { Aws, Duration } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type * as sns from 'aws-cdk-lib/aws-sns';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import { METRIC_NAMESPACE, metric } from '../lambda/aws/metric-names.ts';
import { LONGEST_WAIT_SECONDS } from '../lambda/work/wait-seconds.ts';

export interface ObservabilityProps {
  /** Dimension `service` of all metrics. */
  readonly service: string;
  readonly stateMachine: sfn.IStateMachine;
  readonly alarmTopic?: sns.ITopic | undefined;
  /** After waiting this long for another session's transaction, a build counts as stuck. */
  readonly stuckAfter: Duration;
  readonly dashboard: boolean;
}

const PERIOD = Duration.minutes(5);

/** Alarms for what a person has to act on, and a dashboard. */
export class Observability extends Construct {
  readonly alarms: readonly cloudwatch.Alarm[];
  readonly dashboard: cloudwatch.Dashboard | undefined;

  constructor(scope: Construct, id: string, props: ObservabilityProps) {
    super(scope, id);
    const { service, stateMachine, alarmTopic, stuckAfter } = props;
    const own = (metricName: string, statistic: string) =>
      new cloudwatch.Metric({
        namespace: METRIC_NAMESPACE,
        metricName,
        dimensionsMap: { service },
        statistic,
        period: PERIOD,
      });
    const alarm = (alarmId: string, told: Told) =>
      new cloudwatch.Alarm(this, alarmId, {
        metric: told.metric,
        threshold: told.threshold,
        evaluationPeriods: told.periods ?? 1,
        datapointsToAlarm: 1,
        comparisonOperator: cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        // No build, no run: nothing to be alarmed about.
        treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
        alarmDescription: `${told.what} (${scope.node.path}). See docs/operating.md.`,
      });
    this.alarms = [
      alarm('BuildFailed', {
        metric: own(metric.buildFailed, cloudwatch.Stats.SUM),
        threshold: 1,
        what: 'An index build failed',
      }),
      alarm('BuildStuck', {
        // The loop looks at an old build every quarter of an hour: its last value counts until the next look.
        metric: own(metric.buildBlockedSeconds, cloudwatch.Stats.MAXIMUM).with({
          period: Duration.seconds(LONGEST_WAIT_SECONDS),
        }),
        periods: 2,
        threshold: stuckAfter.toSeconds(),
        what: 'An index build waits for a transaction that does not end',
      }),
      alarm('RunFailed', {
        metric: own(metric.runFailed, cloudwatch.Stats.SUM),
        threshold: 1,
        what: 'A migration run failed',
      }),
      alarm('LoopFailed', {
        metric: stateMachine.metricFailed({ period: PERIOD }),
        threshold: 1,
        what: 'The index-build loop ended with builds that are not valid',
      }),
    ];
    if (alarmTopic !== undefined) {
      for (const each of this.alarms) each.addAlarmAction(new SnsAction(alarmTopic));
    }
    this.dashboard = props.dashboard ? this.board(service, own) : undefined;
  }

  private board(
    service: string,
    own: (name: string, statistic: string) => cloudwatch.Metric,
  ): cloudwatch.Dashboard {
    // The dimension has a value for each build, or reason, and no template knows them.
    const each = (name: string, dimension: 'index' | 'reason', statistic: string) =>
      new cloudwatch.MathExpression({
        expression: `SEARCH('{${METRIC_NAMESPACE},${dimension},service} service="${service}" MetricName="${name}"', '${statistic}', 60)`,
        label: '',
        usingMetrics: {},
        period: Duration.minutes(1),
      });
    const progress = new cloudwatch.GraphWidget({
      title: 'Progress of each index build, and of other long work (percent)',
      width: 24,
      left: [each(metric.buildProgress, 'index', 'Maximum')],
      leftYAxis: { min: 0, max: 100 },
    });
    const rates = new cloudwatch.GraphWidget({
      title: 'Rows a second of each backfill',
      width: 12,
      left: [each(metric.buildRowsPerSecond, 'index', 'Average')],
    });
    const rests = new cloudwatch.GraphWidget({
      title: 'Backfills that rest, by reason',
      width: 12,
      left: [each(metric.buildResting, 'reason', 'Sum')],
    });
    const counts = new cloudwatch.GraphWidget({
      title: 'Builds and runs',
      width: 12,
      left: [metric.buildSucceeded, metric.buildFailed, metric.runSucceeded, metric.runFailed].map((name) =>
        own(name, cloudwatch.Stats.SUM),
      ),
    });
    const blocked = new cloudwatch.GraphWidget({
      title: 'Age of the transaction that a build waits for (seconds)',
      width: 12,
      left: [own(metric.buildBlockedSeconds, cloudwatch.Stats.MAXIMUM)],
    });
    const alarms = new cloudwatch.AlarmStatusWidget({
      title: 'Alarms',
      width: 24,
      height: 2,
      alarms: [...this.alarms],
    });
    return new cloudwatch.Dashboard(this, 'Dashboard', {
      widgets: [[alarms], [progress], [counts, blocked], [rates, rests]],
    });
  }

  /** Link to the dashboard in the console. */
  get dashboardUrl(): string | undefined {
    if (this.dashboard === undefined) return undefined;
    return `https://${Aws.REGION}.console.aws.amazon.com/cloudwatch/home?region=${Aws.REGION}#dashboards/dashboard/${this.dashboard.dashboardName}`;
  }
}

interface Told {
  readonly metric: cloudwatch.IMetric;
  readonly threshold: number;
  /** How many periods are evaluated, of which one is enough. @default 1 */
  readonly periods?: number;
  readonly what: string;
}
