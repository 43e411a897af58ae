import type { Build } from '../../work/build.ts';
import { builderNames } from '../catalog/builder-names.ts';
import type { ConnectionTarget } from '../session/connection-target.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { LIFT_LIMITS } from './build-settings.ts';
import { findDblink, type LoopbackRefused, unlessRefused } from './dblink.ts';
import { loopbackConninfo, openLoopback, refusesLoopback } from './loopback-connection.ts';
import { ensureSupervisor, LOOPBACK_SETTING, SUPERVISOR_SETTINGS } from './supervisor.ts';
import { lockLimit, textOf } from './work-statement.ts';

export interface LoopbackStart {
  readonly build: Build;
  /** The attempt that was just recorded, from 1. */
  readonly attempt: number;
  readonly target: ConnectionTarget;
  readonly ledgerSchema: string;
  /** Our settings that the build session starts with: memory, workers. */
  readonly settings: Readonly<Record<string, string>>;
  /** How long a statement that blocks its table may wait for a lock. */
  readonly lockTimeoutSeconds: number;
}

/**
 * Starts a build in a session that the server opens to itself, past the proxy that would cancel it when we leave. Two
 * sessions run afterwards: a supervisor, for which we do not wait, and the build session that it opened. Call it under
 * the table lock, after the attempt was recorded.
 */
export async function startLoopback(
  session: Session,
  { build, attempt, target, ledgerSchema, settings, lockTimeoutSeconds }: LoopbackStart,
): Promise<LoopbackRefused | undefined> {
  const dblink = refusesLoopback(target) ?? (await findDblink(session));
  if ('because' in dblink) return dblink;
  const d = quoteIdentifier(dblink.schema);
  const unprepared = await unlessRefused(async () => {
    await ensureSupervisor(session, ledgerSchema, dblink.schema);
    // An earlier attempt's supervisor is done, but its session stays until its connection is closed.
    await session.query(
      `select ${d}.dblink_disconnect(name) from pg_catalog.unnest(${d}.dblink_get_connections()) as name`,
    );
  });
  if (unprepared !== undefined) return unprepared;
  const [supervisor, builder] = builderNames(build);
  const link = `supervisor_${build.id}_${attempt}`;
  const refused = await openLoopback(session, {
    target,
    dblinkSchema: dblink.schema,
    link,
    applicationName: supervisor,
    settings: {
      ...SUPERVISOR_SETTINGS,
      [LOOPBACK_SETTING]: await loopbackConninfo(session, { target, applicationName: builder, settings }),
    },
  });
  if (refused !== undefined) return refused;
  const [authored, own] = [build.settings, [...LIFT_LIMITS, ...lockLimit(build, lockTimeoutSeconds)]].map(
    (settings) => `array[${settings.map(quoteLiteral).join(', ')}]::pg_catalog.text[]`,
  );
  const call = `call ${quoteIdentifier(ledgerSchema)}.supervise_build(${build.id}::pg_catalog.int8, ${attempt}::pg_catalog.int4, ${authored}, ${own}, ${quoteLiteral(textOf(build, attempt))}::pg_catalog.text)`;
  return unlessRefused(() =>
    session.query(`select ${d}.dblink_send_query($1::pg_catalog.text, $2::pg_catalog.text)`, [link, call]),
  );
}
