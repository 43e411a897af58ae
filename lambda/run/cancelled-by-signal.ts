import { asLoginRole } from '../postgres/session/as-login-role.ts';
import { withSession } from '../postgres/session/connect.ts';
import type { RunRequest } from './run.ts';

/** Seconds to reach the server from a second session; after that our own connection ends, and the server notices. */
const PATIENCE_SECONDS = 5;

/**
 * Runs work on a session. When the signal fires, cancels the statement under way, so that its transaction is rolled
 * back and its locks are released, and throws the signal's reason. Without this, the server would continue a long
 * statement after its client is gone.
 */
export async function cancelledBySignal<T>(
  { signal, target }: Pick<RunRequest, 'signal' | 'target'>,
  backend: number,
  work: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return work();
  let cancelled: Promise<unknown> | undefined;
  const cancel = () => {
    cancelled = withSession(
      target,
      (session) => asLoginRole(session, `select pg_catalog.pg_cancel_backend(${backend}) as cancelled`),
      { patienceSeconds: PATIENCE_SECONDS },
    ).catch(() => undefined);
  };
  signal.addEventListener('abort', cancel, { once: true });
  try {
    return await work();
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  } finally {
    signal.removeEventListener('abort', cancel);
    await cancelled;
  }
}
