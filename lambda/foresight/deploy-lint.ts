import { type Askable, askableChecks } from '../migration/askable-checks.ts';
import type { RecordedBuild } from '../migration/build.ts';
import type { DataCheck } from '../migration/deploy-check.ts';
import type { MigrationOptions } from '../migration/options.ts';
import type { PendingStep } from '../migration/plan.ts';
import type { Session } from '../postgres/session/session.ts';
import { dataFindings } from './data-findings.ts';
import type { DeployFinding } from './deploy-finding.ts';
import { invalidIndexFindings, plainIndexFindings } from './plain-index-check.ts';
import { type SizeLimits, sizeFindings } from './size-findings.ts';
import type { TableKnowledge } from './table-knowledge.ts';

export interface Linted {
  /** Has measured the pending steps. */
  readonly knowledge: TableKnowledge;
  readonly options: Pick<MigrationOptions, 'indexStrategy' | 'dataCheckSeconds'> & SizeLimits;
  /**
   * Unique indexes on tables that are not small: the loop looks for their duplicates itself, before it builds, and one
   * that fails there stops no other.
   */
  /** Of the loop, as the run finds them. */
  readonly builds: readonly RecordedBuild[];
  readonly largeIndexes: 'included' | 'left to the loop';
}

/**
 * The linter's second half, with the real database: what is dangerous on a large table is found where the table is
 * large, and what can't succeed with the data that is there. Writes nothing.
 */
export async function lintAtDeploy(
  session: Session,
  pending: readonly PendingStep[],
  { knowledge, options, builds, largeIndexes }: Linted,
): Promise<readonly DeployFinding[]> {
  const { indexStrategy, smallTableRows, dataCheckSeconds } = options;
  const { sizes, data } = askableChecks(pending);
  const ofLargeIndex = ({ pending: { step }, check: { relation } }: Askable<DataCheck>): boolean => {
    const facts = knowledge.of(relation, step.settings);
    return step.kind === 'index-operation' && facts?.kind === 'present' && facts.rows > smallTableRows;
  };
  // Where the index exists, CREATE INDEX IF NOT EXISTS builds none.
  const questions = data.filter(
    ({ statement, pending: { step } }) => knowledge.existingIndex(statement, step.settings) === undefined,
  );
  const ofRun = questions.filter((each) => !ofLargeIndex(each));
  const ofLoop = largeIndexes === 'included' ? questions.filter(ofLargeIndex) : [];
  const search = { knowledge, seconds: dataCheckSeconds };
  return [
    ...(indexStrategy === 'inline' ? [] : plainIndexFindings(pending, knowledge, smallTableRows)),
    ...invalidIndexFindings(pending, knowledge, builds),
    ...(await sizeFindings(session, sizes, { knowledge, options })),
    ...(await dataFindings(session, ofRun, search)),
    ...(await dataFindings(session, ofLoop, search)).map(failsBuild),
  ];
}

function failsBuild(finding: DeployFinding): DeployFinding {
  return finding.verdict === 'refuse' ? { ...finding, verdict: 'fails-build' } : finding;
}
