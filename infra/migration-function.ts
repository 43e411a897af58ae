import { type Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import type * as secretsmanager from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { environment } from '../lambda/environment.ts';
import type { MigrationOptions } from '../lambda/migration/options.ts';

export interface MigrationFunctionProps {
  readonly code: lambda.Code;
  /** `file.export` within the bundle. */
  readonly handler: string;
  readonly description: string;
  readonly secret: secretsmanager.ISecret;
  readonly options: Partial<MigrationOptions>;
  readonly memorySize: number;
  readonly timeout: Duration;
  readonly logRetention: logs.RetentionDays;
}

/** Lambda's limit, in characters; it carries a path that can be long. */
const LONGEST_DESCRIPTION = 256;

/**
 * A function that works on the database: it may read its secret and write its own log, and nothing else until it is
 * granted. Its role is its own, since the managed policy for Lambda may write into every log of the account.
 */
export class MigrationFunction extends lambda.Function {
  constructor(scope: Construct, id: string, props: MigrationFunctionProps) {
    const { code, handler, description, secret, memorySize, timeout } = props;
    const role = new iam.Role(scope, `${id}Role`, {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    });
    const logGroup = new logs.LogGroup(scope, `${id}Logs`, {
      retention: props.logRetention,
      // A first deploy that fails takes its resources with it; its log is then what tells why.
      removalPolicy: RemovalPolicy.RETAIN,
    });
    super(scope, id, {
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: lambda.Architecture.ARM_64,
      code,
      handler,
      description: description.slice(0, LONGEST_DESCRIPTION),
      memorySize,
      timeout,
      role,
      logGroup,
      environment: {
        [environment.secretArn]: secret.secretFullArn ?? secret.secretArn,
        [environment.options]: Stack.of(scope).toJsonString(props.options),
      },
    });
    logGroup.grantWrite(role);
    secret.grantRead(role);
  }
}
