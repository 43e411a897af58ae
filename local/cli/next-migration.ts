import { compareVersions, parseVersion, type Version } from '../../lambda/migration/version.ts';

/** A migration that lies in the folder; `file` is relative to it, with `/`. */
export interface Existing {
  readonly version: Version;
  readonly file: string;
}

export interface NextMigration {
  readonly file: string;
  /** Where its undo belongs, as the folder would name it. */
  readonly undo: string;
}

/** Numbers shorter than this are incremented; from 8 digits on they are dates, or seconds since 1970. */
const MOST_COUNTED_DIGITS = 6;
const SECONDS_DIGITS = 10;
const MILLISECONDS_DIGITS = 13;

/** Digits, with separators where it is a date: `0007`, `1528395540`, `20240131093000`, `2017-01-02-131034`. */
const PREFIX = /^\d+(?:[-_.T]?\d{2,})*(?=\D|$)/;
const COUNTED = /^\d+/;

/**
 * Names the next migration in the style of the folder's newest: the next number, or the present time; beside the
 * others, or in its own folder. Its version is greater than all others.
 */
export function nextMigration(existing: readonly Existing[], name: string, now: Date): NextMigration {
  const newest = existing.reduce<Existing | undefined>(
    (best, each) => (best === undefined || compareVersions(each.version, best.version) > 0 ? each : best),
    undefined,
  );
  const prefix = newest === undefined ? compactTime(now) : nextPrefix(newest, now);
  const base = `${prefix}_${name}`;
  const inside = newest === undefined ? undefined : /\/([^/]+\.sql)$/i.exec(newest.file)?.[1];
  if (inside !== undefined) return { file: `${base}/${inside}`, undo: `${base}/down.sql` };
  const up = newest !== undefined && /\.up\.sql$/i.test(newest.file) ? '.up.sql' : '.sql';
  return { file: `${base}${up}`, undo: `${base}.down.sql` };
}

function nextPrefix(newest: Existing, now: Date): string {
  const digits = COUNTED.exec(newest.file)?.[0] ?? '';
  const time = compactTime(now);
  const candidates =
    digits.length === newest.version.length || /^0/.test(digits)
      ? writtenAs(digits, { time, now })
      : [inForm(PREFIX.exec(newest.file)?.[0] ?? digits, time)];
  const isLater = (candidate: string) => {
    const version = parseVersion(candidate.replace('T', '-'));
    return version !== undefined && compareVersions(version, newest.version) > 0;
  };
  // If the newest is in the future, or has today's date already: one more than the newest.
  return [...candidates, time].find(isLater) ?? (BigInt(newest.version) + 1n).toString();
}

/** The next prefix in the way of one without separators. */
function writtenAs(digits: string, { time, now }: { time: string; now: Date }): string[] {
  if (digits.length <= MOST_COUNTED_DIGITS) return [String(Number(digits) + 1).padStart(digits.length, '0')];
  if (digits.length === SECONDS_DIGITS) return [String(Math.floor(now.getTime() / 1000))];
  if (digits.length === MILLISECONDS_DIGITS) return [String(now.getTime())];
  return [time.padEnd(digits.length, '0').slice(0, digits.length)];
}

/** The time's digits where the form has digits: `2017-01-02-131034` becomes `2026-11-24-013000`. */
function inForm(form: string, time: string): string {
  let used = 0;
  return form.replace(/\d/g, () => time[used++] ?? '0');
}

/** `20261124013000`, in UTC. */
function compactTime(now: Date): string {
  return now.toISOString().replace(/\D/g, '').slice(0, 14);
}
