import * as cdk from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type { Construct, IConstruct } from 'constructs';
import { PreflightHook } from './preflight-hook.ts';

/** A finding of cdk-nag's AwsSolutions pack that stands, and why. */
interface Acknowledgement {
  readonly id: string;
  readonly reason: string;
}

interface Validations {
  acknowledge(...rules: readonly Acknowledgement[]): void;
}

/** Writes the reasons down where cdk-nag looks for them; nothing to do with an aws-cdk-lib that can't hold them. */
export function acknowledgeFindings(construct: Construct): void {
  const { Validations: validations } = cdk as unknown as {
    Validations?: { of(scope: IConstruct): Validations };
  };
  if (validations === undefined) return;
  const all = construct.node.findAll();
  const logicalId = (element: cdk.CfnElement) => cdk.Stack.of(construct).getLogicalId(element);
  const onResource = (resource: string, reason: string): Acknowledgement => ({
    id: `AwsSolutions-IAM5[Resource::${resource}]`,
    reason,
  });
  validations.of(construct).acknowledge(
    onResource(
      '*',
      'X-Ray and the delivery of state machine logs take no resource; in a network, neither do the interfaces of a function.',
    ),
    ...all
      .filter((child) => child instanceof lambda.CfnFunction)
      .map((child) =>
        onResource(
          `<${logicalId(child)}.Arn>:*`,
          "The wildcard stands for the function's versions and aliases, which Lambda appends to its ARN.",
        ),
      ),
    ...all
      .filter((child) => child instanceof sfn.CfnStateMachine)
      .flatMap((child) =>
        [':*', '/BuildTables:*'].map((end) =>
          onResource(
            `arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution:{"Fn::Select":[6,{"Fn::Split":[":",{"Ref":"${logicalId(child)}"}]}]}${end}`,
            'A distributed map starts and stops executions of its own machine, and makes up their names itself.',
          ),
        ),
      ),
    ...all
      .filter((child) => child instanceof PreflightHook)
      .map(({ codeBucket }) =>
        onResource(
          `arn:<AWS::Partition>:s3:::${inAngles(cdk.Stack.of(construct).resolve(codeBucket))}/*.zip`,
          'The new code that a hook judges has a name which only the next template knows; the bucket holds code alone.',
        ),
      ),
    {
      id: 'AwsSolutions-SF1',
      reason:
        "Found in the machine in which the CDK's Provider waits: it logs what fails. The loop itself logs all.",
    },
    {
      id: 'AwsSolutions-SF2',
      reason: "The CDK's Provider offers no tracing for the machine in which it waits.",
    },
  );
}

/** A bucket's name as cdk-nag writes it: `<AWS::Region>` for `${AWS::Region}`. */
function inAngles(bucket: string | { readonly 'Fn::Sub': string }): string {
  const text = typeof bucket === 'string' ? bucket : bucket['Fn::Sub'];
  return text.replace(/\$\{([^}]+)\}/g, '<$1>');
}
