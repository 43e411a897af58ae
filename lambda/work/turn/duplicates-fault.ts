import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import { keyOfBuild } from '../../postgres/catalog/build-key.ts';
import { describeBroken, findDuplicates, fromOf } from '../../postgres/catalog/data-check.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { IndexBuild } from '../index-build.ts';

/**
 * Looks for what would make a unique build fail after hours, for `seconds` at the most, before it begins; 0 does not
 * look. Undefined where nothing was found, or the time was over: the build itself will tell.
 */
export async function duplicatesFault(
  session: Session,
  build: IndexBuild,
  seconds: number,
): Promise<PostgresFault | undefined> {
  if (!build.unique || build.operation !== 'create' || seconds <= 0) return undefined;
  const found = await keyOfBuild(session, build);
  if (found === undefined) return undefined;
  const { key } = found;
  const table = { schema: build.schema, name: build.table };
  const from = fromOf(table, { partitioned: build.partitioned, alone: true });
  const broken = await findDuplicates(
    session,
    { ...found, from },
    { settings: build.settings, milliseconds: seconds * 1000 },
  );
  if (broken === undefined || broken.count === 0) return undefined;
  return {
    // What the build would end with.
    sqlstate: sqlstate.uniqueViolation,
    message: `could not create unique index "${build.index}": ${describeBroken(broken, 'value')} of (${key.parts.join(', ')}) in more than one row`,
    detail: `Such as ${broken.examples.join(', ')}.`,
    hint: 'Leave one row of each, then retry. Nothing was built.',
  };
}
