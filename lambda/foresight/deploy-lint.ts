import { type Askable, askableChecks } from '../migration/askable-checks.ts';
import type { RecordedBuild } from '../migration/build.ts';
import type { DataCheck } from '../migration/deploy-check.ts';
import { settingsOf } from '../migration/migration.ts';
import type { MigrationOptions } from '../migration/options.ts';
import type { PendingStep } from '../migration/plan.ts';
import { queuesUp, waitOf } from '../migration/waiting.ts';
import type { Session } from '../postgres/session/session.ts';
import { dataFindings } from './data-findings.ts';
import type { DeployFinding } from './deploy-finding.ts';
import { invalidIndexFindings, plainIndexFindings } from './plain-index-check.ts';
import { type SizeLimits, sizeFindings } from './size-findings.ts';
import type { TableKnowledge } from './table-knowledge.ts';

export interface Linted {
  /** With the pending steps measured. */
  readonly knowledge: TableKnowledge;
  readonly options: Pick<MigrationOptions, 'indexStrategy' | 'dataCheckSeconds'> & SizeLimits;
  /**
   * Unique indexes on tables that are not small: the loop itself looks for duplicates before it builds, and a failure
   * there stops nothing else.
   */
  /** The loop's builds, as the run finds them. */
  readonly builds: readonly RecordedBuild[];
  readonly largeIndexes: 'included' | 'left to the loop';
}

/**
 * The linter's second half, in the real database: finds what is dangerous on tables that turn out to be large, and what
 * can't succeed with the data. Writes nothing.
 */
export async function lintAtDeploy(
  session: Session,
  pending: readonly PendingStep[],
  { knowledge, options, builds, largeIndexes }: Linted,
): Promise<readonly DeployFinding[]> {
  const { indexStrategy, smallTableRows, dataCheckSeconds } = options;
  const { sizes, data } = askableChecks(pending);
  const ofLargeIndex = ({
    pending: { step },
    statement,
    check: { relation },
  }: Askable<DataCheck>): boolean => {
    const facts = knowledge.of(relation, settingsOf(step, statement));
    return step.kind === 'index-operation' && facts?.kind === 'present' && facts.rows > smallTableRows;
  };
  // Work that was handed off earlier will have changed the rows by then; the run that follows it asks.
  const writing = builds.filter(
    ({ operation, state }) => state !== 'done' && (operation === 'backfill' || operation === 'statement'),
  );
  const held = pending.findIndex((next) => waitOf(next, writing) !== undefined);
  const later = new Set(held < 0 ? [] : pending.slice(held));
  // CREATE INDEX IF NOT EXISTS builds nothing where the index exists.
  const questions = data.filter(
    ({ statement, pending: next }) =>
      !later.has(next) &&
      !queuesUp(next.step, writing) &&
      knowledge.existingIndex(statement, settingsOf(next.step, statement)) === undefined,
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
