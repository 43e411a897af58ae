import { MigrationError } from '../migration/migration-error.ts';
import { isPermanent } from '../migration/sqlstate.ts';
import { SessionLost, StatementFault } from '../postgres/session/fault.ts';

/** Error codes about reaching the database or a service, not about the migrations. */
const OF_THE_WAY = new Set([
  'database-unreachable',
  'connection-lost',
  'secret-unreadable',
  'iam-token',
  'hand-off-failed',
  'other-run',
]);

/** Codes of errors that wrap one from Postgres: they may pass if that may. */
const IN_POSTGRES_WORDS = new Set(['ledger-unreadable', 'ledger-refused']);

/**
 * Whether the error may pass by waiting: a server that restarts, fails over, wakes up or is full, a throttled service,
 * a network that is down, a refused password that may be about to be rotated. Errors caused by the migrations, the
 * options or our own code do not pass.
 */
export function mayPass(error: unknown): boolean {
  if (error instanceof MigrationError) {
    const { code, details } = error;
    if (OF_THE_WAY.has(code)) return true;
    return IN_POSTGRES_WORDS.has(code) && details.fault !== undefined && !isPermanent(details.fault);
  }
  if (error instanceof SessionLost) return true;
  if (error instanceof StatementFault) return !isPermanent(error.fault);
  return isOfService(error) || isOfSystem(error);
}

/** The SDK's own errors carry it, whether the service answered or could not be reached. */
function isOfService(error: unknown): boolean {
  return error instanceof Error && '$metadata' in error;
}

/** Node's errors of sockets and name servers name the call that failed. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
