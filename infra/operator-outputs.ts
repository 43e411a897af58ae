import { Aws, CfnOutput } from 'aws-cdk-lib';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct } from 'constructs';
import type { Observability } from './observability.ts';

/** Of PostgresMigrations. */
interface Operated {
  readonly migrator: lambda.IFunction;
  readonly stateMachine: sfn.IStateMachine;
  readonly observability: Observability;
}

/** Outputs for whoever operates it: the commands that invoke the migrator, and the links into the console. */
export function operatorOutputs(scope: Construct, { migrator, stateMachine, observability }: Operated): void {
  const invoke = (payload: string): string =>
    `aws lambda invoke --region ${Aws.REGION} --function-name ${migrator.functionName} ` +
    `--cli-binary-format raw-in-base64-out --cli-read-timeout 900 --payload '${payload}' /dev/stdout`;
  const console = `https://${Aws.REGION}.console.aws.amazon.com`;
  const output = (id: string, description: string, value: string): void => {
    new CfnOutput(scope, id, { description, value });
  };
  const command = (verb: string): string =>
    `npx cdk-postgres-migrations ${verb} --function ${migrator.functionName} --region ${Aws.REGION}`;
  output('MigratorFunction', 'The migrator: --function of cdk-postgres-migrations', migrator.functionName);
  output('Up', 'Runs the pending migrations, and watches the index builds', command('up'));
  output('Status', 'Shows the ledger and the index builds', command('status'));
  output('Plan', 'Shows what a run would do; writes nothing', command('plan'));
  output('Retry', 'Builds again what failed or was cancelled', command('retry'));
  output('RunCommand', 'Runs the pending migrations', invoke('{}'));
  output('StatusCommand', 'Shows the ledger and the index builds', invoke('{"action":"status"}'));
  output('PlanCommand', 'Shows what a run would do; writes nothing', invoke('{"action":"plan"}'));
  output('RetryCommand', 'Builds again what failed or was cancelled', invoke('{"action":"retry"}'));
  const { dashboardUrl } = observability;
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
