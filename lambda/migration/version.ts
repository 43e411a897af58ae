/**
 * What tells a migration from all others, as its folder's layout has it. In numbered files: the leading digits with
 * separators and leading zeros removed, so that `0009`, `9` and, for dates, `2017-01-02-131034` and `20170102131034`
 * are each one value, of any length. Elsewhere what the tool itself writes: Prisma's folder, Flyway's `1.2`.
 */
export type Version = string & { readonly version: unique symbol };

/** Reads digits, with single `-`, `_` or `.` between them, into a version; undefined for anything else. */
export function parseVersion(text: string): Version | undefined {
  if (!/^\d+(?:[-_.]\d+)*$/.test(text)) return undefined;
  const digits = text.replace(/\D/g, '').replace(/^0+(?=\d)/, '');
  return digits as Version;
}

/** Orders versions as the numbers they are: a longer one is greater, since leading zeros are gone. */
export function compareVersions(a: Version, b: Version): number {
  if (a.length !== b.length) return a.length - b.length;
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Orders Flyway's versions: numbers between dots, where one that is missing is 0. */
export function compareDotted(a: string, b: string): number {
  const [first, second] = [a, b].map((each) => each.replace(/^\D+/, '').split(/[._]/).map(BigInt));
  for (let at = 0; at < Math.max(first?.length ?? 0, second?.length ?? 0); at += 1) {
    const difference = (first?.[at] ?? 0n) - (second?.[at] ?? 0n);
    if (difference !== 0n) return difference < 0n ? -1 : 1;
  }
  return 0;
}
