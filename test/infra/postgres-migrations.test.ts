import { CfnParameter, Duration } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as logs from 'aws-cdk-lib/aws-logs';
import * as sns from 'aws-cdk-lib/aws-sns';
import * as cxapi from 'aws-cdk-lib/cx-api';
import { describe, expect, it } from 'vitest';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import {
  exampleFiles,
  migrationsFolder,
  newStack,
  resources,
  runProperties,
  synthesized,
} from './synthesized.ts';

it('a ledger in public is warned of at synth', () => {
  const warnings = (ledgerSchema?: string) => {
    const { stack, secret } = newStack();
    new PostgresMigrations(stack, 'Migrations', {
      migrations: migrationsFolder(exampleFiles),
      secret,
      ...(ledgerSchema && { ledgerSchema }),
    });
    return Annotations.fromStack(stack)
      .findWarning('*', Match.stringLikeRegexp("ledger would be in the schema 'public'"))
      .map(({ id }) => id);
  };
  expect(warnings('public')).toEqual(['/Stack/Migrations']);
  expect(warnings('migrations')).toEqual([]);
  expect(warnings()).toEqual([]);
});

describe('the functions', () => {
  it('run on nodejs24.x and arm64, each with its own log and role', () => {
    const template = synthesized();

    for (const handler of ['migrate.handler', 'migrate.isComplete', 'index-build.handler']) {
      template.hasResourceProperties('AWS::Lambda::Function', {
        Handler: handler,
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        MemorySize: 512,
        LoggingConfig: { LogGroup: Match.anyValue() },
      });
    }
    const functions = Object.values(resources(template, 'AWS::Lambda::Function'));
    const ours = functions.filter(
      ({ Properties }) => Properties.Runtime === 'nodejs24.x' && Properties.Architectures,
    );
    expect(ours).toHaveLength(3);
    expect(new Set(ours.map(({ Properties }) => JSON.stringify(Properties.Role))).size).toBe(3);
  });

  it('learn the secret by its ARN, and only those that hand off learn the loop', () => {
    const template = synthesized({ smallTableRows: 50, lockTimeout: Duration.millis(1500) });

    const environments = Object.values(resources(template, 'AWS::Lambda::Function'))
      .filter(({ Properties }) => Properties.Architectures)
      .map(({ Properties }) => [
        Properties.Handler,
        (Properties.Environment as { Variables: object }).Variables,
      ]);
    const common = {
      DATABASE_SECRET_ARN: { Ref: expect.stringMatching(/^Secret/) },
      MIGRATION_OPTIONS: '{"smallTableRows":50,"lockTimeoutSeconds":1.5}',
      EVENT_BUS_NAME: { 'Fn::Join': ['', expect.arrayContaining([':event-bus/default'])] },
      POWERTOOLS_SERVICE_NAME: expect.stringMatching(/Migrations$/),
    };
    const handsOff = {
      ...common,
      INDEX_BUILD_STATE_MACHINE_ARN: { Ref: expect.stringMatching(/IndexBuildLoopStateMachine/) },
    };
    expect(Object.fromEntries(environments)).toEqual({
      'index-build.handler': common,
      'migrate.isComplete': { ...handsOff, LONGEST_WAIT_SECONDS: '3120' },
      'migrate.handler': handsOff,
    });
  });

  it('take option values that only the deploy knows', () => {
    const { stack, secret } = newStack();
    const smallTableRows = new CfnParameter(stack, 'Rows', { type: 'Number' }).valueAsNumber;
    new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), secret, smallTableRows });

    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: { MIGRATION_OPTIONS: { 'Fn::Join': ['', ['{"smallTableRows":', { Ref: 'Rows' }, '}']] } },
      },
    });
  });

  it('keep their logs for as long as asked, beyond the stack', () => {
    const template = synthesized({ logRetention: logs.RetentionDays.ONE_WEEK });

    const groups = template.findResources('AWS::Logs::LogGroup');
    expect(Object.keys(groups)).toHaveLength(5);
    for (const group of Object.values(groups)) {
      expect(group).toMatchObject({ Properties: { RetentionInDays: 7 } });
    }
    const retained = Object.keys(groups).filter((id) => groups[id]?.DeletionPolicy === 'Retain');
    expect(retained).toHaveLength(4);
    expect(Object.keys(groups).filter((id) => !retained.includes(id))).toEqual([
      expect.stringMatching(/IndexBuildLoopLogs/),
    ]);
  });
});

describe('the custom resource', () => {
  it('changes with the migrations, and with nothing else of the same folder', () => {
    const before = runProperties(synthesized());
    const again = runProperties(synthesized());
    const edited = runProperties(
      synthesized({
        migrations: migrationsFolder({ ...exampleFiles, '0003_more.sql': 'create table more (id int);' }),
      }),
    );

    expect(again).toEqual(before);
    expect(edited).toEqual({ ...before, Checksum: expect.not.stringMatching(String(before.Checksum)) });
  });

  it('names what a run depends on, and no time', () => {
    expect(runProperties(synthesized({ waitFor: 'index-builds' }))).toEqual({
      Checksum: expect.stringMatching(/^[0-9a-f]{64}$/),
      Secret: { Ref: expect.stringMatching(/^Secret/) },
      LedgerSchema: 'migrations',
      IndexStrategy: 'auto',
      SmallTableRows: 10_000,
      WaitFor: 'index-builds',
    });
  });

  it('does not change with options that only tune a run', () => {
    const tuned = synthesized({
      lockTimeout: Duration.seconds(1),
      lockBudget: Duration.minutes(5),
      maxAttempts: 9,
      attach: Duration.minutes(2),
      maxConcurrentTables: 8,
      memorySize: 1024,
      timeout: Duration.minutes(5),
      longestWait: Duration.minutes(10),
      logRetention: logs.RetentionDays.ONE_DAY,
    });

    expect(runProperties(tuned)).toEqual(runProperties(synthesized()));
  });

  it.each([
    Duration.minutes(1),
    Duration.minutes(5),
    Duration.minutes(10),
    Duration.minutes(55),
    Duration.hours(1),
  ])(
    'gives up with words of ours before the framework does without, however fast it is asked: %s',
    (longestWait) => {
      const template = synthesized({ longestWait });
      const machines = JSON.stringify(template.findResources('AWS::StepFunctions::StateMachine'));
      const [, interval, questions] =
        /IntervalSeconds\\":(10),\\"MaxAttempts\\":(\d+),\\"BackoffRate\\":1}/.exec(machines) ?? [];
      const [ours] = Object.values(resources(template, 'AWS::Lambda::Function')).flatMap(
        ({ Properties }) =>
          (Properties.Environment as { Variables?: Record<string, unknown> } | undefined)?.Variables
            ?.LONGEST_WAIT_SECONDS ?? [],
      );
      // The first question is asked at once.
      expect(Number(interval) * Number(questions)).toBeGreaterThanOrEqual(
        Number(ours) + 2 * Number(interval),
      );
      // What is begun last has two minutes, and CloudFormation its hour.
      expect(Number(ours) + 120).toBeLessThan(3_600);
    },
  );

  it('waits for everything that lets the loop work', () => {
    const [run] = Object.values(resources(synthesized(), 'Custom::PostgresMigrations'));

    expect(run?.DependsOn).toEqual(
      expect.arrayContaining([expect.stringMatching(/StateMachineDistributedMapPolicy/)]),
    );
  });
});

describe('order', () => {
  it('executeBefore makes others wait for the run', () => {
    const { stack, secret } = newStack();
    const migrations = new PostgresMigrations(stack, 'Migrations', {
      migrations: migrationsFolder(),
      secret,
    });
    migrations.executeBefore(new sns.Topic(stack, 'Service'));

    const template = Template.fromStack(stack);
    const [run] = Object.keys(resources(template, 'Custom::PostgresMigrations'));
    const [topic] = Object.values(resources(template, 'AWS::SNS::Topic'));
    expect(topic?.DependsOn).toEqual([run]);
  });

  it('executeAfter makes the run wait for others, and the functions not', () => {
    const { stack, secret } = newStack();
    const migrations = new PostgresMigrations(stack, 'Migrations', {
      migrations: migrationsFolder(),
      secret,
    });
    migrations.executeAfter(new sns.Topic(stack, 'Database'));

    const template = Template.fromStack(stack);
    const [topic] = Object.keys(resources(template, 'AWS::SNS::Topic'));
    const waiting = Object.values(
      template.toJSON().Resources as Record<string, { Type: string; DependsOn?: string[] }>,
    )
      .filter(({ DependsOn }) => DependsOn?.includes(String(topic)))
      .map(({ Type }) => Type);
    expect(waiting).toEqual(['Custom::PostgresMigrations']);
  });
});

describe('side by side', () => {
  it('two in one stack have their own functions, loop, log names and code', () => {
    const { app, stack, secret } = newStack();
    const migrations = migrationsFolder({ '1_a.sql': 'create table a (id int);' });
    new PostgresMigrations(stack, 'First', { migrations: migrationsFolder(), secret });
    new PostgresMigrations(stack, 'Second', { migrations, secret, ledgerSchema: 'second' });

    const template = Template.fromStack(stack);
    template.resourceCountIs('Custom::PostgresMigrations', 2);
    const functions = Object.values(resources(template, 'AWS::Lambda::Function'));
    const ours = functions.filter(({ Properties }) => Properties.Architectures);
    expect(ours).toHaveLength(6);
    expect(new Set(ours.map(({ Properties }) => JSON.stringify(Properties.Code))).size).toBe(2);
    const names = Object.values(resources(template, 'AWS::Logs::LogGroup'))
      .map(({ Properties }) => JSON.stringify(Properties.LogGroupName))
      .filter((name) => name !== undefined);
    expect(new Set(names).size).toBe(2);
    expect(() => app.synth()).not.toThrow();
  });

  it('the same sources give the same template, twice over', () => {
    const migrations = migrationsFolder();

    expect(synthesized({ migrations }).toJSON()).toEqual(synthesized({ migrations }).toJSON());
  });
});

it('means the same under all feature flags that the CDK recommends', () => {
  const migrations = migrationsFolder();
  const templateUnder = (context: Record<string, unknown>): unknown => {
    const { stack, secret } = newStack(context);
    new PostgresMigrations(stack, 'Migrations', { migrations, secret });
    return Template.fromStack(stack).toJSON();
  };

  const flags = cxapi.CURRENTLY_RECOMMENDED_FLAGS;
  expect(templateUnder(flags)).toEqual(templateUnder({ [cxapi.IAM_MINIMIZE_POLICIES]: true }));
});

it('grantInvoke lets a role invoke the migrator and gives the grant', () => {
  const { stack, secret } = newStack();
  const migrations = new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), secret });
  const operator = new iam.Role(stack, 'Operator', { assumedBy: new iam.AccountRootPrincipal() });

  expect(migrations.grantInvoke(operator).success).toBe(true);

  Template.fromStack(stack).hasResourceProperties('AWS::IAM::Policy', {
    Roles: [{ Ref: Match.stringLikeRegexp('^Operator') }],
    PolicyDocument: {
      Statement: [
        {
          Action: 'lambda:InvokeFunction',
          Effect: 'Allow',
          Resource: Match.arrayWith([{ 'Fn::GetAtt': [Match.stringLikeRegexp('Migrator'), 'Arn'] }]),
        },
      ],
    },
  });
});

it('a mistake in a migration fails synth with file, line and column', () => {
  const migrations = migrationsFolder({ '0001_bad.sql': 'create table a (id int);\nselect from from;\n' });

  expect(() => synthesized({ migrations })).toThrow(/0001_bad\.sql:2:13/);
});
