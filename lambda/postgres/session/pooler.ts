import { MigrationError } from '../../migration/migration-error.ts';
import { connect } from './connect.ts';
import type { ConnectionTarget } from './connection-target.ts';
import type { Session } from './session.ts';

/**
 * Refuses a pooler that hands one server session to several clients: SET, session locks and temporary tables would land
 * on other people's sessions. Called only if a setting of our connection did not reach the server, which any pooler may
 * cause; the proof is that a second client gets the very session that served us.
 */
export async function refuseTransactionPooler(session: Session, target: ConnectionTarget): Promise<void> {
  const before = await backendOf(session);
  const second = await connect(target);
  try {
    // The transaction stays open, so that a pooler can't give this server session to anybody else.
    const outcome = await second.script('begin; select pg_catalog.pg_backend_pid() as pid');
    const other = outcome.rows[1]?.[0]?.pid;
    const after = await backendOf(session);
    await second.script('rollback');
    if (other !== before && after === before) return;
  } finally {
    await second.close();
  }
  throw new MigrationError({
    code: 'transaction-pooler',
    what: `${target.host}:${target.port} is a transaction-mode pooler: it gives one database session to several clients, and settings and locks of a migration would land on other people's sessions.`,
    applied: 'nothing by this run.',
    next: "put the database's direct address into the secret (Neon: the host without -pooler; Supabase: port 5432 of the direct host; RDS Proxy: the cluster's endpoint; PgBouncer: the server behind it).",
  });
}

async function backendOf(session: Session): Promise<string | null | undefined> {
  const { rows } = await session.script('select pg_catalog.pg_backend_pid() as pid');
  return rows[0]?.[0]?.pid;
}
