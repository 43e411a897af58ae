import type { Askable } from '../migration/askable-checks.ts';
import type { DataCheck } from '../migration/deploy-check.ts';
import { settingsOf } from '../migration/migration.ts';
import type { RelationName } from '../migration/relation-name.ts';
import type { TableFacts } from '../migration/route.ts';
import { type RowValues, textOf } from '../migration/row-values.ts';
import {
  type Broken,
  describeBroken,
  findBroken,
  fromOf,
  type RowsOf,
  type Untold,
} from '../postgres/catalog/data-check.ts';
import { reachesFurther } from '../postgres/catalog/table-facts.ts';
import { quoteIdentifier, quoteRelation } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';
import type { DeployFinding } from './deploy-finding.ts';
import type { TableKnowledge } from './table-knowledge.ts';

/** All searches of a run together may take this many times as long as one of them. */
const MOST_SEARCHES = 4;

export interface Search {
  /** With the tables measured. */
  readonly knowledge: TableKnowledge;
  /** Limits each search; 0 turns them off. */
  readonly seconds: number;
}

/**
 * Checks whether the data lets the statements succeed: counts nulls, orphans, duplicates and rows that violate a check,
 * before anything is touched. What can't be checked is reported and stops nothing: Postgres checks when the statement
 * runs.
 */
export async function dataFindings(
  session: Session,
  questions: readonly Askable<DataCheck>[],
  { knowledge, seconds }: Search,
): Promise<readonly DeployFinding[]> {
  const findings: DeployFinding[] = [];
  const until = Date.now() + seconds * 1000 * MOST_SEARCHES;
  if (seconds <= 0) return findings;
  for (const { pending, statement, check, after } of questions) {
    const settings = settingsOf(pending.step, statement);
    const rows = rowsOf(check, (relation) => knowledge.of(relation, settings));
    if (rows === undefined) continue;
    const milliseconds = Math.min(seconds * 1000, until - Date.now());
    const broken =
      milliseconds <= 0
        ? { because: 'the searches before it have used up the time' }
        : await findBroken(session, check, { settings, milliseconds, rows });
    if (broken === undefined) continue;
    // By the time its turn comes, an earlier statement may have corrected it.
    const isBroken = 'count' in broken && broken.count > 0;
    if (isBroken && after.length > 0 && (await reachesFurther(session, after))) continue;
    const { rule, verdict } = check;
    const of = { rule, migration: pending.migration, statement };
    if ('because' in broken) findings.push({ ...of, verdict: 'show', ...unanswered(check, broken) });
    else if (isBroken) findings.push({ ...of, verdict, ...sentences(check, broken) });
  }
  return findings;
}

/**
 * The table whose rows Postgres would check; undefined for a view or a foreign table, against whose rows no constraint
 * is checked.
 */
function rowsOf(
  check: DataCheck,
  factsOf: (relation: RelationName) => TableFacts | undefined,
): RowsOf | undefined {
  const alone = check.alone === true || check.kind === 'orphans' || check.kind === 'duplicates';
  const from = rowsOfTable(check.relation, { facts: factsOf(check.relation), alone });
  if (from === undefined) return undefined;
  if (check.kind !== 'orphans') return { from };
  const references = rowsOfTable(check.references, { facts: factsOf(check.references), alone });
  return references === undefined ? undefined : { from, references };
}

function rowsOfTable(
  relation: RelationName,
  { facts, alone }: { readonly facts: TableFacts | undefined; readonly alone: boolean },
): string | undefined {
  if (facts?.kind !== 'present') return undefined;
  const { partitioned, hasForeignParts } = facts;
  if (hasForeignParts && (partitioned || !alone)) return undefined;
  return fromOf(relation, { partitioned, alone });
}

function sentences(check: DataCheck, broken: Broken): Pick<DeployFinding, 'what' | 'next'> {
  const table = nameOf(check.relation);
  const from = quoteRelation(check.relation);
  const rows = describeBroken(broken, 'row');
  const one = broken.count === 1 && !broken.more;
  switch (check.kind) {
    case 'nulls':
      return {
        what: `${rows} of ${table} ${one ? 'has' : 'have'} no ${check.column}, which is to become NOT NULL.`,
        next: `give them a value, then run again: select * from ${from} where ${quoteIdentifier(check.column)} is null.`,
      };
    case 'orphans': {
      const columns = check.columns.join(', ');
      return {
        what: (values) =>
          `${rows} of ${table} refer${one ? 's' : ''} by ${columns} to rows missing from ${nameOf(check.references)}${examples(broken, values)}.`,
        next: 'correct or delete them, or add what they refer to; then run again.',
      };
    }
    case 'duplicates':
      return {
        what: (values) =>
          `${describeBroken(broken, 'value')} of (${check.key.parts.join(', ')}) ${one ? 'occurs' : 'occur'} in more than one row of ${table}${examples(broken, values)}.`,
        next: 'leave one row of each, then run again.',
      };
    case 'violations':
      return {
        what: `${rows} of ${table} ${one ? 'violates' : 'violate'} the check ${check.constraint}.`,
        next: `correct them, then run again: select * from ${from} where not (${check.expression}).`,
      };
    default:
      return check satisfies never;
  }
}

function unanswered(check: DataCheck, { because }: Untold): Pick<DeployFinding, 'what' | 'next'> {
  return {
    what: (rows) => `Whether ${questionOf(check)} can't be told beforehand: ${textOf(because, rows)}.`,
    next: 'nothing has to be done: Postgres checks when the statement runs. To know beforehand, give the role of the migrator BYPASSRLS, or raise dataCheckSeconds.',
  };
}

function questionOf(check: DataCheck): string {
  const table = nameOf(check.relation);
  switch (check.kind) {
    case 'nulls':
      return `rows of ${table} have no ${check.column}, which is to become NOT NULL,`;
    case 'orphans':
      return `rows of ${table} refer by ${check.columns.join(', ')} to rows missing from ${nameOf(check.references)}`;
    case 'duplicates':
      return `values of (${check.key.parts.join(', ')}) occur in more than one row of ${table}`;
    case 'violations':
      return `rows of ${table} violate the check ${check.constraint}`;
    default:
      return check satisfies never;
  }
}

/** The same values that Postgres would show in the detail of its error. */
function examples({ examples: few }: Broken, values: RowValues): string {
  return few.length === 0 || values === 'hidden' ? '' : `, such as ${few.join(', ')}`;
}

function nameOf({ schema, name }: RelationName): string {
  return schema === undefined ? name : `${schema}.${name}`;
}
