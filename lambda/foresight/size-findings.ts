import { byteSize, duration } from '../migration/amounts.ts';
import type { Askable } from '../migration/askable-checks.ts';
import type { BlockingWork, SizeCheck } from '../migration/deploy-check.ts';
import { settingsOf } from '../migration/migration.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { moreRows, type PresentTable } from '../migration/route.ts';
import { type RowValues, textOf } from '../migration/row-values.ts';
import { workSeconds } from '../migration/work-seconds.ts';
import { attachWork } from '../postgres/catalog/attach-work.ts';
import { hasColumn, hasNoNulls, isStored } from '../postgres/catalog/table-facts.ts';
import { type StatementWork, typeChangeWork } from '../postgres/catalog/type-change.ts';
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
    const { pending, statement, check } = question;
    const work = await workOf(session, question, { facts, options });
    if (work !== undefined && work.kind !== 'unknown')
      knowledge.learnWork(statement, work.kind === 'nothing' ? 'moment' : work.kind);
    if (work?.kind === 'nothing') continue;
    const kind = work === undefined || work.kind === 'unknown' ? check.work : work.kind;
    if (work?.kind !== 'unknown' && isHarmless(kind, facts, options)) continue;
    const seconds = workSeconds(kind, facts.bytes);
    const measured = { facts, seconds, work, smallTableRows: options.smallTableRows };
    findings.push({ ...toFinding(check, measured), migration: pending.migration, statement });
  }
  return findings;
}

function factsOf(
  { pending, statement, check }: Askable<SizeCheck>,
  knowledge: TableKnowledge,
): PresentTable | undefined {
  const measured = knowledge.of(check.relation, settingsOf(pending.step, statement));
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

/** What the statement really does; undefined where nothing but the check itself tells. */
async function workOf(
  session: Session,
  { pending, statement, check, asItIs }: Askable<SizeCheck>,
  { facts, options }: { readonly facts: PresentTable; readonly options: SizeLimits },
): Promise<StatementWork | undefined> {
  const { retype, attach, unlessColumn, unlessNotNull, unlessStored } = check;
  if (!asItIs) return undefined;
  const table = { schema: facts.schema, name: facts.table };
  const isThere =
    (unlessColumn !== undefined && (await hasColumn(session, table, unlessColumn))) ||
    (unlessNotNull !== undefined && (await hasNoNulls(session, table, unlessNotNull))) ||
    (unlessStored !== undefined &&
      ((facts.partitioned && unlessStored.by !== 'virtual column') ||
        (await isStored(session, table, unlessStored))));
  if (isThere) return { kind: 'nothing' };
  const settings = settingsOf(pending.step, statement);
  const { ledgerSchema } = options;
  if (attach !== undefined)
    return attachWork(session, { ...attach, partition: check.relation, settings, ledgerSchema });
  return retype && typeChangeWork(session, { ...retype, table, settings, ledgerSchema });
}

interface Measured {
  readonly facts: PresentTable;
  readonly seconds: number;
  readonly work: StatementWork | undefined;
  readonly smallTableRows: number;
}

/** What a change of a column's type does to a table. */
const DOES: Readonly<Record<'scan' | 'build' | 'rewrite', (table: string) => string>> = {
  scan: (table) => `checks every row of ${table} again`,
  build: (table) => `builds indexes of ${table} anew`,
  rewrite: (table) => `rewrites the whole of ${table} and its indexes`,
};

function toFinding(
  { rule, verdict, what, instead, blocks, retype }: SizeCheck,
  { facts, seconds, work, smallTableRows }: Measured,
): Omit<DeployFinding, 'migration' | 'statement'> {
  const size = facts.bytes === 0 ? '' : ` (${byteSize(facts.bytes)})`;
  const time = facts.bytes === 0 ? '' : ` for about ${duration(seconds)}`;
  const table = `${facts.schema}.${facts.table}`;
  const because = (rows: RowValues) =>
    work?.kind === 'unknown' ? ` Postgres can't be asked now: ${textOf(work.because, rows)}.` : '';
  const known =
    retype === undefined || work === undefined || work.kind === 'unknown' || work.kind === 'nothing'
      ? what
      : `${retype.turning} ${DOES[work.kind](table)}, while nobody else can read or write it; and running code may not expect the new type.`;
  return {
    rule,
    verdict,
    what: (rows) =>
      `${known}${because(rows)} ${table} ${moreRows(facts, smallTableRows)}${size}: that would ${blocks === 'nothing' ? 'take' : `block ${blocks}`}${blocks === 'nothing' ? time.replace(' for', '') : time}.`,
    next: `write instead:\n${indented(instead)}\nor, if ${blocks === 'nothing' ? 'the deploy may wait' : 'the table may be blocked'}, put "-- migrate: allow ${rule} <reason>" into the file.`,
  };
}

function indented(sql: string): string {
  return sql
    .split('\n')
    .map((line) => `    ${line}`.trimEnd())
    .join('\n');
}
