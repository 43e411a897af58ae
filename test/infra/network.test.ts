import { Match, Template } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as rds from 'aws-cdk-lib/aws-rds';
import { describe, expect, it } from 'vitest';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import { migrationsFolder, newStack, resources } from './synthesized.ts';

function newCluster(stack: ReturnType<typeof newStack>['stack']) {
  // Declared without exactOptionalPropertyTypes, as aws-cdk-lib is.
  const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }) as ec2.IVpc;
  const database = new rds.DatabaseCluster(stack, 'Cluster', {
    engine: rds.DatabaseClusterEngine.auroraPostgres({ version: rds.AuroraPostgresEngineVersion.VER_16_4 }),
    writer: rds.ClusterInstance.serverlessV2('Writer'),
    vpc,
    port: 5432,
  });
  return { vpc, database };
}

describe('a cluster that is passed', () => {
  it('lets the functions in, lends them its secret, and is there before the migrations run', () => {
    const { stack } = newStack();
    const { vpc, database } = newCluster(stack);
    new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), vpc, database });

    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::EC2::SecurityGroupIngress', {
      GroupId: { 'Fn::GetAtt': [Match.stringLikeRegexp('ClusterSecurityGroup'), 'GroupId'] },
      SourceSecurityGroupId: {
        'Fn::GetAtt': [Match.stringLikeRegexp('MigrationsAccessSecurityGroup'), 'GroupId'],
      },
      IpProtocol: 'tcp',
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      Handler: 'migrate.handler',
      VpcConfig: Match.anyValue(),
      Environment: {
        Variables: Match.objectLike({
          DATABASE_SECRET_ARN: { Ref: Match.stringLikeRegexp('ClusterSecret') },
          NODE_EXTRA_CA_CERTS: '/var/runtime/ca-cert.pem',
        }),
      },
    });
    template.hasResource('Custom::PostgresMigrations', {
      DependsOn: Match.arrayWith([Match.stringLikeRegexp('ClusterWriter')]),
    });
  });

  it('is reached only once the rule is there that lets the functions in, with a group of its own too', () => {
    const { stack } = newStack();
    const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }) as ec2.IVpc;
    const securityGroup = new ec2.SecurityGroup(stack, 'Own', { vpc }) as ec2.ISecurityGroup;
    const database = new rds.DatabaseInstance(stack, 'Instance', {
      engine: rds.DatabaseInstanceEngine.postgres({ version: rds.PostgresEngineVersion.VER_16_4 }),
      vpc,
      securityGroups: [securityGroup],
      port: 5432,
    });
    new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), vpc, database });

    const template = Template.fromStack(stack);
    const rules = Object.keys(resources(template, 'AWS::EC2::SecurityGroupIngress'));
    expect(rules).toHaveLength(1);
    const [run] = Object.values(resources(template, 'Custom::PostgresMigrations'));
    expect(run?.DependsOn).toEqual(expect.arrayContaining(rules));
  });

  it('is refused without a network to reach it in', () => {
    const { stack } = newStack();
    const { database } = newCluster(stack);

    expect(
      () => new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), database }),
    ).toThrow(
      'Stack/Migrations: vpc is "absent", but must be given, since `database` is: the functions have to stand in a network to reach it',
    );
  });
});

describe('without a secret', () => {
  it('the construct says what to give', () => {
    const { stack } = newStack();

    expect(() => new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder() })).toThrow(
      'Stack/Migrations: secret is "absent", but must be given, unless `database` is',
    );
  });
});

describe('without a network', () => {
  it('the functions stand in none and may make no network interface', () => {
    const { stack, secret } = newStack();
    new PostgresMigrations(stack, 'Migrations', { migrations: migrationsFolder(), secret });

    const template = Template.fromStack(stack);
    expect(JSON.stringify(resources(template, 'AWS::IAM::Policy'))).not.toContain('ec2:');
    for (const { Properties } of Object.values(resources(template, 'AWS::Lambda::Function'))) {
      expect(Properties).not.toHaveProperty('VpcConfig');
    }
  });
});
