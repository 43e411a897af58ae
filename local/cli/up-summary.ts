import { count, duration } from '../../lambda/migration/amounts.ts';
import { isOpen } from '../../lambda/migration/build.ts';
import { buildDocument } from './build-lines.ts';
import type { UpEnd } from './migrate-up.ts';
import type { UpRecord } from './up-record.ts';

/** All of the JSON document but `ok` and `error`. */
export function upDocument({ status }: UpEnd, record: UpRecord): object {
  return {
    migrations: status.migrations.map(({ version, name, state }) => ({
      version,
      name,
      state,
      /** Steps that this `up` applied or handed off. */
      applied: record.stepsOf(version),
    })),
    builds: record.buildsOf(status).map(buildDocument),
    waiting: record.waiting ?? null,
  };
}

/** The last line, where nothing failed. */
export function summary({ outcome, status }: UpEnd, record: UpRecord, seconds: number): string {
  const builds = record.buildsOf(status);
  if (outcome === 'done') {
    const applied = status.migrations.filter(({ state }) => state !== 'unknown').length;
    if (record.files === 0 && builds.length === 0)
      return `Nothing to do: ${count(applied, 'migration')} applied, every index build is valid.`;
    const valid = builds.length === 0 ? '' : `, ${count(builds.length, 'index build')} valid`;
    return `Done in ${duration(seconds)}: ${count(record.files, 'migration')} applied${valid}.`;
  }
  const open = builds.filter(isOpen).length;
  const lines = [`Left to do: ${count(open, 'index build')}.`];
  const { waiting } = record;
  if (waiting !== undefined) lines.push(`${waiting.file} waits: ${waiting.because}.`);
  lines.push('Run up again without --no-wait, or let the deployed loop go on.');
  return lines.join('\n');
}
