import { Duration } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import * as sns from 'aws-cdk-lib/aws-sns';
import { describe, expect, it } from 'vitest';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import { METRIC_NAMESPACE, metric } from '../../lambda/aws/metric-names.ts';
import { LONGEST_WAIT_SECONDS } from '../../lambda/work/wait-seconds.ts';
import { migrationsFolder, newStack, resources, synthesized } from './synthesized.ts';

describe('alarms', () => {
  it('watch what the functions count, under the name that the functions count it by, and tell the topic', () => {
    const { stack, secret } = newStack();
    const alarmTopic = new sns.Topic(stack, 'Topic');
    new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), secret, alarmTopic });

    const template = Template.fromStack(stack);
    const alarms = Object.values(resources(template, 'AWS::CloudWatch::Alarm')).map(
      ({ Properties }) => Properties,
    );
    expect(alarms.map(({ MetricName }) => MetricName).sort()).toEqual(
      [metric.buildBlockedSeconds, metric.buildFailed, metric.runFailed, 'ExecutionsFailed'].sort(),
    );
    for (const alarm of alarms) {
      expect(alarm.AlarmActions).toEqual([{ Ref: expect.stringMatching(/^Topic/) }]);
      if (alarm.MetricName === 'ExecutionsFailed') continue;
      expect(alarm).toMatchObject({
        Namespace: METRIC_NAMESPACE,
        Dimensions: [{ Name: 'service', Value: 'Stack/Migrations' }],
      });
    }
    template.hasResourceProperties('AWS::Lambda::Function', {
      Environment: { Variables: Match.objectLike({ POWERTOOLS_SERVICE_NAME: 'Stack/Migrations' }) },
    });
  });
});

describe('BuildStuck', () => {
  it('lasts from one look of the loop to the next, which may be a quarter of an hour apart', () => {
    synthesized({ stuckAfter: Duration.minutes(30) }).hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: metric.buildBlockedSeconds,
      Statistic: 'Maximum',
      Threshold: 1_800,
      Period: LONGEST_WAIT_SECONDS,
      EvaluationPeriods: 2,
      DatapointsToAlarm: 1,
      TreatMissingData: 'notBreaching',
    });
  });
});

describe('the dashboard', () => {
  it('shows the progress of every build, whatever its name, and can be left out', () => {
    const { stack, secret } = newStack();
    new PostgresMigrations(stack, 'Shown', { migrations: migrationsFolder(), secret });
    new PostgresMigrations(stack, 'Plain', { migrations: migrationsFolder(), secret, dashboard: false });

    const boards = Object.values(resources(Template.fromStack(stack), 'AWS::CloudWatch::Dashboard'));
    expect(boards).toHaveLength(1);
    expect(JSON.stringify(boards)).toContain(`SEARCH('{${METRIC_NAMESPACE},index,service} service=`);
  });
});

describe('the preflight hook', () => {
  it('is asked about its own stack, before provisioning, by a role that may ask this function only', () => {
    const { stack, secret } = newStack();
    new PostgresMigrations(stack, 'Migrations', {
      migrations: migrationsFolder(),
      secret,
      preflightHook: { failureMode: 'WARN' },
    });

    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::CloudFormation::LambdaHook', {
      TargetOperations: ['STACK'],
      FailureMode: 'WARN',
      StackFilters: { FilteringCriteria: 'ALL', StackNames: { Include: ['Stack'] } },
      LambdaFunction: { 'Fn::GetAtt': [Match.stringLikeRegexp('Preflight'), 'Arn'] },
    });
    template.hasResourceProperties('AWS::Lambda::Function', { Handler: 'preflight.handler', Timeout: 30 });
  });
});
