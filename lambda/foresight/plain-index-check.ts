import type { RecordedBuild } from '../migration/build.ts';
import { type Migration, type Statement, settingsOf, statementsOf } from '../migration/migration.ts';
import type { PendingStep } from '../migration/plan.ts';
import type { RelationName } from '../migration/relation-name.ts';
import { moreRows, type PresentTable } from '../migration/route.ts';
import { quoteRelation } from '../postgres/session/quote.ts';
import { type DeployFinding, PLAIN_INDEX_RULE } from './deploy-finding.ts';
import type { TableKnowledge } from './table-knowledge.ts';

/** The linter's rule for the same at synth, where the database is not known. */
const IF_NOT_EXISTS_RULE = 'if-not-exists-index';

interface PlainIndex {
  readonly migration: Migration;
  readonly statement: Statement;
  readonly settings: readonly string[];
  /** An earlier step drops the table and creates it again: what was measured is not what will be indexed. */
  readonly ofNewTable: boolean;
  /** An index of that name exists by then, so Postgres skips the statement. */
  readonly existing: { readonly valid: boolean } | undefined;
}

/**
 * A plain CREATE INDEX blocks every write to its table until it is built. On a table that is not small that is an
 * outage, so the run stops before it touches anything, unless the file allows it. With IF NOT EXISTS, nothing is built
 * where the index exists.
 */
export function plainIndexFindings(
  pending: readonly PendingStep[],
  knowledge: TableKnowledge,
  smallTableRows: number,
): readonly DeployFinding[] {
  return plainIndexesOf(pending, knowledge).flatMap(
    ({ migration, statement, settings, ofNewTable, existing }): DeployFinding[] => {
      if (ofNewTable || existing !== undefined || isAllowed(migration, PLAIN_INDEX_RULE)) return [];
      return statement.touches.changes.flatMap((relation) => {
        const facts = knowledge.of(relation, settings);
        if (facts?.kind !== 'present' || facts.rows <= smallTableRows) return [];
        return [{ migration, ...blocksWrites(statement, facts, smallTableRows) }];
      });
    },
  );
}

/**
 * CREATE INDEX IF NOT EXISTS skips an INVALID index of that name and reports success: the file would be recorded as
 * applied, without an index that serves any query. `builds`: the loop's own, which are INVALID until they end.
 */
export function invalidIndexFindings(
  pending: readonly PendingStep[],
  knowledge: TableKnowledge,
  builds: readonly RecordedBuild[],
): readonly DeployFinding[] {
  return plainIndexesOf(pending, knowledge).flatMap(({ migration, statement, ofNewTable, existing }) => {
    const { unlessExists } = statement;
    if (ofNewTable || unlessExists === undefined || existing?.valid !== false) return [];
    if (isAllowed(migration, IF_NOT_EXISTS_RULE)) return [];
    if (builds.some(({ index }) => index === unlessExists.name)) return [];
    return [{ migration, ...passesOver(statement, unlessExists) }];
  });
}

function plainIndexesOf(pending: readonly PendingStep[], knowledge: TableKnowledge): readonly PlainIndex[] {
  const dropped = new Set<string>();
  const found: PlainIndex[] = [];
  for (const { migration, step } of pending) {
    for (const statement of statementsOf(step)) {
      const { kind, touches, unlessExists } = statement;
      if (kind === 'DropStmt') {
        for (const { name } of [...touches.changes, ...touches.indexes]) dropped.add(name);
      }
      if (kind !== 'IndexStmt' || step.kind === 'index-operation') continue;
      const gone = unlessExists === undefined || dropped.has(unlessExists.name);
      found.push({
        migration,
        statement,
        settings: settingsOf(step, statement),
        ofNewTable: touches.changes.some(({ name }) => dropped.has(name)),
        existing: gone ? undefined : knowledge.existingIndex(statement, settingsOf(step, statement)),
      });
    }
  }
  return found;
}

function isAllowed({ allowed }: Migration, rule: string): boolean {
  return allowed.some((each) => each.rule === rule);
}

function blocksWrites(
  statement: Statement,
  facts: PresentTable,
  smallTableRows: number,
): Omit<DeployFinding, 'migration'> {
  return {
    rule: PLAIN_INDEX_RULE,
    verdict: 'refuse',
    statement,
    what: `CREATE INDEX on ${facts.schema}.${facts.table}, which ${moreRows(facts, smallTableRows)}, would block every write to it until the index is built.`,
    next: `write CREATE INDEX CONCURRENTLY: it is built while writes continue; or, if the table may be blocked, put "-- migrate: allow ${PLAIN_INDEX_RULE} <reason>" into the file.`,
  };
}

function passesOver(statement: Statement, index: RelationName): Omit<DeployFinding, 'migration'> {
  return {
    rule: IF_NOT_EXISTS_RULE,
    verdict: 'refuse',
    statement,
    what: `the index ${index.name} exists and is INVALID, left by an interrupted build: CREATE INDEX IF NOT EXISTS would skip it, and no query would use it.`,
    next: `write CREATE INDEX CONCURRENTLY, which drops the INVALID index and builds it again; or drop it by hand, if nobody is building it: drop index concurrently ${quoteRelation(index)}; then run again.`,
  };
}
