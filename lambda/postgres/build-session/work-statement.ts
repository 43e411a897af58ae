import { isIndexBuild, isPatient } from '../../migration/build.ts';
import { type Build, WITH_ROWS } from '../../work/build.ts';
import { quoteIdentifier } from '../session/quote.ts';

/** The outcome of an attempt, for the ledger: a turn that looks later knows from it how long the build took. */
export const SUCCEEDED =
  "pg_catalog.jsonb_build_object('kind', 'succeeded', 'endedAt', pg_catalog.clock_timestamp())";

/** On a line of its own, since the author's text may end in a comment. */
const SEPARATOR = '\n;\n';

/**
 * Executes the statement, and sends the plan instead of its rows: dblink would keep them all in the memory of the
 * server, and receive them only as fast as the supervisor polls; an orphan would end at the first that it can't send.
 */
const DISCARDING_ROWS = 'explain (analyze, costs off, timing off, summary off, buffers off)\n';

/**
 * What is sent to the build session. A statement that was handed off and its outcome in the ledger are one transaction,
 * so it happens once, whatever fails. The statements after it take effect only in that transaction, and run under the
 * author's search path.
 */
export function textOf(build: Build, attempt: number): string {
  if (build.operation !== 'statement') return build.statement;
  return [
    build.definition === WITH_ROWS ? `${DISCARDING_ROWS}${build.statement}` : build.statement,
    'reset session authorization',
    'reset role',
    'set constraints all immediate',
    // Divides by zero where it was cancelled, or is another attempt's by now: then nothing is committed.
    `with noted as (update ${quoteIdentifier(build.ledger)}.work set attempt_outcome = ${SUCCEEDED}
 where id operator(pg_catalog.=) ${build.id} and attempts operator(pg_catalog.=) ${attempt}
   and state operator(pg_catalog.=) 'building'::pg_catalog.text returning 1)
select 1::pg_catalog.int8 operator(pg_catalog./) pg_catalog.count(*) from noted`,
  ].join(SEPARATOR);
}

/**
 * An index build waits for its locks as long as needed. A statement that blocks the application would make others queue
 * behind it, so it waits for a moment only, and another attempt follows.
 */
export function lockLimit(build: Build, lockTimeoutSeconds: number): string[] {
  if (isIndexBuild(build) || isPatient(build.operation)) return [];
  return [`set lock_timeout = ${Math.round(lockTimeoutSeconds * 1000)}`];
}
