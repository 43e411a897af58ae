import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { InvokeCommand, LambdaClient, waitUntilFunctionActiveV2 } from '@aws-sdk/client-lambda';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import {
  DescribeExecutionCommand,
  ListExecutionsCommand,
  SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type AwsEndpoint, startAwsEndpoint } from '../../../local/aws/aws-endpoint.ts';
import { AwsError } from '../../../local/aws/aws-error.ts';
import type { ExecutionOutcome } from '../../../local/aws/execution.ts';
import { stateMachineArn } from '../../../local/aws/local-account.ts';

let aws: AwsEndpoint;
beforeEach(async () => {
  aws = await startAwsEndpoint();
  // The clients find their way by the environment alone, as the functions' own do.
  for (const [name, value] of Object.entries(aws.environment)) vi.stubEnv(name, value);
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    await aws.stop();
  });
});

describe('secrets', () => {
  const get = (SecretId: string, VersionStage?: string) =>
    new SecretsManagerClient().send(
      new GetSecretValueCommand({ SecretId, ...(VersionStage && { VersionStage }) }),
    );

  it('are found by name, by ARN and by ARN without its last six characters', async () => {
    const arn = aws.secrets.put('app/database', 'postgres://one');
    for (const id of ['app/database', arn, arn.replace(/-\w{6}$/, '')]) {
      expect(await get(id)).toMatchObject({ SecretString: 'postgres://one', ARN: arn, Name: 'app/database' });
    }
  });

  it('have a new value after a rotation, and the old one by its version stage', async () => {
    aws.secrets.put('rotated', 'old');
    const { VersionId: oldId } = await get('rotated');
    aws.secrets.put('rotated', 'new');
    expect(await get('rotated')).toMatchObject({ SecretString: 'new', VersionStages: ['AWSCURRENT'] });
    expect(await get('rotated', 'AWSPREVIOUS')).toMatchObject({ SecretString: 'old', VersionId: oldId });
  });

  it('that are missing or marked for deletion are refused as AWS refuses them', async () => {
    await expect(get('absent')).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
    aws.secrets.put('leaving', 'x');
    aws.secrets.remove('leaving', 'mark');
    await expect(get('leaving')).rejects.toMatchObject({ name: 'InvalidRequestException' });
  });

  it('come through throttles, which the client retries; other faults reach the caller', async () => {
    aws.secrets.put('busy', 'x');
    aws.fail({ operation: 'GetSecretValue', count: 2 });
    expect(await get('busy')).toMatchObject({ SecretString: 'x' });
    expect(aws.requests.map(({ operation }) => operation)).toEqual(Array(3).fill('GetSecretValue'));
    aws.fail({ fault: new AwsError('AccessDeniedException', 'User is not authorized') });
    await expect(get('busy')).rejects.toMatchObject({
      name: 'AccessDeniedException',
      message: 'User is not authorized',
    });
  });
});

describe('executions', () => {
  const machine = stateMachineArn('Loop');
  let end: (outcome: ExecutionOutcome) => void;
  beforeEach(() => {
    aws.stepFunctions.register(machine, () => {
      const outcome = new Promise<ExecutionOutcome>((resolve) => {
        end = resolve;
      });
      return { outcome, abort: () => end({ status: 'ABORTED' }) };
    });
  });
  const start = (name: string, input = '{}') =>
    new SFNClient().send(new StartExecutionCommand({ stateMachineArn: machine, name, input }));
  const describeOne = (executionArn = '') =>
    new SFNClient().send(new DescribeExecutionCommand({ executionArn }));

  it('start once for one name and input while they run', async () => {
    const [first, second] = await Promise.all([start('deploy-1'), start('deploy-1')]);
    expect(second.executionArn).toBe(first.executionArn);
    expect(aws.stepFunctions.executions).toHaveLength(1);
    await expect(start('deploy-1', '{"other":1}')).rejects.toMatchObject({ name: 'ExecutionAlreadyExists' });
    end({ status: 'SUCCEEDED', output: null });
    await aws.stepFunctions.settled();
    await expect(start('deploy-1')).rejects.toMatchObject({ name: 'ExecutionAlreadyExists' });
  });

  it('are described while they run and when they ended', async () => {
    const { executionArn } = await start('one', '{"a":1}');
    expect(await describeOne(executionArn)).toMatchObject({
      status: 'RUNNING',
      input: '{"a":1}',
      name: 'one',
    });
    end({ status: 'FAILED', error: 'BuildsFailed', cause: 'one index' });
    await aws.stepFunctions.settled();
    const { status, error, cause, startDate, stopDate } = await describeOne(executionArn);
    expect({ status, error, cause }).toEqual({ status: 'FAILED', error: 'BuildsFailed', cause: 'one index' });
    expect(startDate?.getTime()).toBeLessThanOrEqual(stopDate?.getTime() ?? 0);
    expect(Math.abs(Date.now() - (startDate?.getTime() ?? 0))).toBeLessThan(60_000);
  });

  it('are stopped, and listed by status, newest first, page by page', async () => {
    const { executionArn } = await start('a');
    await new SFNClient().send(new StopExecutionCommand({ executionArn }));
    await start('b');
    await start('c');
    const list = (more: object) =>
      new SFNClient().send(new ListExecutionsCommand({ stateMachineArn: machine, ...more }));
    const { executions: aborted } = await list({ statusFilter: 'ABORTED' });
    expect(aborted).toMatchObject([{ name: 'a' }]);
    const page = await list({ maxResults: 2 });
    expect(page.executions).toMatchObject([{ name: 'c' }, { name: 'b' }]);
    const { executions, nextToken } = await list({ maxResults: 2, nextToken: page.nextToken });
    expect(executions).toMatchObject([{ name: 'a' }]);
    expect(nextToken).toBeUndefined();
  });

  it('of unknown machines, with bad names or input that is no JSON are refused', async () => {
    const send = (request: { stateMachineArn: string; name?: string; input?: string }) =>
      new SFNClient().send(new StartExecutionCommand(request));
    await expect(send({ stateMachineArn: stateMachineArn('Other') })).rejects.toMatchObject({
      name: 'StateMachineDoesNotExist',
    });
    for (const name of ['with space', 'x'.repeat(81), 'a/b']) {
      await expect(send({ stateMachineArn: machine, name })).rejects.toMatchObject({ name: 'InvalidName' });
    }
    await expect(send({ stateMachineArn: machine, input: '{' })).rejects.toMatchObject({
      name: 'InvalidExecutionInput',
    });
  });
});

describe('events', () => {
  it('are kept with their detail parsed, and refused one by one', async () => {
    const client = new EventBridgeClient();
    const entry = { Source: 'migrations', DetailType: 'Index build', Detail: '{"index":"i"}' };
    const { FailedEntryCount, Entries } = await client.send(
      new PutEventsCommand({ Entries: [entry, { ...entry, Detail: 'no JSON' }] }),
    );
    expect(FailedEntryCount).toBe(1);
    expect(Entries?.[1]).toMatchObject({ ErrorCode: 'MalformedDetail' });
    expect(aws.events.events).toMatchObject([
      { source: 'migrations', detail: { index: 'i' }, bus: 'default' },
    ]);
    aws.events.refuseNext(1);
    expect(await client.send(new PutEventsCommand({ Entries: [entry] }))).toMatchObject({
      FailedEntryCount: 1,
    });
  });
});

describe('functions', () => {
  const invoke = async (FunctionName: string, payload: unknown, more: object = {}) => {
    const command = new InvokeCommand({ FunctionName, Payload: JSON.stringify(payload), ...more });
    const { Payload, ...answer } = await new LambdaClient().send(command);
    const text = Payload?.transformToString() ?? '';
    return { ...answer, payload: text === '' ? undefined : (JSON.parse(text) as unknown) };
  };

  it('are invoked by name or ARN with JSON, and answer JSON', async () => {
    const arn = aws.functions.register('Add', (event) => ({ got: event }));
    for (const name of ['Add', arn]) {
      expect(await invoke(name, { a: 1 })).toMatchObject({ StatusCode: 200, payload: { got: { a: 1 } } });
    }
    await waitUntilFunctionActiveV2({ client: new LambdaClient(), maxWaitTime: 5 }, { FunctionName: 'Add' });
  });

  it('that throw answer with the error’s type, message and trace', async () => {
    aws.functions.register('Throw', () => {
      throw new TypeError('not that');
    });
    const { FunctionError, payload } = await invoke('Throw', {});
    expect(FunctionError).toBe('Unhandled');
    expect(payload).toMatchObject({ errorType: 'TypeError', errorMessage: 'not that' });
    expect((payload as { trace: string[] }).trace[0]).toBe('TypeError: not that');
  });

  it('run on by themselves where the caller wants no answer', async () => {
    const got: unknown[] = [];
    aws.functions.register('Later', (event) => void got.push(event));
    expect(await invoke('Later', 1, { InvocationType: 'Event' })).toMatchObject({ StatusCode: 202 });
    await aws.functions.settled();
    expect(got).toEqual([1]);
  });

  it('that do not exist are refused', async () => {
    await expect(invoke('Absent', {})).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });
});
