import { compareIdentities } from '../migration/identity.ts';
import type { LayoutName } from '../migration/layout.ts';
import type { Ledger, RecordedStep } from '../migration/ledger.ts';
import type { CompiledMigrations, Migration } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { Version } from '../migration/version.ts';
import type { History, HistoryRow } from './read-history.ts';

/** What another tool's history says about migrations that the ledger does not have. */
export interface Adoption {
  /** Applied there, in the folder's order. */
  readonly applied: readonly Migration[];
  /** Of these, what was edited since. */
  readonly edited: readonly Migration[];
  readonly doubts: readonly Doubt[];
  /** Applied there, but not in the folder. */
  readonly missing: readonly string[];
  /** The tool's mark of its newest migration, if the folder lacks that: then nothing tells what is applied. */
  readonly unknownMark?: string | undefined;
}

/** Nothing tells whether it was applied. */
export interface Doubt {
  readonly migration: Migration;
  readonly why: string;
}

export const nothingToAdopt: Adoption = { applied: [], edited: [], doubts: [], missing: [] };

interface HistoryEntry {
  readonly state: 'applied' | 'doubtful';
  readonly why?: string;
  readonly checksum?: string | null | undefined;
}

/**
 * Compares the tool's history with folder and ledger. A migration that never ran does not count as applied, and
 * doubtful ones are left to a person; `notApplied`: those that a person has declared so.
 */
export function adopt(
  history: History | undefined,
  { migrations, order = 'number' }: CompiledMigrations,
  { ledger, notApplied }: { readonly ledger: Ledger; readonly notApplied: readonly string[] },
): Adoption {
  if (history === undefined) return nothingToAdopt;
  const known = new Set<string>(ledger.steps.map(({ version }) => version));
  const entries = read(history, migrations, known);
  const applied: Migration[] = [];
  const doubts: Doubt[] = [];
  for (const migration of migrations) {
    const found = entries.get(migration.version);
    if (found === undefined || known.has(migration.version)) continue;
    if (found.state === 'applied') applied.push(migration);
    else if (!notApplied.includes(migration.version)) doubts.push({ migration, why: found.why ?? '' });
  }
  const own = new Set<string>(migrations.map(({ version }) => version));
  const missing = [...entries.keys()]
    .filter((id) => !own.has(id) && !known.has(id))
    .sort((a, b) => compareIdentities(a as Version, b as Version, order) ?? 0);
  return {
    applied,
    edited: applied.filter(({ version, record }) => isEdited(entries.get(version)?.checksum, record)),
    doubts,
    missing,
    // With a ledger, that one tells.
    unknownMark: known.size === 0 && MARKS.includes(history.tool) ? missing[0] : undefined,
  };
}

/** These keep no list of what is applied. */
const MARKS: readonly LayoutName[] = ['golang-migrate', 'alembic'];

function isEdited(there: string | null | undefined, record: Migration['record']): boolean {
  if (there == null || record?.checksum === undefined) return false;
  return there !== record.checksum && record.alsoChecksums?.includes(there) !== true;
}

function read(
  history: History,
  migrations: readonly Migration[],
  known: ReadonlySet<string>,
): ReadonlyMap<string, HistoryEntry> {
  switch (history.tool) {
    case 'golang-migrate':
      return byHighestVersion(history, migrations, known);
    case 'drizzle':
      return byTime(history.rows, migrations);
    case 'flyway':
      return byRank(history.rows, migrations);
    case 'alembic':
      return byAncestry(history.rows, migrations);
    case 'liquibase':
      return byRows(history.rows.map((row) => ({ ...row, id: withoutPlace(row.id ?? '', migrations) })));
    case 'graphile-migrate':
      return skippedBelow(byRows(history.rows), migrations);
    default:
      return byRows(history.rows);
  }
}

/** Liquibase names a file by its place as seen from the root changelog, which may be in another folder. */
function withoutPlace(id: string, migrations: readonly Migration[]): string {
  return migrations.find(({ version }) => id.endsWith(`/${version}`))?.version ?? id;
}

/** The prefix of our file names in its table. */
export function placeOf({ rows }: History, migrations: readonly Migration[]): string {
  for (const { id } of rows) {
    const own = withoutPlace(id ?? '', migrations);
    if (own !== id) return (id ?? '').slice(0, -own.length);
  }
  return '';
}

const WHY: Readonly<Record<string, string>> = {
  failed: 'it failed there, and nobody has said since what became of it',
  partial: 'it was applied in part there',
};

function byRows(rows: readonly HistoryRow[]): Map<string, HistoryEntry> {
  return new Map(
    rows.map(({ id, state, checksum, at }): [string, HistoryEntry] => [
      id ?? '',
      state === 'applied'
        ? { state, checksum }
        : {
            state: 'doubtful',
            why: `${WHY[state] ?? `it is ${state} there`}${state === 'partial' ? `, ${at} of its statements` : ''}`,
          },
    ]),
  );
}

/**
 * golang-migrate keeps only the newest version, and continues from there: a later file with a lower version never ran.
 * So everything above the ledger's newest up to the mark is applied; without a ledger, everything that the catalog does
 * not contradict.
 */
function byHighestVersion(
  { rows, absent = [] }: History,
  migrations: readonly Migration[],
  known: ReadonlySet<string>,
): Map<string, HistoryEntry> {
  const [row] = rows;
  const entries = new Map<string, HistoryEntry>();
  // -1: everything was undone.
  if (row?.id == null || row.id.startsWith('-')) return entries;
  const last = migrations.findIndex(({ version }) => version === row.id);
  if (last === -1) return new Map([[row.id, { state: 'applied' }]]);
  const first = migrations.findLastIndex(({ version }, at) => at <= last && known.has(version)) + 1;
  for (const { version } of migrations.slice(first, last + 1)) {
    entries.set(
      version,
      absent.includes(version)
        ? {
            state: 'doubtful',
            why: 'it is below the version that golang-migrate has come to, and no table that it creates is there: it may have been skipped',
          }
        : { state: 'applied' },
    );
  }
  if (row.state === 'dirty') {
    entries.set(row.id, {
      state: 'doubtful',
      why: 'it is dirty there: it may have been applied wholly, in part or not at all',
    });
  }
  return entries;
}

/** Drizzle applies what is newer than its newest row; what came later with an older time never ran. */
function byTime(rows: readonly HistoryRow[], migrations: readonly Migration[]): Map<string, HistoryEntry> {
  const entries = new Map<string, HistoryEntry>();
  const taken = new Set<HistoryRow>();
  const take = (migration: Migration, row: HistoryRow | undefined) => {
    if (row === undefined || entries.has(migration.version)) return;
    taken.add(row);
    entries.set(migration.version, { state: 'applied', checksum: row.checksum });
  };
  const free = (test: (row: HistoryRow) => boolean) => rows.find((row) => !taken.has(row) && test(row));
  for (const each of migrations)
    take(
      each,
      free((row) => row.id != null && row.id === each.version),
    );
  for (const each of migrations)
    take(
      each,
      free((row) => row.id == null && row.checksum === each.record?.checksum),
    );
  for (const each of migrations) {
    const when = each.record?.when ?? Number.NaN;
    take(
      each,
      free((row) => row.id == null && (row.at === when || second(row.at) === second(when))),
    );
  }
  const newest = Math.max(Number.NEGATIVE_INFINITY, ...rows.map(({ at }) => at ?? 0));
  for (const { version, record } of migrations) {
    if (entries.has(version) || (record?.when ?? Number.POSITIVE_INFINITY) > newest) continue;
    entries.set(version, {
      state: 'doubtful',
      why: 'it is older than the newest that Drizzle applied, and has no row: Drizzle has passed it over',
    });
  }
  for (const row of rows) {
    if (!taken.has(row)) entries.set(row.id ?? `${row.checksum ?? ''} of ${row.at}`, { state: 'applied' });
  }
  return entries;
}

function second(at: number | null | undefined): number {
  return Math.floor((at ?? Number.NaN) / 1000);
}

/** Flyway's rows in the order in which they were written: the last one of a version decides. */
function byRank(rows: readonly HistoryRow[], migrations: readonly Migration[]): Map<string, HistoryEntry> {
  const entries = new Map<string, HistoryEntry>();
  const called = new Map(
    migrations.map(({ version, kind, record }) => [keyOf(kind, record, version), version]),
  );
  for (const { id, state: type, description, success, checksum } of rows) {
    if (type === 'SCHEMA') continue;
    const key = id == null ? `R ${description ?? ''}` : dotted(id);
    const version = called.get(key) ?? id ?? key;
    if (type.startsWith('UNDO') || type === 'DELETE') entries.delete(version);
    else if (type.includes('BASELINE')) {
      for (const each of migrations) {
        if (each.kind === 'repeatable') continue;
        const compared = compareIdentities(each.version, (id ?? '') as Version, 'dotted');
        if (compared !== undefined && compared <= 0) entries.set(each.version, { state: 'applied' });
      }
    } else if (success !== true) entries.set(version, { state: 'doubtful', why: WHY.failed ?? '' });
    else entries.set(version, { state: 'applied', checksum });
  }
  // Flyway itself applies a repeatable migration again when its text changes.
  for (const { version, kind, record } of migrations) {
    const found = entries.get(version);
    if (kind === 'repeatable' && isEdited(found?.checksum, record)) entries.delete(version);
  }
  return entries;
}

function keyOf(kind: Migration['kind'], record: Migration['record'], version: string): string {
  return kind === 'repeatable' ? `R ${record?.description ?? ''}` : dotted(version);
}

function dotted(version: string): string {
  return version.replace(/(^|\.)0+(?=\d)/g, '$1').replace(/(?:\.0)+$/, '');
}

/** Alembic's table has the newest revision of each branch: what they descend from is applied too. */
function byAncestry(
  rows: readonly HistoryRow[],
  migrations: readonly Migration[],
): Map<string, HistoryEntry> {
  const entries = new Map<string, HistoryEntry>();
  const byId = new Map<string, Migration>(migrations.map((each) => [each.version, each]));
  const open = rows.flatMap(({ id }) => id ?? []);
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (entries.has(id)) continue;
    entries.set(id, { state: 'applied' });
    open.push(...(byId.get(id)?.record?.previous ?? []));
  }
  return entries;
}

function skippedBelow(
  entries: Map<string, HistoryEntry>,
  migrations: readonly Migration[],
): Map<string, HistoryEntry> {
  const last = migrations.findLastIndex(({ version }) => entries.has(version));
  for (const { version } of migrations.slice(0, Math.max(0, last))) {
    if (entries.has(version)) continue;
    entries.set(version, {
      state: 'doubtful',
      why: 'it comes before the newest that is applied there, and has no row: it was skipped',
    });
  }
  return entries;
}

/** The ledger as it will be once the adopted migrations are recorded. */
export function withAdopted(ledger: Ledger, { applied }: Adoption): Ledger {
  if (applied.length === 0) return ledger;
  return { ...ledger, steps: [...ledger.steps, ...applied.flatMap(baselinedRows)] };
}

/** A row for each step. */
export function baselinedRows(migration: Migration): RecordedStep[] {
  const { version, name, checksum, steps } = migration;
  return steps.map(({ number, fingerprint }) => ({
    version,
    step: number,
    steps: steps.length,
    name,
    checksum,
    fingerprint,
    state: 'baselined',
  }));
}

/** More would push the first ones out of a terminal. */
const SHOWN = 20;

/** Why a run stops before it touches anything; undefined where nothing is doubtful. */
export function doubtful(
  history: History | undefined,
  { doubts, unknownMark }: Adoption,
): MigrationError | undefined {
  const [first] = doubts;
  if (history === undefined) return undefined;
  const { tool, schema, table } = history;
  if (unknownMark !== undefined) {
    return new MigrationError({
      code: 'history-doubtful',
      what: `${tool}'s table ${schema}.${table} has come to ${unknownMark}, which this folder does not have, so nothing tells what of the folder is applied.`,
      applied: 'nothing by this run.',
      next: 'bring the folder up to what was applied; or say how far the database is: npx cdk-postgres-migrations baseline VERSION --confirm; then run again.',
    });
  }
  if (first === undefined) return undefined;
  const lines = doubts
    .slice(0, SHOWN)
    .map(
      ({ migration: { version, file }, why }) =>
        `  ${file}: ${why}: repair ${version} --applied | --not-applied | --continue-at STEP`,
    );
  const hidden = doubts.length - SHOWN;
  const which = doubts.length === 1 ? 'a migration' : `${doubts.length} migrations`;
  return new MigrationError({
    code: 'history-doubtful',
    what: `${tool}'s table ${schema}.${table} leaves it open whether ${which} happened:\n${[...lines, ...(hidden > 0 ? [`  … and ${hidden} more.`] : [])].join('\n')}`,
    applied: 'nothing by this run.',
    next: `look at the database, then say of each what is true: npx cdk-postgres-migrations repair ${first.migration.version} --applied --confirm; as an action {"action": "repair", "version": "${first.migration.version}", "as": "applied", "confirm": true}, or "not-applied", or "continueAt": 2. Then run again.`,
  });
}
