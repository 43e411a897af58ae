import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as rds from 'aws-cdk-lib/aws-rds';
import * as sns from 'aws-cdk-lib/aws-sns';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, it } from 'vitest';
import { PostgresMigrations } from '../../infra/postgres-migrations.ts';
import type { PostgresMigrationsProps } from '../../infra/postgres-migrations-props.ts';
import { migrationsFolder, newStack } from './synthesized.ts';

type Given = ReturnType<typeof newStack>;

function inNetwork({ stack }: Given): Partial<PostgresMigrationsProps> {
  const vpc = new ec2.Vpc(stack, 'Vpc', { maxAzs: 2 }) as ec2.IVpc;
  const engine = rds.DatabaseClusterEngine.auroraPostgres({
    version: rds.AuroraPostgresEngineVersion.VER_16_4,
  });
  const writer = rds.ClusterInstance.serverlessV2('Writer');
  return { vpc, database: new rds.DatabaseCluster(stack, 'Cluster', { engine, writer, vpc }) };
}

describe("cdk-nag's AwsSolutions pack", () => {
  it.each<[string, (given: Given) => Partial<PostgresMigrationsProps>]>([
    ['by itself', () => ({})],
    ['with a hook', () => ({ preflightHook: {} })],
    [
      'with alarms and keys',
      ({ stack }) => ({
        alarmTopic: new sns.Topic(stack, 'Topic'),
        logEncryptionKey: new kms.Key(stack, 'Key') as kms.IKey,
      }),
    ],
    ['in a network, beside its cluster', inNetwork],
  ])('finds nothing in the construct %s that is not justified in its code', (_, props) => {
    const given = newStack();
    const { stack, secret } = given;
    const migrations = new PostgresMigrations(stack, 'Migrations', {
      migrations: migrationsFolder(),
      secret,
      ...props(given),
    });

    const { violations } = new AwsSolutionsChecks(stack).validateScope(migrations);
    expect(
      violations.flatMap(({ ruleName, violatingResources }) =>
        violatingResources.map(({ constructPath }) => `${ruleName} at ${constructPath}`),
      ),
    ).toEqual([]);
  });
});
