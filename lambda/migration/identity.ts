import type { LayoutOrder } from './layout.ts';
import type { Ledger } from './ledger.ts';
import { type Migration, statementsOf } from './migration.ts';
import { compareDotted, compareVersions, parseVersion, type Version } from './version.ts';

/** Compares two identities; undefined if only the folder's own list can tell. */
export function compareIdentities(a: Version, b: Version, order: LayoutOrder): number | undefined {
  switch (order) {
    case 'number':
      return isNumber(a) && isNumber(b) ? compareVersions(a, b) : undefined;
    case 'text':
      return a === b ? 0 : a < b ? -1 : 1;
    case 'dotted':
      return isDotted(a) && isDotted(b) ? compareDotted(a, b) : undefined;
    case 'listed':
      return undefined;
    default:
      return order satisfies never;
  }
}

function isNumber(text: string): boolean {
  return /^\d+$/.test(text);
}

function isDotted(text: string): boolean {
  return /^B?\d+(?:\.\d+)*$/.test(text);
}

/** Compares identities by their places in the folder; those outside of it by themselves. */
export class FolderOrder {
  readonly #places: ReadonlyMap<Version, number>;
  readonly #order: LayoutOrder;

  constructor(migrations: readonly Migration[], order: LayoutOrder) {
    this.#places = new Map(migrations.map(({ version }, place) => [version, place]));
    this.#order = order;
  }

  /** Undefined if there is no order between them. */
  compare(a: Version, b: Version): number | undefined {
    const [first, second] = [this.#places.get(a), this.#places.get(b)];
    if (first !== undefined && second !== undefined) return first - second;
    return compareIdentities(a, b, this.#order);
  }
}

export interface Rename {
  readonly from: Version;
  readonly to: Version;
  /** Another migration with the same digits does not count. */
  readonly name: string;
}

/**
 * Migrations whose identity in the folder differs from the ledger's: older ledgers have digits only, and a renumbered
 * file is still the one that was applied.
 */
export function renamesOf(migrations: readonly Migration[], ledger: Ledger): readonly Rename[] {
  return [...toolNamesOf(migrations, ledger), ...renumbered(migrations, ledger)];
}

/** The same bytes, applied in whole or in part, under an identity that is new to the ledger, in place of one that is gone from the folder. */
function renumbered(migrations: readonly Migration[], { steps }: Ledger): readonly Rename[] {
  const inFolder = new Set(migrations.flatMap(({ version, formerly }) => [version, formerly]));
  const gone = steps.filter(({ version }) => !inFolder.has(version));
  if (gone.length === 0) return [];
  const recorded = new Set(steps.map(({ version }) => version));
  const added = migrations.filter(
    ({ version, formerly, kind, steps: own }) =>
      kind === undefined &&
      !recorded.has(version) &&
      (formerly === undefined || !recorded.has(formerly)) &&
      own.some((step) => statementsOf(step).length > 0),
  );
  return added.flatMap(({ version, checksum }) => {
    const rows = gone.filter((row) => row.checksum === checksum);
    const [first] = rows;
    const alone = added.filter((each) => each.checksum === checksum).length === 1;
    const one = new Set(rows.map((row) => row.version)).size === 1;
    if (first === undefined || !alone || !one || rows.some(({ state }) => state !== 'applied')) return [];
    return [{ from: first.version, to: version, name: first.name }];
  });
}

function toolNamesOf(migrations: readonly Migration[], { steps }: Ledger): readonly Rename[] {
  const renamed = migrations.filter(({ formerly }) => formerly !== undefined);
  if (renamed.length === 0) return [];
  const recorded = new Set(steps.map(({ version, name }) => `${version} ${name}`));
  return renamed.flatMap(({ version, formerly, name }) =>
    formerly !== undefined && recorded.has(`${formerly} ${name}`)
      ? [{ from: formerly, to: version, name }]
      : [],
  );
}

/** The ledger with each migration under the tool's own name. */
export function withToolNames(migrations: readonly Migration[], ledger: Ledger): Ledger {
  const renames = renamesOf(migrations, ledger);
  if (renames.length === 0) return ledger;
  const byOld = new Map(renames.map((each) => [each.from, each]));
  const versionOf = ({ version, name }: { version: Version; name?: string }) => {
    const rename = byOld.get(version);
    return rename !== undefined && (name === undefined || rename.name === name) ? rename.to : version;
  };
  return {
    ...ledger,
    steps: ledger.steps.map((row) => ({ ...row, version: versionOf(row) })),
    builds: ledger.builds.map((build) => ({ ...build, version: versionOf({ version: build.version }) })),
  };
}

/**
 * Resolves a migration that a person names: by its identity; its name or file; its number, with or without leading
 * zeros; the digits before a longer name, if only one has them. Otherwise returns the text itself.
 */
export function identityOf(text: string, migrations: readonly Migration[], ledger: Ledger): Version {
  const recorded = ledger.steps.map(({ version }) => version);
  const exact = [...migrations.map(({ version }) => version), ...recorded].find((each) => each === text);
  if (exact !== undefined) return exact;
  const named = migrations.find(({ name, file }) => name === text || file === text);
  if (named !== undefined) return named.version;
  const number = parseVersion(text);
  if (number === undefined) return text as Version;
  if (migrations.some(({ version }) => version === number) || recorded.includes(number)) return number;
  const meant = migrations.filter(
    ({ version, formerly }) => formerly === number || parseVersion(version) === number,
  );
  return meant.length === 1 && meant[0] !== undefined ? meant[0].version : number;
}
