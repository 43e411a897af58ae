import { Aws, CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { PostgresMigrations } from './postgres-migrations.ts';
import type { PostgresMigrationsProps } from './postgres-migrations-props.ts';
import type { SecretReference } from './stack-context.ts';

export interface MigrationsStackProps extends StackProps, Omit<PostgresMigrationsProps, 'secret'> {
  /** Name or complete ARN of the secret with the connection. */
  readonly secret: SecretReference;
}

/** The deployable app around the construct: nothing but migrations, for a database that lives elsewhere. */
export class MigrationsStack extends Stack {
  readonly migrations: PostgresMigrations;

  constructor(scope: Construct, id: string, props: MigrationsStackProps) {
    super(scope, id, props);
    const secret =
      props.secret.kind === 'arn'
        ? secretsmanager.Secret.fromSecretCompleteArn(this, 'Secret', props.secret.arn)
        : secretsmanager.Secret.fromSecretNameV2(this, 'Secret', props.secret.name);
    this.migrations = new PostgresMigrations(this, 'Migrations', { ...props, secret });
    this.outputs();
  }

  private outputs(): void {
    const { migrator, stateMachine } = this.migrations;
    const invoke = (payload: string): string =>
      `aws lambda invoke --region ${Aws.REGION} --function-name ${migrator.functionName} ` +
      `--cli-binary-format raw-in-base64-out --cli-read-timeout 900 --payload '${payload}' /dev/stdout`;
    const console = `https://${Aws.REGION}.console.aws.amazon.com`;
    const output = (id: string, description: string, value: string): void => {
      new CfnOutput(this, id, { description, value });
    };
    output('RunCommand', 'Runs the pending migrations', invoke('{}'));
    output('StatusCommand', 'Shows the ledger and the index builds', invoke('{"action":"status"}'));
    output('PlanCommand', 'Shows what a run would do; writes nothing', invoke('{"action":"plan"}'));
    output('RetryCommand', 'Builds again what failed or was cancelled', invoke('{"action":"retry"}'));
    const { dashboardUrl } = this.migrations.observability;
    if (dashboardUrl !== undefined) output('Dashboard', 'Progress of the index builds', dashboardUrl);
    output(
      'MigratorConsole',
      'The migrator in the AWS console',
      `${console}/lambda/home?region=${Aws.REGION}#/functions/${migrator.functionName}`,
    );
    output(
      'IndexBuildLoopConsole',
      'The index-build loop in the AWS console',
      `${console}/states/home?region=${Aws.REGION}#/statemachines/view/${stateMachine.stateMachineArn}`,
    );
  }
}
