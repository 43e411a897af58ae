import { setTimeout as sleep } from 'node:timers/promises';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import type { AttachedBuild } from '../../postgres/build-session/attached.ts';
import { builderNames } from '../../postgres/catalog/builder-names.ts';
import { recordAttemptOutcome, setSessionKind } from '../../postgres/ledger/build-attempt-rows.ts';
import { asLoginRole } from '../../postgres/session/as-login-role.ts';
import { quoteLiteral } from '../../postgres/session/quote.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { IndexBuild } from '../index-build.ts';

export interface Attached {
  readonly session: AttachedBuild;
  /** Why it could not be a loopback session. */
  readonly because: string;
}

/** Our build session's end follows the build's so soon, unless the connection is half open. */
const PATIENCE_MILLISECONDS = 5_000;

/** A build whose statement runs in a session of ours: its end is ours to record. */
export class HeldBuild {
  #let = false;
  readonly #session: Session;
  readonly #ledgerSchema: string;
  readonly #build: IndexBuild;
  readonly #attached: Attached;
  readonly #recorded: Promise<void>;

  constructor(
    session: Session,
    ledgerSchema: string,
    { build, attached }: { build: IndexBuild; attached: Attached },
  ) {
    this.#session = session;
    this.#ledgerSchema = ledgerSchema;
    this.#build = build;
    this.#attached = attached;
    this.#recorded = attached.session.ended.then((fault) => (this.#let ? undefined : this.#record(fault)));
    // Awaited where it matters; the watch sees what was recorded.
    this.#recorded.catch(() => undefined);
  }

  /** Resolves when the outcome was recorded: once nobody is seen building any more, that is near. */
  async recorded(): Promise<void> {
    const late = new AbortController();
    await Promise.race([
      this.#recorded,
      sleep(PATIENCE_MILLISECONDS, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort();
  }

  /** The statement goes on without us. */
  async letGo(): Promise<void> {
    this.#let = true;
    await setSessionKind(this.#session, this.#ledgerSchema, {
      id: this.#build.id,
      kind: 'orphan',
      pid: this.#attached.session.pid,
    });
    this.#attached.session.letGo();
  }

  /** Nothing here can keep the build alive for as long as it needs: end it cleanly, and say so. */
  async giveUp(because: string): Promise<void> {
    this.#let = true;
    await asLoginRole(
      this.#session,
      `select pg_catalog.pg_cancel_backend(pid) as cancelled from pg_catalog.pg_stat_activity
        where application_name = ${quoteLiteral(builderNames(this.#build)[1])}
          and datname = pg_catalog.current_database() and usename = session_user`,
    );
    await this.#attached.session.ended;
    await this.#record(neverInTime(`${this.#attached.because}; ${because}`));
  }

  async #record(fault: PostgresFault | undefined): Promise<void> {
    const { id, attempts } = this.#build;
    await recordAttemptOutcome(this.#session, this.#ledgerSchema, { id, attempts: attempts + 1, fault });
  }
}

function neverInTime(because: string): PostgresFault {
  const mend = because.includes('IAM authentication')
    ? 'Give the migrations a user with a password (the prop secret)'
    : because.includes('extension dblink')
      ? 'Create the extension dblink (create extension dblink)'
      : 'Let the server connect to itself by dblink (the reason above says what keeps it from that: pg_hba.conf, a right, a password)';
  return {
    // feature_not_supported: no retry can succeed.
    sqlstate: sqlstate.featureNotSupported,
    message: `the build needs longer than one invocation, and nothing here keeps it alive without us: ${because}`,
    hint: `${mend} and retry, or build it from the command line, which may hold its session as long as it takes: npx cdk-postgres-migrations up.`,
  };
}
