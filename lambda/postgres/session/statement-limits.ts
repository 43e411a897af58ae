import { sqlstate } from '../../migration/sqlstate.ts';
import type { StatementFault } from './fault.ts';

/** Limits of one kind of session; docs/limits.md lists them all. */
export interface SessionLimits {
  /** Milliseconds for each lock; 0 for no limit. */
  readonly lock: number;
  /** Seconds after which an idle session belongs to a process that is gone. */
  readonly idle: number;
}

/**
 * Settings that our sessions start with. Otherwise, values set for the role or the database could cut a long step
 * short, end the session in the middle of it, or let it wait for a lock forever.
 */
export function sessionLimits({ lock, idle }: SessionLimits): string[] {
  return [
    `set lock_timeout = '${lock}ms'`,
    'set statement_timeout = 0',
    "set idle_in_transaction_session_timeout = '60s'",
    `set idle_session_timeout = '${idle}s'`,
    LIFT_TRANSACTION_TIMEOUT,
    // A file must mean on the server what its parser has read.
    'set standard_conforming_strings = on',
  ];
}

/** PostgreSQL 17 and later: it would end the session, not the statement. */
export const LIFT_TRANSACTION_TIMEOUT = `select pg_catalog.set_config('transaction_timeout', '0', false)
 where pg_catalog.current_setting('transaction_timeout', true) is not null`;

/** How long a step may take, in milliseconds, from when it is set. */
export interface StepLimits {
  /** For each lock, unless its file sets something shorter than `longestWait`. */
  readonly wait: number;
  readonly longestWait: number;
  /** For each statement, unless its file sets something shorter; absent for no limit. */
  readonly budget: number | undefined;
  /** `transaction`: until the end of the transaction. */
  readonly until: 'transaction' | 'session';
}

/**
 * Sets the limits again after a file has changed settings. The file's own values stay if they are not longer than ours;
 * values that come from RESET or a new role are not the file's, nor is 0, which means forever.
 */
export function limitsAgain({ wait, longestWait, budget, until }: StepLimits): string {
  const own = 'limits.own';
  const set = (least: number, most: number) =>
    `case when ${own} operator(pg_catalog.=) 0::pg_catalog.int8 then ${Math.floor(least)}::pg_catalog.int8
             else least(${own}, ${Math.floor(most)}::pg_catalog.int8) end`;
  const unlimited = `coalesce(${own}, 0::pg_catalog.int8)`;
  return `select pg_catalog.set_config(limits.name, (case
         when limits.name operator(pg_catalog.=) 'lock_timeout'::pg_catalog.text then ${set(Math.max(1, wait), Math.max(1, longestWait))}
         when limits.name operator(pg_catalog.=) 'statement_timeout'::pg_catalog.text then ${budget === undefined ? unlimited : set(Math.max(1, budget), Math.max(1, budget))}
         else ${unlimited} end)::pg_catalog.text, ${until === 'transaction'})
  from (select s.name, case when s.source operator(pg_catalog.=) 'session'::pg_catalog.text
                            then s.setting::pg_catalog.int8 else 0::pg_catalog.int8 end as own
          from pg_catalog.pg_settings s
         where s.name operator(pg_catalog.=) any (array['lock_timeout', 'statement_timeout', 'transaction_timeout']::pg_catalog.text[])) as limits`;
}

/**
 * Measured from the message's arrival, so that fifty steps in one message share one deadline. A shorter time set by the
 * file stays.
 */
export function statementTimeout(budgetMilliseconds: number): string {
  return `select pg_catalog.set_config('statement_timeout', greatest(1::numeric, least(
  case when pg_catalog.current_setting('statement_timeout') operator(pg_catalog.<>) '0'::pg_catalog.text
       then extract(epoch from pg_catalog.current_setting('statement_timeout')::interval) operator(pg_catalog.*) 1000::numeric end,
  ${Math.floor(budgetMilliseconds)}::numeric operator(pg_catalog.-) (extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) pg_catalog.statement_timestamp()) operator(pg_catalog.*) 1000::numeric)
))::bigint::pg_catalog.text, true)`;
}

/** The statement was cancelled because the function ran out of time, not by its own limit or a person. */
export function endedByDeadline({ fault }: StatementFault, deadline: number | undefined): boolean {
  return fault.sqlstate === sqlstate.queryCanceled && deadline !== undefined && deadline - Date.now() < 1_000;
}

/** At least 1 ms: 0 would mean forever. */
export function setLockTimeout(milliseconds: number): string {
  return `set lock_timeout = ${Math.max(1, Math.round(milliseconds))}`;
}

/** Limits of a query under a file's settings, set after them. In milliseconds; 0 for no limit. */
export function questionLimits({
  statement,
  lock,
}: {
  readonly statement: number;
  readonly lock: number;
}): string[] {
  return [
    `set local statement_timeout = ${Math.floor(statement)}`,
    `set local lock_timeout = ${Math.floor(lock)}`,
    LIFT_TRANSACTION_TIMEOUT,
  ];
}
