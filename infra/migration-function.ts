import { type Duration, RemovalPolicy, Stack } from 'aws-cdk-lib';
import type * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { environment } from '../lambda/environment.ts';
import type { MigrationOptions } from '../lambda/migration/options.ts';
import type { Credentials, FunctionNetwork } from './database-access.ts';

export interface MigrationFunctionProps {
  readonly code: lambda.Code;
  /** `file.export` within the bundle. */
  readonly handler: string;
  readonly description: string;
  readonly credentials: Credentials;
  readonly options: Partial<MigrationOptions>;
  readonly memorySize: number;
  readonly timeout: Duration;
  readonly logRetention: logs.RetentionDays;
  /** Key of its log; CloudWatch's own encryption without one. */
  readonly logEncryptionKey: kms.IKey | undefined;
  readonly network: FunctionNetwork | undefined;
  /** Names the construct in logs, metrics and events. */
  readonly service: string;
  readonly eventBus: events.IEventBus;
  /** PEM files for TLS beyond Node's own trust store, as Lambda sees the path. */
  readonly extraCertificates: string | undefined;
}

/** Lambda's limit, in characters; it carries a path that can be long. */
const LONGEST_DESCRIPTION = 256;

/**
 * A function that works on the database: it may write its own log, and nothing else until it is granted access. Its
 * role is its own, since the managed policy for Lambda may write into every log of the account.
 */
export class MigrationFunction extends lambda.Function {
  constructor(scope: Construct, id: string, props: MigrationFunctionProps) {
    const { code, handler, description, credentials, memorySize, timeout, network } = props;
    const role = new iam.Role(scope, `${id}Role`, {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
    });
    const logGroup = new logs.LogGroup(scope, `${id}Logs`, {
      retention: props.logRetention,
      ...(props.logEncryptionKey === undefined ? {} : { encryptionKey: props.logEncryptionKey }),
      // A failed first deploy deletes its resources; the log is what remains to tell why.
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
      tracing: lambda.Tracing.ACTIVE,
      ...(network === undefined ? {} : inNetwork(network)),
      environment: {
        ...credentials.environment,
        [environment.options]: Stack.of(scope).toJsonString(props.options),
        // Its name alone would mean the bus of that name in this account.
        [environment.eventBus]: props.eventBus.eventBusArn,
        POWERTOOLS_SERVICE_NAME: props.service,
        ...(props.extraCertificates === undefined ? {} : { NODE_EXTRA_CA_CERTS: props.extraCertificates }),
      },
    });
    logGroup.grantWrite(role);
    credentials.grantTo(role);
    props.eventBus.grantPutEventsTo(role);
    if (network !== undefined) mayStandInNetwork(role);
  }
}

function inNetwork({ vpc, vpcSubnets, securityGroups }: FunctionNetwork) {
  return { vpc, securityGroups, ...(vpcSubnets === undefined ? {} : { vpcSubnets }) };
}

/** Lambda makes the network interfaces with the function's role, and EC2 takes no resource for these actions. */
function mayStandInNetwork(role: iam.Role): void {
  role.addToPolicy(
    new iam.PolicyStatement({
      actions: [
        'ec2:CreateNetworkInterface',
        'ec2:DescribeNetworkInterfaces',
        'ec2:DescribeSubnets',
        'ec2:DeleteNetworkInterface',
        'ec2:AssignPrivateIpAddresses',
        'ec2:UnassignPrivateIpAddresses',
      ],
      resources: ['*'],
    }),
  );
}
