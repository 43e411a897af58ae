import { MigrationError } from '../../migration/migration-error.ts';
import type { Session } from '../session/session.ts';

/** Sends statements of our own; what Postgres refuses there is an error about the ledger, not about a migration. */
export async function must(session: Session, text: string): Promise<void> {
  const { fault } = await session.script(text);
  if (fault === undefined) return;
  await session.execute('rollback');
  throw new MigrationError({
    code: 'ledger-refused',
    what: 'Postgres refused to let the ledger be written.',
    fault: fault.fault,
    next: 'let the role of the secret create and write the ledger schema (grant create on database … to …); then run again.',
    cause: fault,
  });
}
