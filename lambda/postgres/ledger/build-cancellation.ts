import { quoteIdentifier } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { stateIs } from './columns.ts';

/**
 * Marks a build as cancelled, and the builds of its partitions with it, so that no turn takes it up again. Its step
 * counts as failed, so that whatever needs the index keeps waiting. Returns the marked builds.
 */
export async function markCancelled(session: Session, ledgerSchema: string, id: string): Promise<string[]> {
  const s = quoteIdentifier(ledgerSchema);
  const rows = await session.query(
    `with marked as (
       update ${s}.work set state = 'cancelled', finished_at = pg_catalog.clock_timestamp()
        where (id = $1 or parent_build = $1) and ${stateIs('open')}
    returning id, version, step
     ), steps as (
       update ${s}.step set state = 'failed', finished_at = pg_catalog.clock_timestamp()
         from marked where step.version = marked.version and step.step = marked.step
     )
     select id::text as id from marked`,
    [id],
  );
  return rows.map((row) => String(row.id));
}
