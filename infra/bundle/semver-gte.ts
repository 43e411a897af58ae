/**
 * What the X-Ray SDK and its cls-hooked use of semver, in place of that package in the functions' bundle: whether a
 * released version, such as Node's own, is at least another.
 */
export function gte(version: string, least: string): boolean {
  return version.localeCompare(least, 'en', { numeric: true }) >= 0;
}
