import { type BuildState, isOpen } from '../../lambda/migration/build.ts';
import { quoteIdentifier } from '../../lambda/postgres/session/quote.ts';
import type { MigrationStatus, Status } from '../../lambda/status/status.ts';
import { describeAbandoned, describeLoss, needsPerson } from './build-lines.ts';
import { buildsTable, progressLines } from './builds-table.ts';
import { runsPart } from './runs-view.ts';
import type { View } from './view.ts';

type State = MigrationStatus['state'];

const COLOURS: Readonly<Record<State, 'green' | 'red' | 'yellow'>> = {
  applied: 'green',
  baselined: 'green',
  building: 'yellow',
  partial: 'yellow',
  pending: 'yellow',
  unknown: 'yellow',
  failed: 'red',
  changed: 'red',
};

/** What a state means, if its name does not say. */
const MEANINGS: Partial<Readonly<Record<State, string>>> = {
  partial: 'some of its steps are applied; the next run continues',
  changed: 'the file is another than the one that was applied',
  unknown: 'applied, and not in this folder',
  failed: 'an index build of it failed',
};

/** Of those that are applied, the newest are named; the rest is counted. */
const NEWEST_SHOWN = 5;

/** The status for a person: what needs attention comes last, next to the prompt. */
export function statusView(status: Status, view: View): string {
  const parts = [
    migrationsPart(status, view),
    buildsPart(status, view),
    runsPart(status, view),
    nextPart(status, view),
  ];
  return parts.filter((part) => part !== '').join('\n\n');
}

function migrationsPart({ migrations }: Status, { colors, all }: View): string {
  if (migrations.length === 0) return 'No migrations: the folder is empty, and nothing is recorded.';
  const done = migrations.filter(isDone);
  const hidden = all ? 0 : Math.max(0, done.length - NEWEST_SHOWN);
  const shown =
    hidden === 0 ? migrations : migrations.filter((each) => done.indexOf(each) >= hidden || !isDone(each));
  const width = Math.max(...shown.map(({ state }) => state.length));
  const lines = shown.map(({ name, state }) => {
    const meaning = MEANINGS[state];
    return `  ${colors[COLOURS[state]](state.padEnd(width))}  ${name}${meaning === undefined ? '' : colors.dim(` (${meaning})`)}`;
  });
  if (hidden > 0) lines.unshift(colors.dim(`  … ${hidden} earlier ones applied (--all lists them)`));
  return [`Migrations: ${counts(migrations)}`, ...lines].join('\n');
}

function isDone({ state }: MigrationStatus): boolean {
  return state === 'applied' || state === 'baselined';
}

/** `12 applied, 1 building, 2 pending` */
function counts(migrations: readonly MigrationStatus[]): string {
  const order = Object.keys(COLOURS) as State[];
  return order
    .map((state) => ({ state, number: migrations.filter((each) => each.state === state).length }))
    .filter(({ number }) => number > 0)
    .map(({ state, number }) => `${number} ${state}`)
    .join(', ');
}

function buildsPart({ builds }: Status, { colors, all }: View): string {
  const valid = builds.filter(({ state }) => state === 'done').length;
  const shown = all ? builds : builds.filter(({ state }) => state !== 'done');
  if (shown.length === 0)
    return valid === 0 ? '' : colors.dim(`Index builds: ${valid} valid (--all lists them)`);
  const lines = [`Index builds: ${buildCounts(builds)}`, buildsTable(shown, colors)];
  lines.push(...progressLines(builds.filter(isOpen)));
  lines.push(
    ...builds.filter(({ abandoned }) => abandoned).map((build) => colors.dim(describeAbandoned(build))),
  );
  lines.push(...builds.filter(needsPerson).map((build) => colors.red(describeLoss(build))));
  return lines.join('\n');
}

/** The states in the order of their counts, with the word for each. */
const COUNTED: Readonly<Record<BuildState, string>> = {
  done: 'valid',
  building: 'building',
  pending: 'pending',
  paused: 'paused',
  failed: 'failed',
  cancelled: 'cancelled',
};

function buildCounts(builds: Status['builds']): string {
  return Object.entries(COUNTED)
    .map(([state, word]) => ({ word, number: builds.filter((build) => build.state === state).length }))
    .filter(({ number }) => number > 0)
    .map(({ word, number }) => `${number} ${word}`)
    .join(', ');
}

/** What to do, where something is to be done. */
function nextPart({ migrations, builds, lastRun, blindRole, exposure }: Status, { colors }: View): string {
  const has = (...states: State[]) => migrations.some(({ state }) => states.includes(state));
  const next: string[] = [];
  const lost = builds.filter(needsPerson);
  if (lost.some(({ state }) => state === 'failed'))
    next.push('fix the cause of the failed build, then run up: it is tried again.');
  if (lost.some(({ state }) => state === 'cancelled'))
    next.push('the action retry starts a cancelled build again.');
  if (exposure !== undefined) next.push(`${exposure}.`);
  if (blindRole !== undefined)
    next.push(
      `grant pg_read_all_stats to ${quoteIdentifier(blindRole)} (with inherit true, where it does not inherit), to see what other roles do that hold a build up, and for how long: until then their transactions are as old as the migrator has known them.`,
    );
  // The error says what to do about it.
  if (has('changed') && lastRun?.error === undefined)
    next.push('restore the changed file, or accept it with the action repair.');
  if (next.length === 0 && builds.some(({ state }) => state === 'building'))
    next.push('the builds continue in the database; up, or the deployed loop, sees them to their end.');
  else if (
    next.length === 0 &&
    lastRun?.error === undefined &&
    (has('pending', 'partial') || builds.some(isOpen))
  )
    next.push('run up, or deploy.');
  return next.map((line) => `${colors.bold('Next:')} ${line}`).join('\n');
}
