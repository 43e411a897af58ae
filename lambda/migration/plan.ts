import { isLost, type RecordedBuild } from './build.ts';
import { FolderOrder, withToolNames } from './identity.ts';
import type { LayoutOrder } from './layout.ts';
import type { Ledger, RecordedStep } from './ledger.ts';
import type { Migration, Step } from './migration.ts';
import { MigrationError } from './migration-error.ts';
import type { Version } from './version.ts';

/** What is left to do, and what a person should hear about the folder and the ledger. */
export interface Plan {
  /** In the order in which they run. */
  readonly pending: readonly PendingStep[];
  /** Handed off and not over, or over without success: steps that need them wait. */
  readonly builds: readonly RecordedBuild[];
  /** Over without success, of a statement that the folder has no more: nobody waits for them. */
  readonly abandoned: readonly RecordedBuild[];
  /** Applied files that changed in comments or white space only. */
  readonly reformatted: readonly Migration[];
  /** Pending files older than the newest applied one. */
  readonly late: readonly Migration[];
  /** Applied, but not in this folder: the database is ahead, as after a rolled back stack update. */
  readonly unknown: readonly UnknownMigration[];
  /** Version of the newest applied file. */
  readonly newest: Version | undefined;
}

export interface PendingStep {
  readonly migration: Migration;
  readonly step: Step;
  /**
   * `interrupted`: an autocommit step was sent by a run that died. `rewritten`: its failed build's file changed.
   * `repeated`: the first step of a repeatable migration that changed; what is recorded of it goes.
   */
  readonly record: 'none' | 'interrupted' | 'rewritten' | 'repeated';
}

export interface UnknownMigration {
  readonly version: Version;
  readonly name: string;
}

/** An applied file was changed. */
export class DriftError extends MigrationError {}

/**
 * Compares the folder with the ledger. Throws DriftError where what was applied is not what the file says now. `order` is
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
  for (const migration of migrations) {
    const rows = recorded.get(migration.version) ?? [];
    if (isWhole(migration, rows)) continue;
    if (isChangedRepeatable(migration, rows)) {
      pending.push(...repeatedSteps(migration));
      continue;
    }
    checkDrift(migration, rows);
    const steps = pendingSteps(migration, rows);
    const edited = rows.length > 0 && rows.every((row) => row.checksum !== migration.checksum);
    // Whoever mended the statement of a failed build has changed more than comments.
    if (edited && !steps.some(({ record }) => record === 'rewritten')) reformatted.push(migration);
    pending.push(...steps);
  }
  const places = new FolderOrder(folder, order);
  const newest = newestApplied(ledger.steps, places);
  const late = new Set<Migration>();
  for (const { migration } of pending) {
    // A file that is applied in part was not late when it came.
    if (newest === undefined || recorded.has(migration.version)) continue;
    if (migration.kind === 'repeatable') continue;
    if ((places.compare(migration.version, newest) ?? 0) < 0) late.add(migration);
  }
  const abandoned = abandonedBuilds(migrations, ledger);
  return {
    pending,
    builds: ledger.builds.filter((build) => build.state !== 'done' && !abandoned.includes(build)),
    abandoned,
    reformatted,
    late: [...late],
    unknown: [...recorded]
      .filter(([version]) => !known.has(version))
      .map(([version, rows]) => ({ version, name: rows[0]?.name ?? version })),
    newest,
  };
}

/**
 * Without checkpoints that are passed over, and without what a checkpoint stands for: in a database that has nothing yet
 * the last one, in any other the one that was begun there.
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

/** Builds that are over without success, and whose statement the folder has no more: taken away, or rewritten. */
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

/** The same bytes as were recorded, every step settled: nothing to compare, whatever today's compiler makes of it. */
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

/** Nothing is left for the migrator to do: the loop cares for pending and failed builds. */
function isSettled(row: RecordedStep): boolean {
  return row.state !== 'started' && row.state !== 'failed';
}

function checkDrift(migration: Migration, rows: readonly RecordedStep[]): void {
  for (const row of rows) {
    if (row.state === 'failed' || row.state === 'baselined') continue;
    const step = migration.steps[row.step];
    if (step !== undefined && step.fingerprint === row.fingerprint) continue;
    if (row.checksum === migration.checksum) continue;
    throw drift(migration, row, row.steps > 1 ? `step ${row.step + 1} of ${row.steps} of ` : '');
  }
  const [first] = rows;
  // A file that stopped within may go on otherwise than it was; one that was applied to its end may not grow.
  if (first !== undefined && isApplied(rows) && migration.steps.length > first.steps)
    throw drift(migration, first, '');
}

function isApplied(rows: readonly RecordedStep[]): boolean {
  return (
    rows.length >= (rows[0]?.steps ?? 0) &&
    rows.every(({ state }) => state === 'applied' || state === 'pending')
  );
}

function drift(migration: Migration, row: RecordedStep, part: string): DriftError {
  return new DriftError({
    code: 'drift',
    what: `${migration.file}: ${part}this migration was applied with other statements than the file has now (checksum applied ${short(row.checksum)}, file ${short(migration.checksum)}).`,
    applied: 'nothing by this run.',
    next: `restore the file and put the change into a new migration; or, if the database already agrees with the file, accept it: {"action": "repair", "version": "${migration.version}", "accept": "checksum", "confirm": true}, on the command line repair ${migration.version} --accept-checksum --confirm.`,
  });
}

function short(checksum: string): string {
  return checksum.slice(0, 12);
}

function pendingSteps(migration: Migration, rows: readonly RecordedStep[]): PendingStep[] {
  const byNumber = new Map(rows.map((row) => [row.step, row]));
  return migration.steps.flatMap((step): PendingStep[] => {
    const row = byNumber.get(step.number);
    if (row === undefined) return [{ migration, step, record: 'none' }];
    if (row.state === 'started') return [{ migration, step, record: 'interrupted' }];
    if (row.state === 'failed' && row.fingerprint !== step.fingerprint) {
      return [{ migration, step, record: 'rewritten' }];
    }
    return [];
  });
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
