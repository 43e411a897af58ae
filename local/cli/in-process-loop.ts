import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import { attendTables } from '../../lambda/loop/attend-tables.ts';
import { type BranchRequest, isResumable, unattendedNow } from '../../lambda/loop/branch.ts';
import { isPermanent } from '../../lambda/migration/sqlstate.ts';
import { newestBuild, tablesWithBuilds } from '../../lambda/postgres/ledger/build-queue.ts';
import { withSession } from '../../lambda/postgres/session/connect.ts';
import { SessionLost, StatementFault } from '../../lambda/postgres/session/fault.ts';
import { resume } from '../../lambda/run/resume.ts';
import type { RunRequest } from '../../lambda/run/run.ts';
import type { BuildTable, SettleResult, TurnResult } from '../../lambda/work/loop-task.ts';
import { settle } from '../../lambda/work/turn/settle.ts';
import { takeTurn } from '../../lambda/work/turn/turn.ts';
import type { TurnEvent, TurnRequest } from '../../lambda/work/turn/turn-request.ts';
import { leftAtSignal } from './interruption.ts';

export interface InProcessLoop extends Omit<RunRequest, 'report'> {
  readonly report: (event: Parameters<RunRequest['report']>[0] | TurnEvent) => void;
  /** Between two attempts of a build, instead of what the deployed loop waits. */
  readonly pauseSeconds?: TurnRequest['pauseSeconds'];
  /** Ends the loop at once; builds under way continue in the database, as far as their sessions allow. */
  readonly signal?: AbortSignal;
}

/** As many retries as in the state machine: a restarting server or a lost connection does not end the loop. */
const MOST_FAILURES = 6;
const FIRST_PAUSE_MILLISECONDS = 500;

/**
 * The index-build loop without Step Functions: the same tasks, in this process. All tables are one branch, which has no
 * time limit: what follows from a build starts when that build has ended, whatever else still runs.
 */
export async function runLoop(loop: InProcessLoop): Promise<SettleResult> {
  const { target, options, signal } = loop;
  const { ledgerSchema } = options;
  const startedAt = new Date();
  const asLoop: BranchRequest = { ...loop, cause: { ...loop.cause, kind: 'loop' } };
  const inTurn = pLimit(options.maxConcurrentTables);
  const needNoSlot = new WeakSet<BuildTable>();
  for (;;) {
    signal?.throwIfAborted();
    const { tables, newest } = await retried(signal, () =>
      withSession(target, async (session) => ({
        newest: await newestBuild(session, ledgerSchema),
        tables: await tablesWithBuilds(session, ledgerSchema),
      })),
    );
    await attendTables({
      tables,
      turn: 1,
      turnOf: (table, { ended }) => {
        const build = () => buildTable(table, loop, ended);
        return needNoSlot.has(table) ? build() : inTurn(build);
      },
      resume: async () => {
        await retried(signal, async () => {
          if (await isResumable(asLoop)) await resume(asLoop);
        });
        return 'done';
      },
      unattended: async () => {
        const found = await retried(signal, () => unattendedNow(asLoop, newest));
        for (const { table, needsSlot } of found) if (!needsSlot) needNoSlot.add(table);
        return found.map(({ table }) => table);
      },
      isLate: () => false,
    });
    const resumed = await retried(signal, () => resume(asLoop));
    if (resumed.outcome === 'settled') break;
  }
  return retried(signal, () =>
    withSession(target, (session) => settle(session, ledgerSchema, { startedAt, rows: 'shown' })),
  );
}

/** Turn by turn until no build of the table is left. */
async function buildTable(table: BuildTable, loop: InProcessLoop, ended: () => void): Promise<TurnResult> {
  const { signal } = loop;
  const report = (event: TurnEvent): void => {
    loop.report(event);
    if (event.kind === 'ended') ended();
  };
  for (let turn = 1; ; turn += 1) {
    signal?.throwIfAborted();
    const result = await retried(signal, () =>
      leftAtSignal(signal, () => takeTurn({ ...loop, table, turn, report })),
    );
    if (result.outcome === 'done') return result;
    await pause(result.waitSeconds * 1000, signal);
  }
}

async function retried<T>(signal: AbortSignal | undefined, task: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await task();
    } catch (error) {
      signal?.throwIfAborted();
      const passes =
        error instanceof SessionLost || (error instanceof StatementFault && !isPermanent(error.fault));
      if (!passes || failures > MOST_FAILURES) throw error;
      await pause(FIRST_PAUSE_MILLISECONDS * 2 ** (failures - 1), signal);
    }
  }
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
}
