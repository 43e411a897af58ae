import { Template } from 'aws-cdk-lib/assertions';
import * as events from 'aws-cdk-lib/aws-events';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import { describe, expect, it } from 'vitest';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import { asSecret, migrationsFolder, newStack, resources, synthesized } from './synthesized.ts';

interface Statement {
  readonly role: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
}

/** Every statement of every policy, resources as JSON text. */
function statements(template: Template): Statement[] {
  return Object.values(resources(template, 'AWS::IAM::Policy')).flatMap(({ Properties }) => {
    const { Roles, PolicyDocument } = Properties as {
      Roles: { Ref: string }[];
      PolicyDocument: { Statement: { Action: string | string[]; Resource: unknown }[] };
    };
    return PolicyDocument.Statement.map(({ Action, Resource }) => ({
      role: String(Roles[0]?.Ref),
      actions: [Action].flat(),
      resources: [Resource].flat().map((resource) => JSON.stringify(resource)),
    }));
  });
}

/** AWS knows no narrower resource for these: log delivery of a state machine, and tracing. */
const onEverything = new Set([
  'logs:CreateLogDelivery',
  'logs:GetLogDelivery',
  'logs:UpdateLogDelivery',
  'logs:DeleteLogDelivery',
  'logs:ListLogDeliveries',
  'logs:PutResourcePolicy',
  'logs:DescribeResourcePolicies',
  'logs:DescribeLogGroups',
  'xray:PutTraceSegments',
  'xray:PutTelemetryRecords',
  'xray:GetSamplingRules',
  'xray:GetSamplingTargets',
]);

describe('permissions', () => {
  it('name their resource wherever AWS lets them', () => {
    const wide = statements(synthesized({ preflightHook: {} })).filter((statement) =>
      statement.resources.includes('"*"'),
    );

    expect(wide.length).toBeGreaterThan(0);
    for (const { actions } of wide) {
      expect(actions.filter((action) => !onEverything.has(action))).toEqual([]);
    }
  });

  it('use a wildcard within a resource only for versions of a function, executions of the loop and the hook’s look at new code', () => {
    const partly = statements(synthesized({ preflightHook: {} })).flatMap(({ resources }) =>
      resources.filter((resource) => resource !== '"*"' && resource.includes('*')),
    );

    for (const resource of partly) {
      expect(resource).toMatch(
        /\["(?:\w*Preflight\w*|\w*Migrator\w*|\w*IsComplete\w*|\w*Build\w*|\w*frameworkonTimeout\w*|\w*frameworkisComplete\w*)","Arn"\]},":\*"\]|:execution:.*IndexBuildLoopStateMachine|:s3:::.*cdk-\w+-assets-.*\/\*\.zip/,
      );
    }
  });

  it('hold no wildcard in an action and no managed policy', () => {
    const template = synthesized({ preflightHook: {} });

    expect(
      statements(template).flatMap(({ actions }) => actions.filter((action) => action.includes('*'))),
    ).toEqual([]);
    for (const { Properties } of Object.values(resources(template, 'AWS::IAM::Role'))) {
      expect(Properties).not.toHaveProperty('ManagedPolicyArns');
    }
  });

  const ownLogAndSecret = [
    'events:PutEvents',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
    'secretsmanager:DescribeSecret',
    'secretsmanager:GetSecretValue',
  ];
  const tracing = ['xray:PutTelemetryRecords', 'xray:PutTraceSegments'];

  it.each([
    ['MigratorRole', [...ownLogAndSecret, 'states:ListExecutions', 'states:StartExecution', ...tracing]],
    [
      'MigrationsIsCompleteRole',
      [...ownLogAndSecret, 'states:ListExecutions', 'states:StartExecution', ...tracing],
    ],
    ['IndexBuildRole', [...ownLogAndSecret, ...tracing]],
    ['PreflightRole', [...ownLogAndSecret, 's3:GetObject', ...tracing].sort()],
    ['PreflightHookExecutionRole', ['lambda:InvokeFunction']],
  ])('give %s just %j', (name, actions) => {
    const granted = statements(synthesized({ preflightHook: {} })).filter(({ role }) => role.includes(name));

    expect(granted.flatMap((statement) => statement.actions).sort()).toEqual(actions);
  });

  it("let the functions decrypt with the secret's own key", () => {
    const { stack } = newStack();
    const encryptionKey = new kms.Key(stack, 'Key');
    const secret = asSecret(new secretsmanager.Secret(stack, 'Encrypted', { encryptionKey }));
    new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), secret });

    const template = Template.fromStack(stack);
    const policies = JSON.stringify([
      Object.values(resources(template, 'AWS::KMS::Key')),
      Object.values(resources(template, 'AWS::IAM::Policy')),
    ]);
    expect(policies).toMatch(/kms:Decrypt.*MigratorRole/);
  });
});

it('a bus of another account is named with its account, where events are sent and where it is permitted', () => {
  const { stack, secret } = newStack();
  const arn = 'arn:aws:events:eu-central-1:999999999999:event-bus/audit';
  const eventBus = events.EventBus.fromEventBusArn(stack, 'Bus', arn);
  new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), secret, eventBus });
  const template = Template.fromStack(stack);
  const sent = Object.values(resources(template, 'AWS::Lambda::Function')).flatMap(
    ({ Properties }) =>
      (Properties.Environment as { Variables?: Record<string, unknown> } | undefined)?.Variables
        ?.EVENT_BUS_NAME ?? [],
  );
  expect(sent).toEqual([arn, arn, arn]);
  const permitted = statements(template).filter(({ actions }) => actions.includes('events:PutEvents'));
  expect(permitted.map(({ resources: [resource] }) => resource)).toEqual(Array(3).fill(JSON.stringify(arn)));
});
