import Table from 'cli-table3';
import { duration } from '../../lambda/migration/amounts.ts';
import { isIndexBuild, isLost, isOpen, tableOf } from '../../lambda/migration/build.ts';
import type { BuildStatus } from '../../lambda/status/status.ts';
import { describeOutcome, describeProgress } from './build-lines.ts';
import type { Terminal } from './terminal.ts';

type Colors = Terminal['colors'];

/**
 * A table of builds, without borders that a narrow terminal would break.
 *
 * @param rows of the tables, by their names, where they are known
 */
export function buildsTable(
  builds: readonly BuildStatus[],
  colors: Colors,
  rows?: ReadonlyMap<string, number>,
): string {
  const table = new Table({
    head: [
      'index',
      'table',
      ...(rows === undefined ? [] : ['rows']),
      'outcome',
      'time',
      'turns',
      'session',
      'attempts',
    ],
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: NO_LINES,
    colAligns: [
      'left',
      'left',
      ...(rows === undefined ? [] : ['right' as const]),
      'left',
      'right',
      'right',
      'left',
      'right',
    ],
  });
  for (const build of builds) {
    table.push([
      build.index !== '' ? build.index : isIndexBuild(build) ? '(all)' : build.operation.replaceAll('-', ' '),
      tableOf(build),
      ...(rows === undefined ? [] : [rows.get(build.table)?.toLocaleString('en') ?? '']),
      colors[isOpen(build) ? 'yellow' : isLost(build) ? 'red' : 'green'](describeOutcome(build)),
      timeOf(build),
      String(build.turns),
      build.session ?? '',
      String(build.attempts),
    ]);
  }
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

/** `9 min`; `7 min to 9 min` where it ended between two looks. */
function timeOf({ seconds, leastSeconds }: BuildStatus): string {
  if (seconds === undefined) return '';
  const [least, most] = [duration(leastSeconds ?? seconds), duration(seconds)];
  return least === most ? most : `${least} to ${most}`;
}

/** One line for each build that is under way, as far as it can be seen. */
export function progressLines(builds: readonly BuildStatus[]): string[] {
  return builds.flatMap(({ index, table, progress }) =>
    progress === undefined ? [] : [`${index === '' ? table : index}: ${describeProgress(progress)}`],
  );
}

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
} as const;
