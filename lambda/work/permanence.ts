import type { PostgresFault } from '../migration/migration-error.ts';

/**
 * SQLSTATEs after which the same build may succeed: cancelled, ended by the server or an administrator, deadlocked,
 * out of a resource, or in the way of somebody for a moment. Whole classes by their first two characters.
 */
const PASSING_CLASSES = new Set(['08', '53', '58', 'XX']);
const PASSING = new Set([
  '57014', // query_canceled
  '57P01', // admin_shutdown
  '57P02', // crash_shutdown
  '57P03', // cannot_connect_now
  '57P05', // idle_session_timeout
  '40P01', // deadlock_detected
  '40001', // serialization_failure
  '55P03', // lock_not_available
  '55006', // object_in_use
  '25P03', // idle_in_transaction_session_timeout
  '25P04', // transaction_timeout
  '42P07', // duplicate_table: somebody was faster; the catalog tells what is there now
]);

/** The build can't succeed until a person changes the data, the definition or a permission. */
export function isPermanent({ sqlstate }: PostgresFault): boolean {
  return !PASSING.has(sqlstate) && !PASSING_CLASSES.has(sqlstate.slice(0, 2));
}
