import { duration } from '../../lambda/migration/amounts.ts';
import { kindOf, tableOf } from '../../lambda/migration/build.ts';
import type { Status } from '../../lambda/status/status.ts';
import { outcomeOf } from '../cli/build-lines.ts';
import { buildsTable } from '../cli/builds-table.ts';
import type { Terminal } from '../cli/terminal.ts';
import type { ChaosBlow } from '../faults/chaos.ts';
import type { QueryResult } from './queries.ts';
import type { TablesSeen } from './tables.ts';
import type { WriterResult } from './writer.ts';

export interface Result extends TablesSeen {
  readonly status: Status;
  readonly writer: WriterResult;
  readonly queries: readonly QueryResult[];
  /** From the deploy's beginning until the loop's end. */
  readonly seconds: number;
  readonly chaos?: readonly ChaosBlow[];
}

/** Shows the result; true if everything is as it should be. */
export function showResult(terminal: Terminal, result: Result): boolean {
  const { green, red, bold } = terminal.colors;
  const problems = problemsOf(result);
  terminal.line(bold('\nIndex builds'));
  terminal.line(buildsTable(result.status.builds, terminal.colors, result.rows));
  for (const { blow, index, phase } of result.chaos ?? [])
    terminal.line(`survived: ${blow} while ${index} was in "${phase}"`);
  const { writes, failed, slowestMs } = result.writer;
  terminal.line(bold('\nThe application'));
  terminal.line(
    `${writes.toLocaleString('en')} writes, ${failed === 0 ? green('none failed') : red(`${failed} failed`)}, slowest ${slowestMs} ms`,
  );
  terminal.line(bold('\nQueries'));
  for (const { sql, index, usesIndex } of result.queries) {
    terminal.line(`${usesIndex ? green('uses') : red('does not use')} ${index}: ${sql}`);
  }
  const after = `after ${duration(result.seconds)}`;
  for (const problem of problems) terminal.line(red(problem));
  terminal.line(
    bold(problems.length === 0 ? green(`\nAll valid ${after}.`) : red(`\nNot all valid ${after}.`)),
  );
  if (terminal.json) terminal.document(documentOf(result, problems.length === 0));
  return problems.length === 0;
}

/** What is not as it should be. A query that does not use its index is fine: on few rows, that is faster. */
function problemsOf({ status, invalidIndexes, writer, chaos }: Result): string[] {
  const restarted = chaos?.some(({ blow }) => blow === 'restart the server') ?? false;
  const harmed = writer.failed - (restarted ? writer.failedForServer : 0);
  return [
    ...status.migrations
      .filter(({ state }) => state !== 'applied')
      .map(({ name, state }) => `The migration ${name} is ${state}.`),
    ...status.builds
      .filter(({ state }) => state !== 'done')
      .map(
        ({ index, state, fault }) => `The build of ${index} is ${state}: ${fault?.message ?? 'no fault'}.`,
      ),
    ...invalidIndexes.map((name) => `The index ${name} is INVALID.`),
    // Only a server that was taken down may fail a write.
    ...(harmed > 0
      ? [`${harmed} writes of the application failed: ${writer.firstFailure ?? 'no answer'}.`]
      : []),
    ...(status.lastRun?.error === undefined ? [] : [`The last run failed: ${status.lastRun.error}`]),
  ];
}

function documentOf({ status, writer, queries, chaos }: Result, ok: boolean): object {
  return {
    ok,
    migrations: status.migrations,
    builds: status.builds.map((build) => ({
      kind: kindOf(build.operation),
      index: build.index,
      table: tableOf(build),
      outcome: outcomeOf(build),
      seconds: build.seconds === undefined ? null : Math.round(build.seconds * 1000) / 1000,
      turns: build.turns,
      session: build.session ?? null,
      attempts: build.attempts,
    })),
    writer: { writes: writer.writes, failed: writer.failed, slowestMs: writer.slowestMs },
    queries: queries.map(({ sql, usesIndex }) => ({ sql, usesIndex })),
    ...(chaos === undefined ? {} : { chaos }),
  };
}
