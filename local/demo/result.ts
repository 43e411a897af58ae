import Table from 'cli-table3';
import type { Status } from '../../lambda/story/status.ts';
import { duration } from '../cli/duration.ts';
import type { Terminal } from '../cli/terminal.ts';
import type { ChaosBlow } from '../faults/chaos.ts';
import type { QueryResult } from './queries.ts';
import type { WriterResult } from './writer.ts';

export interface Result {
  readonly status: Status;
  /** Rows of each table at the end, by its name. */
  readonly rows: ReadonlyMap<string, number>;
  readonly writer: WriterResult;
  readonly queries: readonly QueryResult[];
  /** From the deploy's beginning until all was valid. */
  readonly seconds: number;
  readonly chaos?: readonly ChaosBlow[];
}

/** Shows the end; true where everything is as it should be. */
export function showResult(
  terminal: Terminal,
  { status, rows, writer, queries, seconds, chaos }: Result,
): boolean {
  const { green, red, bold } = terminal.colors;
  const { migrations, builds } = status;
  const restarted = chaos?.some(({ blow }) => blow === 'restart the server') ?? false;
  const ok =
    migrations.every(({ state }) => state === 'applied') &&
    builds.every(({ state }) => state === 'done') &&
    // Only a server that is down may fail a write.
    (writer.failed === 0 || restarted) &&
    queries.every(({ usesIndex }) => usesIndex);

  terminal.line(bold('\nIndex builds'));
  const table = new Table({
    head: ['index', 'table', 'rows', 'time', 'turns', 'attempts', 'session', ''],
    style: { head: [], border: [] },
  });
  for (const build of builds) {
    table.push([
      build.index,
      build.table,
      (rows.get(build.table) ?? 0).toLocaleString('en'),
      build.seconds === undefined ? '' : duration(build.seconds),
      String(build.turns),
      String(build.attempts),
      build.session ?? '',
      build.state === 'done' ? green('valid') : red(build.state),
    ]);
  }
  terminal.line(table.toString());
  for (const { blow, index, phase } of chaos ?? [])
    terminal.line(`survived: ${blow} while ${index} was in "${phase}"`);
  terminal.line(
    `\nThe application: ${writer.writes.toLocaleString('en')} writes, ${writer.failed === 0 ? green('0 failed') : red(`${writer.failed} failed`)}, slowest ${writer.slowestMs} ms`,
  );
  terminal.line(bold('\nQueries'));
  for (const { sql, index, usesIndex } of queries) {
    terminal.line(
      `${usesIndex ? green('through its index') : red('NOT through its index')}  ${index}\n  ${sql}`,
    );
  }
  terminal.line(`\n${ok ? green('All valid') : red('Not all valid')} after ${duration(seconds)}.`);
  if (terminal.json) {
    terminal.document({
      ok,
      migrations,
      builds: builds.map((build) => ({
        index: build.index,
        table: `${build.schema}.${build.table}`,
        outcome: build.state === 'done' ? (build.adopted ? 'adopted' : 'valid') : build.state,
        seconds: build.seconds === undefined ? null : Math.round(build.seconds * 1000) / 1000,
        turns: build.turns,
        session: build.session ?? null,
        attempts: build.attempts,
      })),
      writer,
      queries: queries.map(({ sql, usesIndex }) => ({ sql, usesIndex })),
      ...(chaos === undefined ? {} : { chaos }),
    });
  }
  return ok;
}
