import { sqlstate } from '../../migration/sqlstate.ts';
import type { StatementFault } from './fault.ts';

/**
 * Measured from the message's arrival, so that fifty steps in one message share one deadline. A shorter time that the
 * file has set stays.
 */
export function statementTimeout(budgetMilliseconds: number): string {
  return `select pg_catalog.set_config('statement_timeout', greatest(1::numeric, least(
  case when pg_catalog.current_setting('statement_timeout') operator(pg_catalog.<>) '0'::pg_catalog.text
       then extract(epoch from pg_catalog.current_setting('statement_timeout')::interval) operator(pg_catalog.*) 1000::numeric end,
  ${Math.floor(budgetMilliseconds)}::numeric operator(pg_catalog.-) (extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) pg_catalog.statement_timestamp()) operator(pg_catalog.*) 1000::numeric)
))::bigint::pg_catalog.text, true)`;
}

/** The statement was ended because the time of the function was over, not by a limit of its own or a person. */
export function endedByDeadline({ fault }: StatementFault, deadline: number | undefined): boolean {
  return fault.sqlstate === sqlstate.queryCanceled && deadline !== undefined && deadline - Date.now() < 1_000;
}

/** At least 1 ms: 0 would mean for ever. */
export function setLockTimeout(milliseconds: number): string {
  return `set lock_timeout = ${Math.max(1, Math.round(milliseconds))}`;
}
