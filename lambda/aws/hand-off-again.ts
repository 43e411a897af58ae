import { loopRuns, startLoop } from './hand-off.ts';

/** How soon a missing loop is noticed; Step Functions allows only a few such calls per second. */
const LOOK_EVERY_MILLISECONDS = 60_000;
/** How often one request restarts a loop that keeps ending at once. */
const START_EVERY_MILLISECONDS = 5 * 60_000;

let lookedAt = 0;

interface Deploying {
  /** CloudFormation's request. It names the deploy's first loop. */
  readonly requestId: string;
  /** In milliseconds since 1970. */
  readonly startedAt: number;
}

/**
 * Starts a loop where a deploy waits for builds and none runs: its function was killed before it could start one, or
 * the loop was stopped. The first has the name that the run would have given it, so that only one of the two starts.
 */
export async function handOffAgain(stateMachineArn: string, deploying: Deploying): Promise<void> {
  if (Date.now() - lookedAt < LOOK_EVERY_MILLISECONDS) return;
  lookedAt = Date.now();
  if (await loopRuns(stateMachineArn)) return;
  await startLoop(stateMachineArn, nameOf(deploying));
}

/**
 * Starts the loop for builds that a deploy leaves to it, in case nobody has: the deploy no longer looks after them.
 * Where the deploy's run has started it, the name is taken and nothing happens.
 */
export async function handOffAtTheEnd(stateMachineArn: string, requestId: string): Promise<void> {
  if (!continued.has(requestId)) await startLoop(stateMachineArn, `hand-off-${requestId}`);
}

/** Deploys for which this process has already started a loop under another name. */
const continued = new Set<string>();

export function handedOffNow(requestId: string): void {
  lookedAt = Date.now();
  continued.add(requestId);
}

function nameOf({ requestId, startedAt }: Deploying): string {
  const number = Math.floor((Date.now() - startedAt) / START_EVERY_MILLISECONDS);
  return number > 0 ? `hand-off-${requestId}-${number}` : `hand-off-${requestId}`;
}
