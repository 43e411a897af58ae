import { quoteLiteral } from '../session/quote.ts';

/**
 * Limits that must not end a build: it waits for other transactions as long as needed, and its client is gone on
 * purpose. A file's own `set lock_timeout`, meant for its DDL, would kill a healthy build and leave it INVALID. Not
 * every version of Postgres has all of these settings, so they are looked up in pg_settings first.
 */
const LIMITS = [
  'client_connection_check_interval',
  'statement_timeout',
  'transaction_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
];

/** As an array of SQL. */
export const LIMIT_NAMES = `array[${LIMITS.map(quoteLiteral).join(', ')}]::pg_catalog.text[]`;

/**
 * Turns the limits off; sent to the build session after the file's own settings. Statements without a result. Reading
 * pg_settings takes some milliseconds, so a file's own `set statement_timeout = '5ms'` is reset before it. The search
 * path is the file's.
 */
export const LIFT_LIMITS: readonly string[] = [
  'set statement_timeout = 0',
  'set standard_conforming_strings = on',
  // What it writes into the ledger at its end must not conflict with what others wrote there since its beginning.
  "set default_transaction_isolation = 'read committed'",
  `do ${quoteLiteral(`begin
  perform pg_catalog.set_config(name, '0', false) from pg_catalog.pg_settings where name operator(pg_catalog.=) any (${LIMIT_NAMES});
end`)}`,
];

/** Detail for a setting of the file that Postgres refuses in the build session. */
export const SETTING_OF_FILE = 'Refused was a setting of the file: ';

export function settingOfFile(setting: string): string {
  return `${SETTING_OF_FILE}${setting}`;
}
