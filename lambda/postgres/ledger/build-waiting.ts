import type { Build } from '../../work/build.ts';
import { quoteIdentifier } from '../session/quote.ts';
import type { Session } from '../session/session.ts';

/**
 * Our own clock of who is in a build's way, kept from look to look and from turn to turn: Postgres hides from our role
 * how old another role's transaction is, unless ours has pg_read_all_stats. `blocker` is its blockerKey(). Writes only
 * what changed.
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
