import { duration } from '../../lambda/migration/amounts.ts';
import type { RunStatus } from '../../lambda/status/recent-runs.ts';
import type { Status } from '../../lambda/status/status.ts';
import type { View } from './view.ts';

/**
 * The last run in full, and those before it a line each: who did what, when, and how it ended; of the newest that failed
 * the whole error, which a log may have only in part. That the loop found nothing to do is no news.
 */
export function runsPart({ runs }: Status, { colors, now, all }: View): string {
  const news = all ? runs : runs.filter((run) => !foundNothing(run));
  const [last, ...earlier] = news.length === 0 ? runs : news;
  if (last === undefined) return 'No run is recorded.';
  const failed = [last, ...earlier].find(({ error }) => error !== undefined);
  const lines = [`Last run: ${ending(last)}, ${age(last, now)}, by ${last.actor} (${last.cause})`];
  if (last.did !== undefined) lines.push(`It ${last.did}.`);
  if (last.waiting !== undefined) lines.push(`${last.waiting.file} waits: ${last.waiting.because}.`);
  if (last.error !== undefined) lines.push(colors.red(last.error));
  if (earlier.length > 0)
    lines.push(
      'Before it:',
      ...earlier.flatMap((run) => {
        const rest = all || run === failed ? (run.error?.split('\n').slice(1) ?? []) : [];
        return [colors.dim(`  ${line(run, now)}`), ...rest.map((more) => colors.red(`    ${more}`))];
      }),
    );
  return lines.join('\n');
}

function foundNothing({ action, outcome, did, waiting }: RunStatus): boolean {
  return action === 'resume' && outcome === 'done' && did === undefined && waiting === undefined;
}

function line(run: RunStatus, now: number): string {
  const { action, actor, cause, did, error } = run;
  const what = error?.split('\n')[0] ?? did ?? 'nothing to do';
  return `${action}: ${ending(run)}, ${age(run, now)}, by ${actor} (${cause}): ${what}`;
}

function ending({ outcome }: RunStatus): string {
  switch (outcome) {
    case undefined:
      return 'under way, or its process died';
    case 'waiting':
      return 'waits for index builds';
    case 'unfinished':
      return 'ran out of time; the next run continues';
    default:
      return outcome;
  }
}

function age({ startedAt, finishedAt }: RunStatus, now: number): string {
  const seconds = (now - Date.parse(finishedAt ?? startedAt)) / 1000;
  return `${finishedAt === undefined ? 'started' : 'ended'} ${duration(seconds)} ago`;
}
