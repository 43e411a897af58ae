/** The AWS account that this machine simulates: its ARNs look real but lead nowhere. */
export const localAccount = {
  partition: 'aws',
  region: 'us-east-1',
  account: '123456789012',
  urlSuffix: 'amazonaws.com',
} as const;

/** `arn:aws:SERVICE:us-east-1:123456789012:RESOURCE` */
export function localArn(service: string, resource: string): string {
  const { partition, region, account } = localAccount;
  return `arn:${partition}:${service}:${region}:${account}:${resource}`;
}

export const functionArn = (name: string): string => localArn('lambda', `function:${name}`);
export const stateMachineArn = (name: string): string => localArn('states', `stateMachine:${name}`);

/** The ARN of an execution of the machine with this ARN. */
export function executionArn(machineArn: string, name: string): string {
  return `${machineArn.replace(':stateMachine:', ':execution:')}:${name}`;
}

/** Secrets have six characters after their name, so that a partial ARN can be told from a whole one. */
export const secretArn = (name: string): string => localArn('secretsmanager', `secret:${name}-LoCaL1`);
