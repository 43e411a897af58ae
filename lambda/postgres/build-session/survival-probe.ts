import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';
import { asLoginRole } from '../session/as-login-role.ts';
import { connect } from '../session/connect.ts';
import type { ConnectionTarget } from '../session/connection-target.ts';
import { SessionLost } from '../session/fault.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { LIFT_LIMITS } from './build-settings.ts';
import { findDblink } from './dblink.ts';
import { openLoopback, refusesLoopback } from './loopback-connection.ts';

/** Kinds of session that may outlive their client; an attached one by definition does not. */
export type LastingKind = 'loopback' | 'orphan';

/** What the probe found, and why. */
export interface Survival {
  readonly survives: boolean;
  readonly because: string;
  /** Whether the finding is temporary, and must not be remembered. */
  readonly passing?: boolean;
}

/** How long a result is valid: proxies and poolers change without notice. */
const BELIEVED_HOURS = 24;
/** Long enough for a proxy to cancel what its client left. Neon's does it within milliseconds. */
const OBSERVED_MILLISECONDS = 2_000;
/**
 * The probe's statement: ends by itself after 20 seconds. It commits between short sleeps, since a build beside it
 * would wait for its snapshot.
 */
const PROBE = `do 'begin for look in 1..200 loop perform pg_catalog.pg_sleep(0.1); commit; end loop; end'`;

/**
 * Does a statement survive its client here? Instead of guessing from the vendor, this starts a harmless long statement
 * in a session of that kind, drops the client, and looks for the statement a little later. The ledger remembers the
 * result, so that it costs two seconds once a day.
 */
export async function survivalOf(
  session: Session,
  { kind, target, ledgerSchema }: { kind: LastingKind; target: ConnectionTarget; ledgerSchema: string },
): Promise<Survival> {
  const remembered = await recall(session, ledgerSchema, kind);
  if (remembered !== undefined) return remembered;
  const found = await probe(session, { kind, target });
  if (found.passing === true) return found;
  await session.query(
    `insert into ${quoteIdentifier(ledgerSchema)}.session_probe (kind, survives, because) values ($1, $2, $3)
     on conflict (kind) do update
        set survives = excluded.survives, because = excluded.because, probed_at = pg_catalog.clock_timestamp()`,
    [kind, found.survives, found.because],
  );
  return found;
}

async function recall(
  session: Session,
  ledgerSchema: string,
  kind: LastingKind,
): Promise<Survival | undefined> {
  const rows = await session.query(
    `select survives, because from ${quoteIdentifier(ledgerSchema)}.session_probe
      where kind = $1 and probed_at > pg_catalog.clock_timestamp() - pg_catalog.make_interval(hours => $2)`,
    [kind, BELIEVED_HOURS],
  );
  return rows[0] === undefined
    ? undefined
    : v.parse(v.object({ survives: v.boolean(), because: v.string() }), rows[0]);
}

interface Probe {
  readonly kind: LastingKind;
  readonly target: ConnectionTarget;
}

async function probe(session: Session, { kind, target }: Probe): Promise<Survival> {
  const name = `migrations probe ${randomBytes(6).toString('hex')}`;
  const client = await connect(target, kind === 'orphan' ? { applicationName: name } : {});
  try {
    if (kind === 'loopback') {
      const dblink = refusesLoopback(target) ?? (await findDblink(client));
      if ('because' in dblink) return { survives: false, because: dblink.because };
      const refused = await openLoopback(client, {
        target,
        dblinkSchema: dblink.schema,
        link: 'probe',
        applicationName: name,
      });
      if (refused !== undefined)
        return { survives: false, because: refused.because, passing: refused.passing !== undefined };
      await client.query(
        `select ${quoteIdentifier(dblink.schema)}.dblink_send_query($1::pg_catalog.text, $2::pg_catalog.text)`,
        ['probe', PROBE],
      );
    } else {
      await client.script(LIFT_LIMITS.join(';\n'));
      void client.execute(PROBE).catch((error: unknown) => {
        if (!(error instanceof SessionLost)) throw error;
      });
    }
    if (!(await untilSeen(session, name)))
      return { survives: false, because: 'a probe was not seen to begin', passing: true };
  } finally {
    client.abandon();
  }
  await sleep(OBSERVED_MILLISECONDS);
  const survives = await isRunning(session, name);
  await asLoginRole(
    session,
    `select pg_catalog.pg_terminate_backend(pid) as ended from pg_catalog.pg_stat_activity
      where application_name = ${quoteLiteral(name)}`,
  );
  return {
    survives,
    because: survives ? 'a probe outlived its client' : 'a probe was cancelled when its client went away',
  };
}

async function untilSeen(session: Session, name: string): Promise<boolean> {
  for (let look = 0; look < 50; look += 1) {
    if (await isRunning(session, name)) return true;
    await sleep(20);
  }
  return false;
}

async function isRunning(session: Session, name: string): Promise<boolean> {
  const rows = await asLoginRole(
    session,
    `select pid from pg_catalog.pg_stat_activity
      where application_name = ${quoteLiteral(name)} and state = 'active' and query = ${quoteLiteral(PROBE)}`,
  );
  return rows.length > 0;
}
