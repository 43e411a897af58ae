import { pointAt } from '../syntax/source-excerpt.ts';
import type { Finding } from './finding.ts';
import { type Levels, suggestion } from './levels.ts';
import type { LintedFile } from './linted-file.ts';
import type { Severity } from './rule.ts';
import { allowRules, ruleNames, synthRuleNames } from './rules.ts';

/** The `-- migrate: allow RULE reason` of one file, and which of them were needed. */
export class AllowedRules {
  readonly #file: LintedFile;
  readonly #levels: Levels;
  readonly #used = new Set<string>();

  constructor(file: LintedFile, levels: Levels) {
    this.#file = file;
    this.#levels = levels;
  }

  allows(rule: string): boolean {
    const allowed = this.#file.migration.allowed.some((each) => each.rule === rule);
    if (allowed) this.#used.add(rule);
    return allowed;
  }

  /** What is wrong with them, once all rules have run. */
  findings(): readonly Finding[] {
    return this.#file.migration.allowed.flatMap(({ rule, position }) => {
      if (!ruleNames.has(rule)) {
        const what = `There is no rule ${rule}, so this allows nothing.${suggestion(rule)}`;
        return this.#finding('unknown', { what, position });
      }
      // A rule that is off finds nothing, and may be turned on again; rules about data can't be judged here.
      if (this.#used.has(rule) || this.#levels[rule] === 'off' || !synthRuleNames.has(rule)) return [];
      return this.#finding('unused', { what: `${rule} finds nothing in this file.`, position });
    });
  }

  #finding(
    which: keyof typeof allowRules,
    { what, position }: Pick<Finding, 'what' | 'position'>,
  ): readonly Finding[] {
    const rule = allowRules[which];
    const severity = this.#levels[rule.name] ?? (rule.severity as Severity);
    if (severity === 'off') return [];
    const { source, migration } = this.#file;
    return [
      {
        rule: rule.name,
        severity,
        version: migration.version,
        file: source.file,
        position,
        excerpt: pointAt(source, source.indexOf(position)),
        what,
        lock: undefined,
        instead: '',
        afterwards: undefined,
        note: 'Correct or remove the comment.',
      },
    ];
  }
}
