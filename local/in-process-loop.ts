import { setTimeout as sleep } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { BuildTable, SettleResult } from '../lambda/index-build/loop-task.ts';
import { tablesWithBuilds } from '../lambda/postgres/build-queue.ts';
import { withSession } from '../lambda/postgres/connect.ts';
import { resume } from '../lambda/story/resume.ts';
import type { RunRequest } from '../lambda/story/run.ts';
import { settle } from '../lambda/story/settle.ts';
import { type TurnEvent, takeTurn } from '../lambda/story/turn.ts';

export interface InProcessLoop extends Omit<RunRequest, 'report'> {
  readonly report: (event: Parameters<RunRequest['report']>[0] | TurnEvent) => void;
  /** Ends the waits between turns; builds under way go on in the database. */
  readonly signal?: AbortSignal;
}

/** The index-build loop without Step Functions: the same tasks, in the same order, in this process. */
export async function runLoop(loop: InProcessLoop): Promise<SettleResult> {
  const { target, options, signal } = loop;
  const limit = pLimit(options.maxConcurrentTables);
  for (;;) {
    signal?.throwIfAborted();
    const tables = await withSession(target, (session) => tablesWithBuilds(session, options.ledgerSchema));
    await Promise.all(tables.map((table) => limit(() => buildTable(table, loop))));
    if ((await resume({ ...loop, cause: { ...loop.cause, kind: 'loop' } })).outcome === 'settled') break;
  }
  return withSession(target, (session) => settle(session, options.ledgerSchema));
}

async function buildTable(
  table: BuildTable,
  { target, options, deadline, report, signal }: InProcessLoop,
): Promise<void> {
  for (let turn = 1; ; turn += 1) {
    signal?.throwIfAborted();
    const { outcome, waitSeconds } = await takeTurn({ table, turn, target, options, deadline, report });
    if (outcome === 'done') return;
    await sleep(waitSeconds * 1000, undefined, signal === undefined ? {} : { signal });
  }
}
