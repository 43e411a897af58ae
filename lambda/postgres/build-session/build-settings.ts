/**
 * Limits that must not end a build: it waits for other transactions as long as it has to, and its client is gone on
 * purpose. A file's own `set lock_timeout`, meant for its DDL, would kill a healthy build and leave it INVALID.
 */
export const UNINTERRUPTED = [
  'client_connection_check_interval',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
] as const;

/** Sent to the build session after the file's own settings. */
export const BUILD_SETTINGS = UNINTERRUPTED.map((name) => `set ${name} = 0`);
