import { type Alignment, align, type Misfit, restOf } from './alignment.ts';
import { isLost, isOpen, type RecordedBuild } from './build.ts';
import { FolderOrder, withToolNames } from './identity.ts';
import type { LayoutOrder } from './layout.ts';
import type { Ledger, RecordedStep } from './ledger.ts';
import type { Migration, Step } from './migration.ts';
import { MigrationError } from './migration-error.ts';
import type { Version } from './version.ts';

/** What is left to do, and what a person should know about the folder and the ledger. */
export interface Plan {
  /** In the order in which they run. */
  readonly pending: readonly PendingStep[];
  /** Handed off and not over, or over without success: steps that need them wait. */
  readonly builds: readonly RecordedBuild[];
  /** Over without success, with a statement that is no longer in the folder: nothing waits for them. */
  readonly abandoned: readonly RecordedBuild[];
  /** Files that stopped in the middle and were corrected since: their rows in the ledger are aligned first. */
  readonly amended: readonly Amendment[];
  /** Applied files that changed in comments or white space only. */
  readonly reformatted: readonly Migration[];
  /** Pending files older than the newest applied one. */
  readonly late: readonly Migration[];
  /** Applied, but not in this folder: the database is ahead, as after a stack update was rolled back. */
  readonly unknown: readonly UnknownMigration[];
  /** Version of the newest applied file. */
  readonly newest: Version | undefined;
}

export interface PendingStep {
  readonly migration: Migration;
  readonly step: Step;
  /**
   * `interrupted`: a run died in an autocommit step, or earlier code did in a backfill. `rewritten`: the file of its
   * failed build changed. `repeated`: the first step of a repeatable migration that changed; its old rows are deleted.
   * `begun`: its first statements were applied as a step of their own; these are the rest.
   */
  readonly record: 'none' | 'interrupted' | 'rewritten' | 'repeated' | 'begun';
  /** Fingerprint of the step as it was then. */
  readonly begunAs?: string;
}

export interface UnknownMigration {
  readonly version: Version;
  readonly name: string;
}

/** An applied file was changed. */
export class DriftError extends MigrationError {
  override readonly name = 'DriftError';
}

/**
 * Compares the folder with the ledger. Throws DriftError if what was applied is not what the file says now. `order`:
 * how the identities of the folder's layout compare.
 */
export function plan(
  folder: readonly Migration[],
  recordedLedger: Ledger,
  order: LayoutOrder = 'number',
): Plan {
  const ledger = withToolNames(folder, recordedLedger);
  const migrations = withoutCheckpoints(folder, ledger);
  const recorded = groupByVersion(ledger.steps);
  const known = new Set(folder.map((migration) => migration.version));
  const pending: PendingStep[] = [];
  const reformatted: Migration[] = [];
  const amended: Amendment[] = [];
  for (const migration of migrations) {
    const rows = recorded.get(migration.version) ?? [];
    if (isWhole(migration, rows)) continue;
    if (isChangedRepeatable(migration, rows)) {
      pending.push(...repeatedSteps(migration));
      continue;
    }
    const aligned = align(migration, rows);
    if ('misfit' in aligned) throw drift(migration, aligned);
    if (isAtWork(aligned, ledger, migration)) {
      pending.push(waitingForOldBuilds(migration, aligned));
      continue;
    }
    const steps = pendingSteps(migration, aligned, ledger.builds);
    const amendment = amendmentOf(migration, aligned, steps);
    const edited = rows.length > 0 && rows.every((row) => row.checksum !== migration.checksum);
    if (amendment !== undefined) amended.push(amendment);
    else if (edited) reformatted.push(migration);
    pending.push(...steps);
  }
  const places = new FolderOrder(folder, order);
  const newest = newestApplied(ledger.steps, places);
  const late = new Set<Migration>();
  for (const { migration } of pending) {
    // A partly applied file was not late when it started.
    if (newest === undefined || recorded.has(migration.version)) continue;
    if (migration.kind === 'repeatable') continue;
    if ((places.compare(migration.version, newest) ?? 0) < 0) late.add(migration);
  }
  const abandoned = abandonedBuilds(migrations, ledger);
  return {
    pending,
    builds: buildsAfter(amended, ledger.builds).filter(
      (build) => !abandoned.includes(build) && !isReplaced(build, pending),
    ),
    abandoned,
    amended,
    reformatted,
    late: [...late],
    unknown: [...recorded]
      .filter(([version]) => !known.has(version))
      .map(([version, rows]) => ({ version, name: rows[0]?.name ?? version })),
    newest,
  };
}

/**
 * Leaves out checkpoints that are not used, and the files that a used one replaces: the last checkpoint in an empty
 * database, otherwise the one that was started there.
 */
export function withoutCheckpoints(
  migrations: readonly Migration[],
  { steps }: Ledger,
): readonly Migration[] {
  if (!migrations.some(({ kind }) => kind === 'checkpoint')) return migrations;
  const recorded = new Set(steps.map(({ version }) => version));
  const first = migrations.findLastIndex(
    ({ kind, version }) => kind === 'checkpoint' && (steps.length === 0 || recorded.has(version)),
  );
  return migrations.filter(
    ({ kind, version }, place) =>
      recorded.has(version) || place === first || (place > first && kind !== 'checkpoint'),
  );
}

function isChangedRepeatable({ kind, checksum }: Migration, rows: readonly RecordedStep[]): boolean {
  return kind === 'repeatable' && rows.length > 0 && rows.every((row) => row.checksum !== checksum);
}

function repeatedSteps(migration: Migration): PendingStep[] {
  return migration.steps.map((step) => ({
    migration,
    step,
    record: step.number === 0 ? 'repeated' : 'none',
  }));
}

/** Builds that have ended without success, and whose statement was removed from the folder or rewritten. */
export function abandonedBuilds(migrations: readonly Migration[], ledger: Ledger): RecordedBuild[] {
  return ledger.builds.filter((build) => {
    if (!isLost(build)) return false;
    const migration = migrations.find(({ version }) => version === build.version);
    const step = migration?.steps[build.step];
    const row = ledger.steps.find((each) => each.version === build.version && each.step === build.step);
    if (step === undefined || row === undefined) return true;
    return row.fingerprint !== step.fingerprint && row.checksum !== migration?.checksum;
  });
}

/** The recorded bytes, with every step settled: nothing to compare, whatever today's compiler makes of the file. */
function isWhole(migration: Migration, rows: readonly RecordedStep[]): boolean {
  const [first] = rows;
  if (first === undefined || rows.length < first.steps) return false;
  const baselinedStays = migration.kind !== 'repeatable';
  return rows.every(
    (row) =>
      isSettled(row) &&
      (row.checksum === migration.checksum || (baselinedStays && row.state === 'baselined')),
  );
}

/** Whether the migrator has nothing left to do: the loop attends to pending and failed builds. */
function isSettled(row: RecordedStep): boolean {
  return row.state !== 'started' && row.state !== 'failed';
}

function drift(migration: Migration, { misfit: row, grown }: Misfit): DriftError {
  const part = row.steps > 1 && !grown ? `step ${row.step + 1} of ${row.steps} of ` : '';
  return new DriftError({
    code: 'drift',
    what: `${migration.file}: ${part}this migration was applied with other statements than the file has now (checksum applied ${short(row.checksum)}, file ${short(migration.checksum)}).`,
    applied: 'nothing by this run.',
    next: `restore the file and put the change into a new migration; or, if the database already agrees with the file, accept it: {"action": "repair", "version": "${migration.version}", "accept": "checksum", "confirm": true}, on the command line repair ${migration.version} --accept-checksum --confirm.`,
  });
}

/** Its rows go with the step that takes its place: nobody waits for it, and it is not tried again before. */
function isReplaced(build: RecordedBuild, pending: readonly PendingStep[]): boolean {
  return (
    isLost(build) &&
    pending.some(
      ({ record, migration, step }) =>
        record === 'rewritten' && migration.version === build.version && step.number === build.step,
    )
  );
}

/** A step has several builds, and one of them failed or was cancelled while others are still at work. */
function isAtWork({ dropped }: Alignment, { builds }: Ledger, { version }: Migration): boolean {
  return builds.some(
    (build) => build.version === version && isOpen(build) && dropped.some(({ step }) => step === build.step),
  );
}

/** Nothing of the file runs before they have ended: until then its rows belong to them. */
function waitingForOldBuilds(migration: Migration, { dropped }: Alignment): PendingStep {
  const [row] = dropped;
  const number = Math.min(row?.step ?? 0, migration.steps.length - 1);
  const step = migration.steps[number] as Step;
  return { migration, step: { ...step, number: row?.step ?? number }, record: 'rewritten' };
}

/** Builds that are not done, under the numbers that their steps will have. */
function buildsAfter(amended: readonly Amendment[], builds: readonly RecordedBuild[]): RecordedBuild[] {
  return builds.flatMap((build) => {
    if (build.state === 'done') return [];
    const of = amended.find(({ migration }) => migration.version === build.version);
    if (of === undefined) return [build];
    if (of.dropped.includes(build.step)) return [];
    const to = of.moved.find(({ from }) => from === build.step)?.to;
    return [to === undefined ? build : { ...build, step: to }];
  });
}

function short(checksum: string): string {
  return checksum.slice(0, 12);
}

function pendingSteps(
  migration: Migration,
  { rows, moved, dropped, begun }: Alignment,
  builds: readonly RecordedBuild[],
): PendingStep[] {
  const freed = new Set(dropped.map(({ step }) => step));
  for (const { to } of moved) freed.delete(to);
  return migration.steps.flatMap((step): PendingStep[] => {
    const row = rows.get(step.number);
    if (row === undefined) {
      // Makes room for the one claim that is made outside of a transaction.
      const rewritten = freed.has(step.number) && step.kind !== 'autocommit';
      return [{ migration, step, record: rewritten ? 'rewritten' : 'none' }];
    }
    if (row.state === 'started') return [{ migration, step, record: 'interrupted' }];
    // A run of earlier code failed in this backfill; today the loop does backfills, and failed work is retried there.
    const isWork = builds.some(({ version, step }) => version === migration.version && step === row.step);
    if (row.state === 'failed' && step.long?.operation === 'backfill' && !isWork)
      return [{ migration, step, record: 'interrupted' }];
    const part = begun.get(step.number);
    if (part === undefined || step.kind !== 'transaction') return [];
    return [
      {
        migration,
        step: restOf(step, part.statements),
        record: 'begun',
        begunAs: part.row.fingerprint,
      },
    ];
  });
}

/** How the rows of a corrected file must change before more of it is applied. */
export interface Amendment {
  readonly migration: Migration;
  readonly moved: Alignment['moved'];
  /** Steps whose rows and builds are deleted. Those that a pending step replaces are deleted in its transaction. */
  readonly dropped: readonly number[];
  /** Partly applied steps, whose row stays as it is until the rest is applied. */
  readonly begun: readonly number[];
}

function amendmentOf(
  migration: Migration,
  { rows, moved, dropped, begun }: Alignment,
  pending: readonly PendingStep[],
): Amendment | undefined {
  const recorded = [...rows.values()];
  const fixed =
    recorded.some(({ checksum }) => checksum !== migration.checksum) &&
    (pending.length > 0 ||
      // Its failed build is tried again as this file has it, be it with another comment only.
      recorded.some(({ steps, state }) => steps !== migration.steps.length || state === 'failed'));
  if (!fixed && moved.length === 0 && dropped.length === 0) return undefined;
  const replaced = new Set(
    pending.flatMap(({ record, step }) => (record === 'rewritten' ? [step.number] : [])),
  );
  return {
    migration,
    moved,
    dropped: dropped.map(({ step }) => step).filter((step) => !replaced.has(step)),
    begun: [...begun.keys()],
  };
}

function newestApplied(rows: readonly RecordedStep[], places: FolderOrder): Version | undefined {
  let newest: Version | undefined;
  for (const { version } of rows) {
    if (newest === undefined || (places.compare(version, newest) ?? 0) > 0) newest = version;
  }
  return newest;
}

function groupByVersion(rows: readonly RecordedStep[]): Map<Version, RecordedStep[]> {
  const groups = new Map<Version, RecordedStep[]>();
  for (const row of rows) {
    const group = groups.get(row.version);
    if (group === undefined) groups.set(row.version, [row]);
    else group.push(row);
  }
  return groups;
}
