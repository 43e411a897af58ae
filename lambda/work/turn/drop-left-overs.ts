import { leftOvers } from '../../postgres/catalog/index-catalog.ts';
import { concurrentDrop } from '../../postgres/catalog/index-statement.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { IndexBuild } from '../index-build.ts';

/**
 * Drops what a dead attempt of this build left behind: INVALID indexes on its table that bear its name. Called only
 * after nobody was seen who could still be building. False where a lock was in the way: the next turn tries again.
 */
export async function dropLeftOvers(session: Session, build: IndexBuild): Promise<boolean> {
  for (const leftOver of await leftOvers(session, build)) {
    const { fault } = await session.execute(concurrentDrop(leftOver));
    if (fault !== undefined) return false;
  }
  return true;
}
