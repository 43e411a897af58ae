import { parseVersion, type Version } from '../../lambda/migration/version.ts';

/** What the name of a file or folder says. */
export type FileName =
  | { readonly kind: 'migration' | 'undo'; readonly version: Version; readonly name: string }
  /** A `.sql` file whose omission nobody would notice, so it is an error. */
  | { readonly kind: 'refused'; readonly sentence: string; readonly advice: string }
  | { readonly kind: 'other' };

const EXPECTED =
  'Expected <version>_<name>.sql, where the version is digits: 0001_users.sql, 20240131093000_users.sql.';

/**
 * The digits at the beginning. Only in a date may separators come between them: `0005-2_fix` is the version 5 and
 * not 52, yet `2017-01-02-131034_fix` and `20170102_131034_fix` are 20170102131034.
 */
const DATE = /^(\d{4})([-_.])(\d{2})\2(\d{2})(?:[-_T](\d{2})[-_.]?(\d{2})(?:[-_.]?(\d{2}))?)?(?=\D|$)/;
const COMPACT_DATE = /^(\d{8})[-_T](\d{6})(?=\D|$)/;
const DIGITS = /^(\d+)(?=[-_. ]|$)(?!\.\d)/;
const FLYWAY = /^(?:[VUB][\d._]+|R)__/;

/** Reads the name of an entry of the migrations folder that ends in `.sql`. */
export function readFileName(entry: string): FileName {
  const base = withoutSuffix(entry, '.sql');
  if (base === undefined || entry.startsWith('.')) return { kind: 'other' };
  const undo = withoutSuffix(base, '.down');
  const name = undo ?? withoutSuffix(base, '.up') ?? base;
  if (FLYWAY.test(name)) {
    return {
      kind: 'refused',
      sentence: "It is named as Flyway's migrations are.",
      advice: `Say that the folder is Flyway's: layout: 'flyway', on the command line --layout flyway. ${EXPECTED}`,
    };
  }
  const version = leadingVersion(name);
  if (version === undefined) {
    return { kind: 'refused', sentence: 'The name does not begin with a version.', advice: EXPECTED };
  }
  return { kind: undo === undefined ? 'migration' : 'undo', version, name };
}

/** Reads the name of a folder of the migrations folder. */
export function readFolderName(entry: string): FileName {
  const version = leadingVersion(entry);
  return version === undefined ? { kind: 'other' } : { kind: 'migration', version, name: entry };
}

function leadingVersion(name: string): Version | undefined {
  const match = DATE.exec(name) ?? COMPACT_DATE.exec(name) ?? DIGITS.exec(name);
  return match === null ? undefined : parseVersion(match[0].replace('T', '-'));
}

function withoutSuffix(name: string, suffix: string): string | undefined {
  return name.toLowerCase().endsWith(suffix) ? name.slice(0, -suffix.length) : undefined;
}
