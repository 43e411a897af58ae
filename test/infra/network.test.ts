import { Match, Template } from 'aws-cdk-lib/assertions';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as rds from 'aws-cdk-lib/aws-rds';
import { describe, expect, it } from 'vitest';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import { migrationsFolder, newStack, resources } from './synthesized.ts';

function newCluster(
  stack: ReturnType<typeof newStack>['stack'],
  props: { iamAuthentication?: boolean } = {},
) {
  // Declared without exactOptionalPropertyTypes, as aws-cdk-lib is.
  const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }) as ec2.IVpc;
  const database = new rds.DatabaseCluster(stack, 'Cluster', {
    engine: rds.DatabaseClusterEngine.auroraPostgres({ version: rds.AuroraPostgresEngineVersion.VER_16_4 }),
    writer: rds.ClusterInstance.serverlessV2('Writer'),
    vpc,
    port: 5432,
    ...props,
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
      'Stack/Migrations: vpc is "absent", but must be given, since `database` is: the functions must be in a network that reaches it',
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

describe("authentication: 'iam'", () => {
  const iam = { authentication: 'iam', databaseUser: 'migrator' } as const;

  /** Actions and resources of the statements about databases and secrets, one for each policy that has some. */
  function databaseRights(template: Template): { Action: unknown; Resource: unknown }[] {
    return Object.values(resources(template, 'AWS::IAM::Policy'))
      .flatMap(
        ({ Properties }) =>
          (Properties.PolicyDocument as { Statement: { Action: unknown; Resource: unknown }[] }).Statement,
      )
      .filter(({ Action }) => /rds-db:|secretsmanager:/.test(JSON.stringify(Action)))
      .map(({ Action, Resource }) => ({ Action, Resource }));
  }

  it('lets each function connect as that user of that cluster, and gives it the address and no secret', () => {
    const { stack } = newStack();
    const { vpc, database } = newCluster(stack, { iamAuthentication: true });
    const migrations = migrationsFolder();
    new PostgresMigrations(stack, 'Migrations', { ...iam, migrations, vpc, database, databaseName: 'shop' });

    const template = Template.fromStack(stack);
    const [cluster] = Object.keys(resources(template, 'AWS::RDS::DBCluster'));
    const endpoint = { 'Fn::GetAtt': [cluster, 'Endpoint.Address'] };
    const port = { 'Fn::GetAtt': [cluster, 'Endpoint.Port'] };
    const functions = Object.values(resources(template, 'AWS::Lambda::Function'))
      .filter(({ Properties }) => /^(?:migrate|index-build)\./.test(String(Properties.Handler)))
      .map(({ Properties }) => (Properties.Environment as { Variables: Record<string, unknown> }).Variables);
    expect(functions).toHaveLength(3);
    for (const variables of functions) {
      expect(variables).toMatchObject({
        DATABASE_HOST: endpoint,
        DATABASE_PORT: port,
        DATABASE_NAME: 'shop',
        DATABASE_USER: 'migrator',
        NODE_EXTRA_CA_CERTS: '/var/runtime/ca-cert.pem',
      });
      expect(variables).not.toHaveProperty('DATABASE_SECRET_ARN');
    }
    expect(databaseRights(template)).toEqual(
      Array(3).fill({
        Action: 'rds-db:connect',
        Resource: {
          'Fn::Join': [
            '',
            [
              'arn:',
              { Ref: 'AWS::Partition' },
              ':rds-db:',
              { Ref: 'AWS::Region' },
              ':',
              { Ref: 'AWS::AccountId' },
              ':dbuser:',
              { 'Fn::GetAtt': [cluster, 'DBClusterResourceId'] },
              '/migrator',
            ],
          ],
        },
      }),
    );
    const [run] = Object.values(resources(template, 'Custom::PostgresMigrations'));
    expect(run?.Properties).not.toHaveProperty('Secret');
    expect(run?.Properties.Database).toEqual({
      'Fn::Join': ['', ['migrator@', endpoint, ':', port, '/shop']],
    });
  });

  it('is turned on at an instance, whose own database is the default', () => {
    const { stack } = newStack();
    const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }) as ec2.IVpc;
    const database = new rds.DatabaseInstance(stack, 'Instance', {
      engine: rds.DatabaseInstanceEngine.postgres({ version: rds.PostgresEngineVersion.VER_16_4 }),
      vpc,
    });
    new PostgresMigrations(stack, 'Migrations', { ...iam, migrations: migrationsFolder(), vpc, database });

    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::RDS::DBInstance', { EnableIAMDatabaseAuthentication: true });
    template.hasResourceProperties('AWS::Lambda::Function', {
      Environment: { Variables: Match.objectLike({ DATABASE_NAME: 'postgres', DATABASE_USER: 'migrator' }) },
    });
    expect(JSON.stringify(databaseRights(template))).toContain('DbiResourceId');
  });

  it('takes an imported cluster by its address and its resource id', () => {
    const { stack } = newStack();
    const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }) as ec2.IVpc;
    const database = rds.DatabaseCluster.fromDatabaseClusterAttributes(stack, 'Cluster', {
      clusterIdentifier: 'shop',
      clusterResourceIdentifier: 'cluster-ABC',
      clusterEndpointAddress: 'shop.cluster-x.eu-central-1.rds.amazonaws.com',
      port: 5433,
    });
    new PostgresMigrations(stack, 'Migrations', { ...iam, migrations: migrationsFolder(), vpc, database });

    const template = Template.fromStack(stack);
    template.hasResourceProperties('AWS::Lambda::Function', {
      Environment: {
        Variables: Match.objectLike({
          DATABASE_HOST: 'shop.cluster-x.eu-central-1.rds.amazonaws.com',
          DATABASE_PORT: '5433',
        }),
      },
    });
    expect(JSON.stringify(databaseRights(template))).toContain(':dbuser:cluster-ABC/migrator');
  });

  it('says what is missing or too much', () => {
    const { stack, secret } = newStack();
    const { vpc, database } = newCluster(stack, { iamAuthentication: true });
    const off = newCluster(newStack().stack);
    const migrations = migrationsFolder();
    let count = 0;
    const refusal = (props: object) => {
      count += 1;
      try {
        new PostgresMigrations(stack, `Refused${count}`, { migrations, ...props });
      } catch (error) {
        return String(error)
          .split('\n')[0]
          ?.replace(/^.*?: Stack\/Refused\d+: /, '');
      }
      return undefined;
    };
    expect(refusal({ ...iam, vpc })).toBe(
      'database is "absent", but must be given with `authentication: \'iam\'`',
    );
    expect(refusal({ authentication: 'iam', vpc, database })).toContain('databaseUser is "absent"');
    expect(refusal({ ...iam, vpc, database, secret })).toContain('secret is "given"');
    expect(refusal({ ...iam, vpc: off.vpc, database: off.database })).toContain('`iamAuthentication: true`');
    expect(refusal({ secret, databaseUser: 'migrator' })).toContain('databaseUser is "migrator"');
    expect(refusal({ secret, databaseName: 'shop' })).toContain('databaseName is "shop"');
    expect(refusal({ secret, authentication: 'password' })).toContain("one of 'secret', 'iam'");
  });
});
