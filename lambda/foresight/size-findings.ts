import { byteSize, duration } from '../migration/amounts.ts';
import type { Askable } from '../migration/askable-checks.ts';
import type { BlockingWork, SizeCheck } from '../migration/deploy-check.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { moreRows, type PresentTable } from '../migration/route.ts';
import { type RowValues, type Text, textOf } from '../migration/row-values.ts';
import { workSeconds } from '../migration/work-seconds.ts';
import { hasColumn, hasNoNulls } from '../postgres/catalog/table-facts.ts';
import { typeChangeWork } from '../postgres/catalog/type-change.ts';
import type { Session } from '../postgres/session/session.ts';
import type { DeployFinding } from './deploy-finding.ts';
import type { TableKnowledge } from './table-knowledge.ts';

export type SizeLimits = Pick<MigrationOptions, 'smallTableRows' | 'longestBlockSeconds' | 'ledgerSchema'>;

interface SizeContext {
  readonly knowledge: TableKnowledge;
  readonly options: SizeLimits;
}

/**
 * What the linter found dangerous on a large table, for tables that turn out to be large. Asks the database last for
 * what else it can tell: whether the column exists already, and what a change of its type really does.
 */
export async function sizeFindings(
  session: Session,
  checks: readonly Askable<SizeCheck>[],
  { knowledge, options }: SizeContext,
): Promise<readonly DeployFinding[]> {
  const findings: DeployFinding[] = [];
  for (const question of checks) {
    const facts = factsOf(question, knowledge);
    if (facts === undefined || isHarmless(question.check.work, facts, options)) continue;
    const { rule } = question.check;
    // One of the tables that a query reads is enough.
    if (
      question.check.blocks === 'nothing' &&
      findings.some((each) => each.rule === rule && each.statement === question.statement)
    )
      continue;
    const work = await workOf(session, question, { facts, options });
    if (question.check.retype !== undefined && work.kind !== 'unknown')
      knowledge.learnWork(question.statement, work.kind === 'nothing' ? 'moment' : work.kind);
    if (work.kind === 'nothing' || (work.kind !== 'unknown' && isHarmless(work.kind, facts, options))) {
      continue;
    }
    const { pending, statement, check } = question;
    const unknown = work.kind === 'unknown' ? work.because : undefined;
    const kind = work.kind === 'unknown' ? check.work : work.kind;
    const seconds = workSeconds(kind, facts.bytes);
    const measured = { facts, seconds, unknown, smallTableRows: options.smallTableRows };
    findings.push({ ...toFinding(check, measured), migration: pending.migration, statement });
  }
  return findings;
}

function factsOf(
  { pending, check }: Askable<SizeCheck>,
  knowledge: TableKnowledge,
): PresentTable | undefined {
  const measured = knowledge.of(check.relation, pending.step.settings);
  if (measured?.kind !== 'present') return undefined;
  // An index belongs to one table; other changes also apply to the tables that inherit from it.
  const whole = check.work === 'build' || check.alone === true ? {} : measured.withChildren;
  return { ...measured, ...whole };
}

function isHarmless(
  work: BlockingWork,
  facts: PresentTable,
  { smallTableRows, longestBlockSeconds }: SizeLimits,
): boolean {
  // A small table takes a moment.
  if (facts.rows <= smallTableRows) return true;
  // A table of unknown size may take long.
  return facts.bytes > 0 && workSeconds(work, facts.bytes) <= longestBlockSeconds;
}

type Work =
  | { readonly kind: 'nothing' | BlockingWork }
  | { readonly kind: 'unknown'; readonly because: Text };

async function workOf(
  session: Session,
  { pending, check, asItIs }: Askable<SizeCheck>,
  { facts, options }: { readonly facts: PresentTable; readonly options: SizeLimits },
): Promise<Work> {
  const { retype, unlessColumn, unlessNotNull } = check;
  if (!asItIs) return { kind: check.work };
  const table = { schema: facts.schema, name: facts.table };
  if (unlessColumn !== undefined && (await hasColumn(session, table, unlessColumn))) {
    return { kind: 'nothing' };
  }
  if (unlessNotNull !== undefined && (await hasNoNulls(session, table, unlessNotNull))) {
    return { kind: 'nothing' };
  }
  if (retype === undefined) return { kind: check.work };
  const { settings } = pending.step;
  return typeChangeWork(session, { ...retype, table, settings, ledgerSchema: options.ledgerSchema });
}

interface Measured {
  readonly facts: PresentTable;
  readonly seconds: number;
  /** Why it is unknown what the statement really does; undefined if it is known. */
  readonly unknown: Text | undefined;
  readonly smallTableRows: number;
}

function toFinding(
  { rule, verdict, what, instead, blocks }: SizeCheck,
  { facts, seconds, unknown, smallTableRows }: Measured,
): Omit<DeployFinding, 'migration' | 'statement'> {
  const size = facts.bytes === 0 ? '' : ` (${byteSize(facts.bytes)})`;
  const time = facts.bytes === 0 ? '' : ` for about ${duration(seconds)}`;
  const because = (rows: RowValues) =>
    unknown === undefined ? '' : ` Postgres can't be asked now: ${textOf(unknown, rows)}.`;
  return {
    rule,
    verdict,
    what: (rows) =>
      `${what}${because(rows)} ${facts.schema}.${facts.table} ${moreRows(facts, smallTableRows)}${size}: that would ${blocks === 'nothing' ? 'take' : `block ${blocks}`}${blocks === 'nothing' ? time.replace(' for', '') : time}.`,
    next: `write instead:\n${indented(instead)}\nor, if ${blocks === 'nothing' ? 'the deploy may wait' : 'the table may be blocked'}, put "-- migrate: allow ${rule} <reason>" into the file.`,
  };
}

function indented(sql: string): string {
  return sql
    .split('\n')
    .map((line) => `    ${line}`.trimEnd())
    .join('\n');
}
