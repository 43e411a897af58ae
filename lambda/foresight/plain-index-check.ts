import { type Statement, statementsOf } from '../migration/migration.ts';
import type { PendingStep } from '../migration/plan.ts';
import { moreRows, type PresentTable } from '../migration/route.ts';
import { type DeployFinding, PLAIN_INDEX_RULE } from './deploy-finding.ts';
import type { TableKnowledge } from './table-knowledge.ts';

/**
 * A plain CREATE INDEX blocks every write to its table until it is built. On a table that is not small that is an
 * outage, so the run stops before it touches anything, unless the file allows it.
 */
export function plainIndexFindings(
  pending: readonly PendingStep[],
  knowledge: TableKnowledge,
  smallTableRows: number,
): readonly DeployFinding[] {
  const findings: DeployFinding[] = [];
  /** Tables that are dropped, and so made anew, before the index: what was measured is not what is indexed. */
  const dropped = new Set<string>();
  for (const { migration, step } of pending) {
    if (step.kind === 'index-operation') continue;
    const allowed = migration.allowed.some(({ rule }) => rule === PLAIN_INDEX_RULE);
    for (const statement of statementsOf(step)) {
      if (statement.kind === 'DropStmt') for (const { name } of statement.touches.changes) dropped.add(name);
      if (statement.kind !== 'IndexStmt' || allowed) continue;
      for (const relation of statement.touches.changes) {
        const facts = knowledge.of(relation, step.settings);
        if (facts?.kind !== 'present' || facts.rows <= smallTableRows || dropped.has(relation.name)) continue;
        findings.push({ migration, ...finding(statement, facts, smallTableRows) });
      }
    }
  }
  return findings;
}

function finding(
  statement: Statement,
  facts: PresentTable,
  smallTableRows: number,
): Omit<DeployFinding, 'migration'> {
  return {
    rule: PLAIN_INDEX_RULE,
    verdict: 'refuse',
    statement,
    what: `CREATE INDEX on ${facts.schema}.${facts.table}, which ${moreRows(facts, smallTableRows)}, would block every write to it until the index is built.`,
    next: `write CREATE INDEX CONCURRENTLY: it is built beside the traffic; or, if the table may be blocked, put "-- migrate: allow ${PLAIN_INDEX_RULE} <reason>" into the file.`,
  };
}
