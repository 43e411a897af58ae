import { loopRuns, startLoop } from './hand-off.ts';

/** A loop that is gone is noticed within this time. Step Functions answers few such questions a second. */
const LOOK_EVERY_MILLISECONDS = 60_000;
/** How often one request starts a loop that ends as soon as it begins. */
const START_EVERY_MILLISECONDS = 5 * 60_000;

let lookedAt = 0;

interface Deploying {
  /** Of CloudFormation. It names the first loop of its deploy. */
  readonly requestId: string;
  /** In milliseconds since 1970. */
  readonly startedAt: number;
}

/**
 * Starts a loop for a deploy that waits for builds where none runs: its function was killed before it could start one,
 * or the loop was stopped. The first bears the name that the run would have given it, so that both are one.
 */
export async function handOffAgain(stateMachineArn: string, deploying: Deploying): Promise<void> {
  if (Date.now() - lookedAt < LOOK_EVERY_MILLISECONDS) return;
  lookedAt = Date.now();
  if (await loopRuns(stateMachineArn)) return;
  await startLoop(stateMachineArn, nameOf(deploying));
}

/**
 * Starts the loop for builds that a deploy leaves behind, in case that nobody has: from then on nobody looks after them.
 * Where the deploy's run has started it, the name is taken.
 */
export async function handOffAtTheEnd(stateMachineArn: string, requestId: string): Promise<void> {
  if (!continued.has(requestId)) await startLoop(stateMachineArn, `hand-off-${requestId}`);
}

/** Deploys that this process has gone on with, and started a loop for, under another name. */
const continued = new Set<string>();

export function handedOffNow(requestId: string): void {
  lookedAt = Date.now();
  continued.add(requestId);
}

function nameOf({ requestId, startedAt }: Deploying): string {
  const number = Math.floor((Date.now() - startedAt) / START_EVERY_MILLISECONDS);
  return number > 0 ? `hand-off-${requestId}-${number}` : `hand-off-${requestId}`;
}
