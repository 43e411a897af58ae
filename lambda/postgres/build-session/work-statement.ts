import { isIndexBuild, isPatient } from '../../migration/build.ts';
import type { Build } from '../../work/build.ts';
import { quoteIdentifier } from '../session/quote.ts';

/** The outcome of an attempt, for the ledger: a turn that looks later knows from it how long the build took. */
export const SUCCEEDED =
  "pg_catalog.jsonb_build_object('kind', 'succeeded', 'endedAt', pg_catalog.clock_timestamp())";

/** Not within the author's text, whatever it ends with. */
const SEPARATOR = '\n;\n';

/**
 * What is sent to the build session. A statement that was handed off is one transaction with its outcome in the ledger:
 * so it happens once, whatever dies when. The statements that follow it are in force only within that transaction,
 * and run under the author's search path.
 */
export function textOf(build: Build, attempt: number): string {
  if (build.operation !== 'statement') return build.statement;
  return [
    build.statement,
    'reset session authorization',
    'reset role',
    'set constraints all immediate',
    `update ${quoteIdentifier(build.ledger)}.work set attempt_outcome = ${SUCCEEDED}
 where id operator(pg_catalog.=) ${build.id} and attempts operator(pg_catalog.=) ${attempt}`,
  ].join(SEPARATOR);
}

/**
 * An index build waits for its locks as long as it has to. What closes the table to the application keeps others queued
 * up behind it, so it asks for a moment, and another attempt follows.
 */
export function lockLimit(build: Build, lockTimeoutSeconds: number): string[] {
  if (isIndexBuild(build) || isPatient(build.operation)) return [];
  return [`set lock_timeout = ${Math.round(lockTimeoutSeconds * 1000)}`];
}
