import { byteSize, duration } from '../migration/amounts.ts';
import type { Askable } from '../migration/askable-checks.ts';
import type { SizeCheck } from '../migration/deploy-check.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { moreRows, type PresentTable } from '../migration/route.ts';
import { workSeconds } from '../migration/work-seconds.ts';
import type { DeployFinding } from './deploy-finding.ts';
import type { TableKnowledge } from './table-knowledge.ts';

export type SizeLimits = Pick<MigrationOptions, 'smallTableRows' | 'longestBlockSeconds'>;

/** What the linter found dangerous on a large table, of tables that turn out to be large. */
export function sizeFindings(
  asked: readonly Askable<SizeCheck>[],
  knowledge: TableKnowledge,
  { smallTableRows, longestBlockSeconds }: SizeLimits,
): readonly DeployFinding[] {
  return asked.flatMap(({ pending, statement, check }) => {
    const measured = knowledge.of(check.relation, pending.step.settings);
    if (measured?.kind !== 'present') return [];
    // An index is the table's alone; what else is done to it is done to the tables that inherit from it.
    const whole = check.work === 'build' || check.alone === true ? {} : measured.withChildren;
    const facts = { ...measured, ...whole };
    // A table that counts as small is done in a moment.
    if (facts.rows <= smallTableRows) return [];
    const seconds = workSeconds(check.work, facts.bytes);
    // Of a table whose size can't be had nobody can say that it takes a blink.
    if (facts.bytes > 0 && seconds <= longestBlockSeconds) return [];
    const { migration } = pending;
    return [{ ...toFinding(check, { facts, seconds, smallTableRows }), migration, statement }];
  });
}

interface Measured {
  readonly facts: PresentTable;
  readonly seconds: number;
  readonly smallTableRows: number;
}

function toFinding(
  { rule, verdict, what, instead, blocks }: SizeCheck,
  { facts, seconds, smallTableRows }: Measured,
): Omit<DeployFinding, 'migration' | 'statement'> {
  const size = facts.bytes === 0 ? '' : ` (${byteSize(facts.bytes)})`;
  const time = facts.bytes === 0 ? '' : ` for about ${duration(seconds)}`;
  return {
    rule,
    verdict,
    what: `${what} ${facts.schema}.${facts.table} ${moreRows(facts, smallTableRows)}${size}: that would block ${blocks}${time}.`,
    next: `write instead:\n${indented(instead)}\nor, if the table may be blocked, put "-- migrate: allow ${rule} <reason>" into the file.`,
  };
}

function indented(sql: string): string {
  return sql
    .split('\n')
    .map((line) => `    ${line}`.trimEnd())
    .join('\n');
}
