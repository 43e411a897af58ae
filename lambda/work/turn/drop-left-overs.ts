import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { withDetail, withoutRowValues, withWords } from '../../migration/postgres-fault.ts';
import { isPermanent } from '../../migration/sqlstate.ts';
import { type LeftOver, leftOvers } from '../../postgres/catalog/index-catalog.ts';
import { concurrentDrop } from '../../postgres/catalog/index-statement.ts';
import { underSettings } from '../../postgres/session/author-settings.ts';
import type { Session } from '../../postgres/session/session.ts';
import { sessionLimits } from '../../postgres/session/statement-limits.ts';
import type { Build } from '../build.ts';

export type Dropped =
  | { readonly kind: 'dropped' }
  /** A lock was in the way: the next turn tries again. */
  | { readonly kind: 'locked' }
  /** It stays until a person acts. */
  | { readonly kind: 'refused'; readonly leftOver: LeftOver; readonly fault: PostgresFault };

/** While a concurrent drop waits for other transactions, it blocks nobody. */
const LIMITS = sessionLimits({ lock: 10_000, idle: 120 });

/**
 * Drops what a dead attempt of this build left behind: INVALID indexes on its table with its name, under the file's
 * settings and so as the role that created them. Call it only if nobody was seen who could still be building. `own`:
 * the settings that the session started with.
 */
export async function dropLeftOvers(
  session: Session,
  build: Build,
  own: readonly string[],
): Promise<Dropped> {
  for (const leftOver of await leftOvers(session, build)) {
    const author = { settings: build.settings, limits: LIMITS, own };
    const refused = await underSettings(session, author, concurrentDrop(leftOver));
    if (refused === undefined) continue;
    const { fault } = refused;
    return isPermanent(fault) ? { kind: 'refused', leftOver, fault } : { kind: 'locked' };
  }
  return { kind: 'dropped' };
}

/** The fault of a build that can't continue, or has failed, and leaves an INVALID index behind. */
export function leftStanding(
  { leftOver: { schema, name }, fault }: Extract<Dropped, { kind: 'refused' }>,
  failedWith: PostgresFault | undefined,
): PostgresFault {
  const index = `${schema}.${name}`;
  const hint = `Drop it as the owner of its table (drop index concurrently ${index}), or give the role of the migrations that right; then retry.`;
  if (failedWith === undefined) {
    return {
      ...withWords(`the INVALID index ${index}, which an attempt has left, cannot be dropped`, fault),
      hint,
    };
  }
  const left = `The INVALID index ${index} is left, and cannot be dropped`;
  const said = ({ message, sqlstate }: PostgresFault) => `${left}: ${message} (SQLSTATE ${sqlstate}).`;
  return { ...withDetail(failedWith, said(fault), said(withoutRowValues(fault))), hint };
}
