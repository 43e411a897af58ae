import { MigrationError } from '../../migration/migration-error.ts';
import { inTheWay } from '../../migration/sqlstate.ts';
import type { StatementFault } from '../session/fault.ts';
import type { Session } from '../session/session.ts';
import { isOlder, ledgerQuery, parseLedger } from './ledger.ts';
import { bringLedgerUp } from './ledger-format.ts';
import { releaseRunLock, tryRunLock } from './run-lock.ts';

/** Sends our own statements; an error of Postgres is then about the ledger, not about a migration. */
export async function must(session: Session, text: string): Promise<void> {
  const { fault } = await session.script(text);
  if (fault === undefined) return;
  await session.script('rollback');
  throw new MigrationError({
    code: 'ledger-refused',
    what: 'Postgres refused to let the ledger be written.',
    fault: fault.fault,
    next: 'let the role of the secret create and write the ledger schema (grant create on database … to …); then run again.',
    cause: fault,
    recorded: false,
  });
}

/**
 * Upgrades an older ledger in one transaction, under the run lock. Returns the reason if its tables are in use.
 * Attempts are short, since every turn and every reader queues behind them.
 */
export async function tryUpgrade(
  session: Session,
  ledgerSchema: string,
  from: number,
): Promise<StatementFault | undefined> {
  const { fault } = await session.script(
    ['begin', "set local lock_timeout = '1s'", bringLedgerUp(ledgerSchema, from), 'commit'].join(';\n'),
  );
  if (fault === undefined) return undefined;
  await session.script('rollback');
  if (inTheWay.has(fault.fault.sqlstate)) return fault;
  throw new MigrationError({
    code: 'ledger-refused',
    what: `Postgres refused to let the ledger in schema '${ledgerSchema}' be upgraded to this version's format.`,
    fault: fault.fault,
    applied: 'nothing by this run; the ledger is as it was.',
    next: 'connect as the role that created the ledger, which owns its tables; then run again.',
    cause: fault,
    recorded: false,
  });
}

/**
 * For a turn, which may be the first to run newer code: upgrades an older ledger. False if a run is under way or the
 * tables are in use: come back soon.
 */
export async function upgradeIfFree(session: Session, ledgerSchema: string): Promise<boolean> {
  const outcome = await session.script(`${tryRunLock(ledgerSchema)};${ledgerQuery(ledgerSchema)}`);
  if (outcome.rows[0]?.[0]?.locked !== 't') return false;
  try {
    const read = parseLedger(outcome, ledgerSchema, 1);
    return !isOlder(read) || (await tryUpgrade(session, ledgerSchema, read.format)) === undefined;
  } finally {
    await session.script(releaseRunLock(ledgerSchema));
  }
}
