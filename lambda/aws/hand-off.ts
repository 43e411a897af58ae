/**
 * Starts the loop for the pending index builds. The execution is named after what asked for it (CloudFormation's
 * request, or the run), so that a hand-off which is delivered twice starts one execution.
 */
export async function startLoop(stateMachineArn: string, name: string): Promise<string> {
  const { SFNClient, StartExecutionCommand, ExecutionAlreadyExists } = await import('@aws-sdk/client-sfn');
  const client = new SFNClient({});
  try {
    const { executionArn } = await client.send(
      new StartExecutionCommand({ stateMachineArn, name, input: JSON.stringify({ handOff: name }) }),
    );
    return executionArn ?? name;
  } catch (error) {
    if (error instanceof ExecutionAlreadyExists) return name;
    throw error;
  } finally {
    client.destroy();
  }
}
