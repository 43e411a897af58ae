import { MigrationError } from '../../lambda/migration/migration-error.ts';
import type { Severity } from './rule.ts';
import { ruleNames } from './rules.ts';

/** Levels that replace the rules' own. */
export type Level = Severity | 'off';

/** By the rule's name: `{ 'drop-column': 'error', 'varchar-limit': 'off' }`. */
export type Levels = Readonly<Record<string, Level>>;

/** A level for an unknown rule would otherwise be silently ignored. */
export class UnknownRule extends MigrationError {
  override readonly name = 'UnknownRule';
}

/** @throws UnknownRule */
export function checkLevels(levels: Levels): void {
  for (const name of Object.keys(levels)) {
    if (ruleNames.has(name)) continue;
    throw new UnknownRule({
      code: 'unknown-rule',
      what: `There is no lint rule ${name}.${suggestion(name)}`,
      next: 'correct its name in the levels; docs/lint.md lists all rules.',
    });
  }
}

/** ` Is it drop-column?`, where some rule's name is nearly this. */
export function suggestion(name: string): string {
  const near = [...ruleNames].map((rule) => ({ rule, distance: distance(name, rule) }));
  const [nearest] = near.sort((a, b) => a.distance - b.distance);
  return nearest !== undefined && nearest.distance <= 3 ? ` Is it ${nearest.rule}?` : '';
}

/** Levenshtein distance: letters to add, remove or change. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const changed = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
