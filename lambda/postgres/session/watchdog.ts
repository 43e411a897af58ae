import * as v from 'valibot';
import { asLoginRole } from './as-login-role.ts';
import { withSession } from './connect.ts';
import type { ConnectionTarget } from './connection-target.ts';
import type { Session } from './session.ts';

export interface Watched {
  readonly target: ConnectionTarget;
  /** Pid of the session's server process. */
  readonly backend: number;
  /** Silence after which the statement is checked from a second session. @default 60 */
  readonly silentSeconds?: number | undefined;
}

const SILENT_SECONDS = 60;
/** Time until the next message or look; an answer is not in transit for longer. */
const ON_ITS_WAY_SECONDS = 10;
/** Seconds to reach the server from a second session; where it can't be reached, nothing is known. */
const PATIENCE_SECONDS = 10;

/**
 * Runs work on a session whose statements may be long. A network device may drop a connection without telling either
 * side, and TCP's own probes end at a proxy that is still there: the statement commits, and its answer never arrives.
 * So a statement that is silent for long is looked up from a second session. If its process is gone or idle, the
 * session counts as lost, and the ledger tells what was applied.
 */
export async function watched<T>(
  session: Session,
  { target, backend, silentSeconds = SILENT_SECONDS }: Watched,
  work: () => Promise<T>,
): Promise<T> {
  let asking = false;
  const timer = setInterval(
    () => {
      const since = session.silentSince();
      if (asking || since === undefined || Date.now() - since < silentSeconds * 1000) return;
      asking = true;
      void lookFor(target, backend, Math.min(ON_ITS_WAY_SECONDS, silentSeconds))
        .then((lost) => {
          // Another message may be under way by now, or this one's answer may have arrived.
          if (lost !== undefined && session.silentSince() === since) session.abandon(new Error(lost));
        })
        .catch(() => undefined)
        .finally(() => {
          asking = false;
        });
    },
    (silentSeconds * 1000) / 4,
  );
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

const seenRow = v.object({
  state: v.nullable(v.string()),
  wait_event: v.nullable(v.string()),
  seconds: v.nullable(v.number(), 0),
});

/** Why the answer will never arrive; undefined if it may. */
async function lookFor(
  target: ConnectionTarget,
  backend: number,
  idleSeconds: number,
): Promise<string | undefined> {
  return withSession(
    target,
    async (second) => {
      const [found] = await asLoginRole(
        second,
        `select state, wait_event, extract(epoch from pg_catalog.clock_timestamp() - state_change)::pg_catalog.float8 as seconds
           from pg_catalog.pg_stat_activity where pid = ${backend}`,
      );
      if (found === undefined) return 'the server process is gone, and its answer never came';
      const row = v.parse(seenRow, found);
      // If the process's details are hidden, it belongs to another role, and is no longer ours.
      if (row.state === null) return undefined;
      const stuck = row.wait_event === 'ClientWrite' || row.wait_event === 'ClientRead';
      if (row.state === 'active' && !stuck) return undefined;
      if (row.seconds < idleSeconds) return undefined;
      // It holds the run lock, and nobody uses it any more.
      await asLoginRole(second, `select pg_catalog.pg_terminate_backend(${backend}) as ended`);
      return 'the server has answered, and nothing has arrived';
    },
    { patienceSeconds: PATIENCE_SECONDS },
  );
}
