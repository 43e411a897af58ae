import { Aws, Duration, Names, Stack } from 'aws-cdk-lib';
import { CfnLambdaHook } from 'aws-cdk-lib/aws-cloudformation';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';

export interface PreflightHookProps {
  /** The function that answers, `PostgresMigrations.preflight`. */
  readonly preflight: lambda.IFunction;
  /** `Organization::Service::Hook`, unique in the account and region. @default - Postgres::Migrations::, and the path */
  readonly alias?: string;
  /** `FAIL` stops a deploy that would go wrong, `WARN` only says so. @default 'FAIL' */
  readonly failureMode?: 'FAIL' | 'WARN';
  /** Stacks that are checked, by name. @default - the stack of this construct alone */
  readonly stackNames?: readonly string[];
}

/** How long CloudFormation waits for a hook's answer. */
export const HOOK_TIMEOUT = Duration.seconds(30);

/** Asks the preflight function before a stack is created or updated, before any resource is touched. */
export class PreflightHook extends Construct {
  readonly hook: CfnLambdaHook;
  /** Where the CDK puts the functions' code, old and new. */
  readonly codeBucket: string;

  constructor(scope: Construct, id: string, props: PreflightHookProps) {
    super(scope, id);
    const executionRole = new iam.Role(this, 'ExecutionRole', {
      assumedBy: new iam.ServicePrincipal('hooks.cloudformation.amazonaws.com'),
      description: 'Lets CloudFormation ask the preflight function',
    });
    props.preflight.grantInvoke(executionRole);
    this.codeBucket = codeBucketOf(props.preflight);
    mayRead(props.preflight, this.codeBucket);
    this.hook = new CfnLambdaHook(this, 'Hook', {
      alias: props.alias ?? `Postgres::Migrations::${nameOf(this)}`,
      executionRole: executionRole.roleArn,
      failureMode: props.failureMode ?? 'FAIL',
      hookStatus: 'ENABLED',
      lambdaFunction: props.preflight.functionArn,
      // Of stacks a hook is asked before provisioning only; for a delete the function answers yes.
      targetOperations: ['STACK'],
      stackFilters: {
        filteringCriteria: 'ALL',
        stackNames: { include: [...(props.stackNames ?? [ownStackName(this)])] },
      },
    });
    this.hook.node.addDependency(executionRole);
  }
}

/** A part of an alias takes 64 letters and digits. Two hooks of one account must not bear the same. */
function nameOf(construct: Construct): string {
  return Names.uniqueResourceName(construct, { maxLength: 64 });
}

function ownStackName(construct: Construct): string {
  return Stack.of(construct).stackName;
}

/**
 * The function that is asked is of the deploy before. The new migrations are in the new code's asset, which is uploaded
 * before the hook is asked: to the same bucket, under a name that only the new template knows.
 */
function mayRead(preflight: lambda.IFunction, bucket: string): void {
  preflight.addToRolePolicy(
    new iam.PolicyStatement({
      actions: ['s3:GetObject'],
      resources: [`arn:${Aws.PARTITION}:s3:::${bucket}/*.zip`],
    }),
  );
}

function codeBucketOf(preflight: lambda.IFunction): string {
  const { code } = preflight.node.defaultChild as lambda.CfnFunction;
  if ('s3Bucket' in code && code.s3Bucket !== undefined) return code.s3Bucket;
  throw new TypeError(`the code of ${preflight.node.path} is no asset`);
}
