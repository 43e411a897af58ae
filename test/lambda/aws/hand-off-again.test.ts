import { beforeEach, expect, it, onTestFinished, vi } from 'vitest';
import { handOffAgain } from '../../../lambda/aws/hand-off-again.ts';
import { type AwsEndpoint, startAwsEndpoint } from '../../../local/aws/aws-endpoint.ts';
import type { ExecutionOutcome } from '../../../local/aws/execution.ts';
import { stateMachineArn } from '../../../local/aws/local-account.ts';

const arn = stateMachineArn('loop');
const startedAt = Date.now();

let aws: AwsEndpoint;
beforeEach(async () => {
  aws = await startAwsEndpoint();
  for (const [name, value] of Object.entries(aws.environment)) vi.stubEnv(name, value);
  // Runs until it is stopped.
  aws.stepFunctions.register(arn, () => {
    let resolve: (outcome: ExecutionOutcome) => void = () => {};
    const promise = new Promise<ExecutionOutcome>((done) => {
      resolve = done;
    });
    return { outcome: promise, abort: () => resolve({ status: 'ABORTED' }) };
  });
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(async () => {
    vi.useRealTimers();
    vi.unstubAllEnvs();
    await aws.stop();
  });
});

it('a loop that was stopped is started again for a deploy that waits, at most every five minutes; one that runs is left alone', async () => {
  const { stepFunctions } = aws;
  const handle = stepFunctions.handle.bind(stepFunctions);
  let looks = 0;
  stepFunctions.handle = (operation, input) => {
    if (operation === 'ListExecutions') looks += 1;
    return handle(operation, input);
  };
  const started: Record<number, string[]> = {};
  for (let seconds = 0; seconds <= 20 * 60; seconds += 10) {
    const before = stepFunctions.executions.length;
    vi.setSystemTime(startedAt + seconds * 1000);
    await handOffAgain(arn, { requestId: 'request', startedAt });
    const names = stepFunctions.executions.slice(before).map(({ name }) => name);
    if (names.length > 0) started[seconds] = names;
    // The first ends soon, the second at once, the third stays.
    if (seconds === 120 || seconds === 300) {
      stepFunctions.abortAll();
      await stepFunctions.settled();
    }
  }
  expect(started).toEqual({
    0: ['hand-off-request'],
    300: ['hand-off-request-1'],
    600: ['hand-off-request-2'],
  });
  expect(looks).toBe(21);
});
