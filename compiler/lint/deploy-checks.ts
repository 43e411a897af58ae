import { type DeployCheck, dataRules } from '../../lambda/migration/deploy-check.ts';
import type { AllowedRules } from './allowed-rules.ts';
import type { DataQuestion } from './data-questions.ts';
import type { Levels } from './levels.ts';
import type { Severity } from './rule.ts';
import type { SizeQuestion } from './size-question.ts';

/** The migrator checks this itself for every CREATE INDEX, whatever the lint levels are. */
const OF_THE_MIGRATOR = 'plain-create-index';

/** A size question of a rule, at the level that the rule has here. */
export type AskedSize = SizeQuestion & { readonly rule: string; readonly level: Severity };

interface Questions {
  readonly sizes: readonly AskedSize[];
  readonly data: readonly DataQuestion[];
}

/** What the deploy has to find out about one statement, and what follows from the answers. */
export function checksOf(
  { sizes, data }: Questions,
  { levels, allowed }: { readonly levels: Levels; readonly allowed: AllowedRules },
): readonly DeployCheck[] {
  const ofSize = sizes
    .filter(({ rule }) => rule !== OF_THE_MIGRATOR)
    .map(({ level, ...question }) => ({ ...question, verdict: verdictOf(level) }));
  const ofData = data.flatMap((question): DeployCheck[] => {
    const rule = dataRules[question.kind];
    const level = levels[rule] ?? 'error';
    return level === 'off' || allowed.allows(rule)
      ? []
      : [{ ...question, rule, verdict: verdictOf(level) } as DeployCheck];
  });
  return [...ofSize, ...ofData];
}

/** It is a warning at synth only because the deploy alone knows whether it is an error. */
function verdictOf(level: Severity): DeployCheck['verdict'] {
  return level === 'advice' ? 'show' : 'refuse';
}
