import { MigrationError } from '../migration/migration-error.ts';
import { isPermanent } from '../migration/sqlstate.ts';
import { SessionLost, StatementFault } from '../postgres/session/fault.ts';

/** Codes of errors that tell of the way to the database or to a service, and not of the migrations. */
const OF_THE_WAY = new Set([
  'database-unreachable',
  'connection-lost',
  'secret-unreadable',
  'iam-token',
  'hand-off-failed',
  'other-run',
]);

/** Codes of errors that wrap what Postgres said: they pass as that does. */
const IN_POSTGRES_WORDS = new Set(['ledger-unreadable', 'ledger-refused']);

/**
 * Whether waiting may mend it: a server that restarts, fails over, wakes up or is full, a throttled service, a network
 * that is away. A password that is refused may be about to be rotated. What the migrations themselves, the options or
 * our own code bring about does not pass.
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

/** The SDK's own errors carry it, those of a service's answer and those of the way there. */
function isOfService(error: unknown): boolean {
  return error instanceof Error && '$metadata' in error;
}

/** Node's errors of sockets and name servers name the call that failed. */
function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
