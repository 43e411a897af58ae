import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import { isPermanent } from '../../lambda/migration/sqlstate.ts';
import { tablesWithBuilds } from '../../lambda/postgres/ledger/build-queue.ts';
import { withSession } from '../../lambda/postgres/session/connect.ts';
import { SessionLost, StatementFault } from '../../lambda/postgres/session/fault.ts';
import { resume } from '../../lambda/run/resume.ts';
import type { RunRequest } from '../../lambda/run/run.ts';
import type { BuildTable, SettleResult } from '../../lambda/work/loop-task.ts';
import { settle } from '../../lambda/work/turn/settle.ts';
import { takeTurn } from '../../lambda/work/turn/turn.ts';
import type { TurnEvent, TurnRequest } from '../../lambda/work/turn/turn-request.ts';
import { leftAtSignal } from './interruption.ts';

export interface InProcessLoop extends Omit<RunRequest, 'report'> {
  readonly report: (event: Parameters<RunRequest['report']>[0] | TurnEvent) => void;
  /** Between two attempts of a build, instead of what the deployed loop waits. */
  readonly pauseSeconds?: TurnRequest['pauseSeconds'];
  /** Ends the loop at once; builds under way go on in the database, as far as their sessions allow. */
  readonly signal?: AbortSignal;
}

/** As the state machine's retries: a server that restarts or a connection that breaks ends no loop. */
const MOST_FAULTS = 6;
const FIRST_PAUSE_MILLISECONDS = 500;

/** The index-build loop without Step Functions: the same tasks, in the same order, in this process. */
export async function runLoop(loop: InProcessLoop): Promise<SettleResult> {
  const { target, options, signal } = loop;
  const startedAt = new Date();
  const limit = pLimit(options.maxConcurrentTables);
  for (;;) {
    signal?.throwIfAborted();
    const tables = await retried(signal, () =>
      withSession(target, (session) => tablesWithBuilds(session, options.ledgerSchema)),
    );
    // Neighbours go on where one table meets a lasting fault.
    const branches = await Promise.allSettled(tables.map((table) => limit(() => buildTable(table, loop))));
    const fault = branches.find((branch) => branch.status === 'rejected');
    if (fault !== undefined) throw fault.reason;
    const resumed = await retried(signal, () => resume({ ...loop, cause: { ...loop.cause, kind: 'loop' } }));
    if (resumed.outcome === 'settled') break;
  }
  return retried(signal, () =>
    withSession(target, (session) => settle(session, options.ledgerSchema, startedAt)),
  );
}

async function buildTable(
  table: BuildTable,
  { migrations, target, options, deadline, report, signal, pauseSeconds }: InProcessLoop,
): Promise<void> {
  for (let turn = 1; ; turn += 1) {
    signal?.throwIfAborted();
    const { outcome, waitSeconds } = await retried(signal, () =>
      leftAtSignal(signal, () =>
        takeTurn({ table, turn, migrations, target, options, deadline, report, pauseSeconds }),
      ),
    );
    if (outcome === 'done') return;
    await pause(waitSeconds * 1000, signal);
  }
}

async function retried<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
  for (let faults = 1; ; faults += 1) {
    try {
      return await task();
    } catch (error) {
      signal?.throwIfAborted();
      const passes =
        error instanceof SessionLost || (error instanceof StatementFault && !isPermanent(error.fault));
      if (!passes || faults > MOST_FAULTS) throw error;
      await pause(FIRST_PAUSE_MILLISECONDS * 2 ** (faults - 1), signal);
    }
  }
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
}
