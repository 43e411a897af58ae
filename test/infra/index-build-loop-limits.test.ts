import type { StateMachineDefinition } from 'aws-local-stepfunctions';
import { describe, expect, it } from 'vitest';
import { TURNS_PER_BRANCH } from '../../infra/index-build-loop.ts';
import { Builds } from './countdown-builds.ts';
import { loopDefinition, runLoop } from './loop-runner.ts';

describe('limits of Step Functions', () => {
  it('are kept by a branch whose every turn is retried as often as can be', () => {
    const { Retry } = branchStates(loopDefinition()).Turn as { Retry: { MaxAttempts: number }[] };
    const retries = Retry.reduce((sum, { MaxAttempts }) => sum + MaxAttempts, 0);

    expect(TURNS_PER_BRANCH * (9 + 3 * retries)).toBeLessThan(25_000);
    expect(TURNS_PER_BRANCH).toBeGreaterThan(400);
  });

  it('give a table that needs more turns another branch, in which turns count from 1 again', async () => {
    const builds = new Builds({ huge: TURNS_PER_BRANCH + 2 });

    const { failure, tasks, entered } = await runLoop(builds);

    expect(failure).toBeUndefined();
    const turns = tasks.flatMap((task) => (task.task === 'turn' ? [task.turn] : []));
    expect(turns).toHaveLength(TURNS_PER_BRANCH + 2);
    expect(turns.slice(-3)).toEqual([TURNS_PER_BRANCH, 1, 2]);
    expect(entered.filter((state) => state === 'TurnLimit')).toHaveLength(1);
  });

  it('never see a state grow: a branch ends with one word', async () => {
    const states = Object.values(branchStates(loopDefinition())) as { Type: string; Result?: unknown }[];

    expect(states.flatMap(({ Type, Result }) => (Type === 'Pass' ? [Result] : []))).toEqual(
      expect.arrayContaining([{ end: 'done' }, { end: 'turn-limit' }, { end: 'failed' }]),
    );
  });

  it('each table has an execution of its own', () => {
    expect(loopDefinition(7).States.BuildTables).toMatchObject({
      MaxConcurrency: 7,
      ToleratedFailurePercentage: 100,
      ItemProcessor: { ProcessorConfig: { Mode: 'DISTRIBUTED', ExecutionType: 'STANDARD' } },
    });
  });

  it('errors are retried for about ten minutes on average, with full jitter', () => {
    const { Retry } = branchStates(loopDefinition()).Turn as {
      Retry: {
        IntervalSeconds: number;
        BackoffRate: number;
        MaxDelaySeconds: number;
        MaxAttempts: number;
        JitterStrategy: string;
      }[];
    };
    const [retry] = Retry;
    if (retry === undefined) throw new Error('Turn has no Retry');
    const delays = Array.from({ length: retry.MaxAttempts }, (_, attempt) =>
      Math.min(retry.IntervalSeconds * retry.BackoffRate ** attempt, retry.MaxDelaySeconds),
    );

    expect(retry.JitterStrategy).toBe('FULL');
    expect(delays.reduce((sum, delay) => sum + delay, 0) / 2).toBeGreaterThan(9 * 60);
  });
});

function branchStates(definition: StateMachineDefinition): Record<string, unknown> {
  const { ItemProcessor } = definition.States.BuildTables as { ItemProcessor?: StateMachineDefinition };
  return ItemProcessor?.States ?? {};
}
