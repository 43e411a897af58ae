import type { Build } from '../../work/build.ts';
import { quoteIdentifier } from '../session/quote.ts';
import type { Session } from '../session/session.ts';

/**
 * Records who blocks a build and since when, from turn to turn: without pg_read_all_stats, Postgres hides from our role
 * how old another role's transaction is. `blocker` is its blockerKey(). Writes only changes.
 */
export async function noteWaiting(
  session: Session,
  ledgerSchema: string,
  { id, waiting }: Build,
  blocker: string | undefined,
): Promise<void> {
  if (blocker === waiting?.blocker) return;
  await session.query(
    `update ${quoteIdentifier(ledgerSchema)}.work
        set blocker = $2::text,
            blocker_since = case when $2::text is not null then pg_catalog.clock_timestamp() end,
            waits_since = case when $2::text is not null then coalesce(waits_since, pg_catalog.clock_timestamp()) end
      where id = $1`,
    [id, blocker ?? null],
  );
}
