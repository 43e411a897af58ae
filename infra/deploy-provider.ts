import { Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import * as logs from 'aws-cdk-lib/aws-logs';
import { Provider } from 'aws-cdk-lib/custom-resources';
import { Construct } from 'constructs';

export interface DeployProviderProps {
  /** Answers CloudFormation's events. */
  readonly onEvent: lambda.IFunction;
  /** Tells whether what `onEvent` started is far enough for the deploy to continue. */
  readonly isComplete: lambda.IFunction;
  /** How long isComplete is called at most. */
  readonly longestWait: Duration;
  readonly logRetention: logs.RetentionDays;
  readonly logEncryptionKey: kms.IKey | undefined;
}

/** How often isComplete is called. */
const QUERY_SECONDS = 10;

/** The CDK's Provider, with roles that may only write to its own log. */
export class DeployProvider extends Construct {
  readonly serviceToken: string;

  constructor(scope: Construct, id: string, props: DeployProviderProps) {
    super(scope, id);
    const logGroup = new logs.LogGroup(this, 'Logs', {
      retention: props.logRetention,
      ...(props.logEncryptionKey === undefined ? {} : { encryptionKey: props.logEncryptionKey }),
      removalPolicy: RemovalPolicy.RETAIN,
    });
    const role = (roleId: string): iam.Role => {
      const created = new iam.Role(this, roleId, {
        assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      });
      logGroup.grantWrite(created);
      return created;
    };
    const provider = new Provider(this, 'Provider', {
      onEventHandler: props.onEvent,
      isCompleteHandler: props.isComplete,
      queryInterval: Duration.seconds(QUERY_SECONDS),
      totalTimeout: totalTimeout(props.longestWait),
      logGroup,
      frameworkOnEventRole: role('OnEventRole'),
      frameworkCompleteAndTimeoutRole: role('IsCompleteRole'),
    });
    this.serviceToken = provider.serviceToken;
  }
}

/**
 * The Provider counts calls, not time, and gives up with its own message. So it gets as many as there would be if calls
 * took no time: isComplete checks the clock, and gives up before that.
 */
function totalTimeout(longestWait: Duration): Duration {
  return Duration.seconds(Math.floor(longestWait.toSeconds() / QUERY_SECONDS) * QUERY_SECONDS);
}
