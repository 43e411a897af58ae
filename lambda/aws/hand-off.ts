import { MigrationError } from '../migration/migration-error.ts';
import { CALL_MILLISECONDS, clientLimits, isUnanswered, noWayTo, within } from './client-limits.ts';

/**
 * Starts the loop for the pending builds. The execution is named after what caused it (CloudFormation's request, or the
 * run), so that a hand-off delivered twice starts one execution.
 */
export async function startLoop(stateMachineArn: string, name: string): Promise<string> {
  const { SFNClient, StartExecutionCommand, ExecutionAlreadyExists } = await import('@aws-sdk/client-sfn');
  const client = new SFNClient(clientLimits);
  try {
    const { executionArn } = await client.send(
      new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify({ handOff: name }) }),
      within(CALL_MILLISECONDS),
    );
    return executionArn ?? name;
  } catch (error) {
    if (error instanceof ExecutionAlreadyExists) return name;
    throw handOffFailed('started', error);
  } finally {
    client.destroy();
  }
}

/** Whether an execution of the loop runs. One started seconds ago may not be listed yet. */
export async function loopRuns(stateMachineArn: string): Promise<boolean> {
  const { SFNClient, ListExecutionsCommand } = await import('@aws-sdk/client-sfn');
  const client = new SFNClient(clientLimits);
  try {
    const { executions = [] } = await client.send(
      new ListExecutionsCommand({ stateMachineArn, statusFilter: 'RUNNING', maxResults: 1 }),
      within(CALL_MILLISECONDS),
    );
    return executions.length > 0;
  } catch (error) {
    throw handOffFailed('looked for', error);
  } finally {
    client.destroy();
  }
}

function handOffFailed(done: 'started' | 'looked for', error: unknown): MigrationError {
  const may = done === 'started' ? 'start the state machine' : 'list executions of the state machine';
  return new MigrationError({
    code: 'hand-off-failed',
    what: `The index-build loop could not be ${done}${isUnanswered(error) ? ', since Step Functions does not answer' : ''}: ${error instanceof Error ? error.message : String(error)}`,
    applied: 'every step up to the index builds, which are recorded as pending.',
    next: `${isUnanswered(error) ? noWayTo('states') : `see why the function may not ${may} (its role)`}; then run again: {} or another deploy hands the builds off.`,
    cause: error,
  });
}
