import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import * as sns from 'aws-cdk-lib/aws-sns';
import { describe, expect, it } from 'vitest';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import {
  asSecret,
  migrationsFolder,
  newStack,
  resources,
  synthesized,
  temporaryFolder,
} from './synthesized.ts';

/** The names of the runtimes that AWS has given up, as aws-cdk-lib marks them. */
function deprecatedRuntimes(): ReadonlySet<string> {
  const declarations = readFileSync(
    createRequire(import.meta.url)
      .resolve('aws-cdk-lib/aws-lambda')
      .replace('index.js', 'lib/runtime.d.ts'),
    'utf8',
  );
  const marked = declarations.matchAll(/@deprecated(?:(?!\*\/)[\s\S])*\*\/\s*static readonly (\w+)/g);
  const all = lambda.Runtime as unknown as Readonly<Record<string, lambda.Runtime>>;
  return new Set([...marked].map(([, name = '']) => String(all[name]?.name)));
}

describe('the template', () => {
  it('has no function on a deprecated runtime, those of the Provider included', () => {
    const deprecated = deprecatedRuntimes();
    expect(deprecated).toContain('nodejs16.x');
    const functions = Object.values(
      resources(synthesized({ preflightHook: {} }), 'AWS::Lambda::Function'),
    ).map(({ Properties }) => `${Properties.Handler} ${Properties.Runtime}`);
    expect(functions).toHaveLength(7);
    expect(functions.filter((name) => deprecated.has(name.split(' ')[1] ?? ''))).toEqual([]);
  });

  it('traces every function and machine of ours, and logs the loop without what it passes around', () => {
    const template = synthesized({ preflightHook: {} });
    const ours = Object.values(resources(template, 'AWS::Lambda::Function')).filter(
      ({ Properties }) => !String(Properties.Handler).startsWith('framework.'),
    );
    expect(ours.map(({ Properties }) => Properties.TracingConfig)).toEqual(Array(4).fill({ Mode: 'Active' }));
    const loops = Object.values(resources(template, 'AWS::StepFunctions::StateMachine')).filter(
      ({ Properties }) => 'LoggingConfiguration' in Properties,
    );
    expect(loops.map(({ Properties }) => Properties)).toEqual([
      expect.objectContaining({
        TracingConfiguration: { Enabled: true },
        LoggingConfiguration: expect.objectContaining({ Level: 'ALL', IncludeExecutionData: false }),
      }),
    ]);
  });

  it('keeps each log for six months, and encrypts it with the key that is given', () => {
    const { stack, secret } = newStack();
    const logEncryptionKey = new kms.Key(stack, 'Key') as kms.IKey;
    new PostgresMigrations(stack, 'Migrations', {
      migrations: migrationsFolder(),
      secret,
      logEncryptionKey,
      preflightHook: {},
    });
    const groups = Object.values(resources(Template.fromStack(stack), 'AWS::Logs::LogGroup'));
    expect(groups).toHaveLength(6);
    for (const { Properties } of groups) {
      expect(Properties).toMatchObject({
        RetentionInDays: 180,
        KmsKeyId: { 'Fn::GetAtt': [expect.stringMatching(/^Key/), 'Arn'] },
      });
    }
  });
});

/** What CloudFormation names a resource by, where the template does not leave that to it. */
function ownNames({ Properties = {} }: { readonly Properties?: Record<string, unknown> }): string[] {
  return Object.keys(Properties).filter((key) => /(?:Name|Alias|Identifier)$/.test(key));
}

describe('after a deploy that failed, or a construct that was removed', () => {
  it('nothing with a name of its own is left to stand in the way of the next one', () => {
    const { stack, secret } = newStack();
    const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }) as ec2.IVpc;
    new PostgresMigrations(stack, 'Migrations', {
      migrations: migrationsFolder(),
      secret,
      vpc,
      logEncryptionKey: new kms.Key(stack, 'Key') as kms.IKey,
      alarmTopic: new sns.Topic(stack, 'Alarms') as sns.ITopic,
      preflightHook: {},
    });
    const all = Object.entries(
      Template.fromStack(stack).toJSON().Resources as Record<
        string,
        { DeletionPolicy?: string; UpdateReplacePolicy?: string; Properties?: Record<string, unknown> }
      >,
    ).filter(([id]) => id.startsWith('Migrations'));
    const kept = all.filter(
      ([, { DeletionPolicy = 'Delete', UpdateReplacePolicy = 'Delete' }]) =>
        DeletionPolicy !== 'Delete' || UpdateReplacePolicy !== 'Delete',
    );
    // The functions' logs outlive the stack, under names that CloudFormation makes anew.
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.flatMap(([id, resource]) => ownNames(resource).map((name) => `${id}.${name}`))).toEqual([]);
    expect(all.flatMap(([, resource]) => ownNames(resource))).toContain('LogGroupName');
  });
});

describe('side by side', () => {
  it('hooks, outputs, dashboards and everything with a name of its own differ, in one stack and in two', () => {
    const app = new App({ outdir: temporaryFolder() });
    const migrations = migrationsFolder();
    const stacks = ['One', 'Two'].map((name) => {
      const stack = new Stack(app, name);
      const secret = asSecret(new secretsmanager.Secret(stack, 'Secret'));
      for (const id of ['First', 'Second'])
        new PostgresMigrations(stack, id, { migrations, secret, ledgerSchema: id, preflightHook: {} });
      return stack;
    });
    const named = stacks.flatMap((stack) => {
      const template = Template.fromStack(stack).toJSON();
      expect(Object.keys(template.Outputs)).toHaveLength(24);
      return Object.values(template.Resources as Record<string, { Properties?: Record<string, unknown> }>)
        .flatMap(({ Properties = {} }) => [
          Properties.Alias,
          Properties.LogGroupName,
          Properties.FunctionName,
          Properties.StateMachineName,
          Properties.AlarmName,
          Properties.DashboardName,
        ])
        .filter((name) => name !== undefined)
        .map((name) => JSON.stringify(name));
    });
    expect(named.filter((name) => name.includes('Postgres::Migrations::'))).toHaveLength(4);
    expect(new Set(named).size).toBe(named.length);
    const services = stacks.flatMap((stack) =>
      Object.values(resources(Template.fromStack(stack), 'AWS::Lambda::Function')).map(
        ({ Properties }) =>
          (Properties.Environment as { Variables?: Record<string, unknown> } | undefined)?.Variables
            ?.POWERTOOLS_SERVICE_NAME,
      ),
    );
    expect(new Set(services.filter((service) => service !== undefined)).size).toBe(4);
  });
});
