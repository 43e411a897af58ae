import type { PostgresFault } from '../../migration/postgres-fault.ts';
import type { Build, SessionKind } from '../../work/build.ts';
import { quoteIdentifier } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { ENDED_AT, stateIs } from './columns.ts';

/**
 * Records an attempt before anything is sent: if we die right after, the next turn knows that a builder may be about to
 * appear. False if another turn was faster.
 */
export async function beginAttempt(
  session: Session,
  ledgerSchema: string,
  { build, kind }: { build: Build; kind: SessionKind },
): Promise<boolean> {
  const rows = await session.query(
    `update ${quoteIdentifier(ledgerSchema)}.work
        set state = 'building', attempts = attempts + 1, session = $3, started_at = pg_catalog.clock_timestamp(),
            first_started_at = coalesce(first_started_at, pg_catalog.clock_timestamp()),
            blocker = null, blocker_since = null, waits_since = null,
            attempt_outcome = null, supervisor_pid = null, builder_pid = null, seen_at = null
      where id = $1 and attempts = $2 and state = $4
  returning id`,
    [build.id, build.attempts, kind, build.state],
  );
  return rows.length === 1;
}

/** Starts the pause before the next attempt; keeps the outcome of the last one. */
export async function pauseAttempts(session: Session, ledgerSchema: string, build: Build): Promise<void> {
  await session.query(
    `update ${quoteIdentifier(ledgerSchema)}.work
        set state = 'pending', started_at = pg_catalog.clock_timestamp()
      where id = $1 and attempts = $2 and state = 'building'`,
    [build.id, build.attempts],
  );
}

/** Records that the attempt continues in another kind of session. */
export async function setSessionKind(
  session: Session,
  ledgerSchema: string,
  { id, kind, pid }: { id: string; kind: SessionKind; pid: number },
): Promise<void> {
  await session.query(
    `update ${quoteIdentifier(ledgerSchema)}.work set session = $2, builder_pid = $3 where id = $1`,
    [id, kind, pid],
  );
}

/** A build that continues without us, and so without anybody to record its end, was seen at work now. */
export async function noteSeen(
  session: Session,
  ledgerSchema: string,
  { build: { id, session: kind }, pid }: { build: Build; pid: number | undefined },
): Promise<void> {
  if (pid === undefined || kind === 'loopback') return;
  await session.query(
    `update ${quoteIdentifier(ledgerSchema)}.work set seen_at = pg_catalog.clock_timestamp()
      where id = $1 and builder_pid = $2 and attempt_outcome is null`,
    [id, pid],
  );
}

interface AttemptEnd {
  readonly id: string;
  readonly attempts: number;
  readonly fault: PostgresFault | undefined;
  /** As Postgres writes it. @default now */
  readonly endedAt?: string;
}

/** Records the outcome of a session whose end we see; the supervisor of a loopback session does it itself. */
export async function recordAttemptOutcome(
  session: Session,
  ledgerSchema: string,
  { id, attempts, fault, endedAt }: AttemptEnd,
): Promise<void> {
  const outcome = fault === undefined ? { kind: 'succeeded' } : { kind: 'failed', fault };
  await session.query(
    `update ${quoteIdentifier(ledgerSchema)}.work set attempt_outcome = $3::jsonb || pg_catalog.jsonb_build_object('endedAt', coalesce($4::timestamptz, pg_catalog.clock_timestamp()))
      where id = $1 and attempts = $2 and state = 'building'`,
    [id, attempts, JSON.stringify(outcome), endedAt],
  );
}

export type BuildEnd =
  | { readonly state: 'done'; readonly adopted: boolean }
  /** `refused`: now, whenever the newest attempt ended. */
  | { readonly state: 'failed'; readonly fault: PostgresFault; readonly refused?: boolean };

/** Ends a build and, with its last build, its step: in one statement, so that neither is visible without the other. */
export async function endBuild(session: Session, ledgerSchema: string, build: Build, end: BuildEnd) {
  const s = quoteIdentifier(ledgerSchema);
  await session.query(
    `with ended as (
       update ${s}.work
          set state = $2, fault = $3::jsonb, adopted = $4,
                 finished_at = coalesce(case when not $5::boolean then ${ENDED_AT} end, pg_catalog.clock_timestamp())
        where id = $1 and ${stateIs('open')}
    returning version, step
     ), others as (
       select pg_catalog.count(*) filter (where ${stateIs('open', 'b')}) as unfinished,
              pg_catalog.count(*) filter (where ${stateIs('lost', 'b')}) as failed
         from ended join ${s}.work b on b.version = ended.version and b.step = ended.step and b.id <> $1
     )
     update ${s}.step
        set state = case when others.unfinished > 0 then 'pending'
                         when others.failed > 0 or $2 = 'failed' then 'failed'
                         else 'applied' end,
            finished_at = pg_catalog.clock_timestamp()
       from ended, others
      where step.version = ended.version and step.step = ended.step`,
    [
      build.id,
      end.state,
      end.state === 'failed' ? JSON.stringify(end.fault) : null,
      end.state === 'done' && end.adopted,
      end.state === 'failed' && end.refused === true,
    ],
  );
}

/**
 * Marks a build as cancelled, and the builds of its partitions with it, so that no turn takes it up again. Its step
 * counts as failed, so that whatever needs the index keeps waiting. Returns the marked builds.
 */
export async function markCancelled(session: Session, ledgerSchema: string, id: string): Promise<string[]> {
  const s = quoteIdentifier(ledgerSchema);
  const rows = await session.query(
    `with marked as (
       update ${s}.work set state = 'cancelled', finished_at = pg_catalog.clock_timestamp()
        where (id = $1 or parent_build = $1) and ${stateIs('open')}
    returning id, version, step
     ), steps as (
       update ${s}.step set state = 'failed', finished_at = pg_catalog.clock_timestamp()
         from marked where step.version = marked.version and step.step = marked.step
     )
     select id::text as id from marked`,
    [id],
  );
  return rows.map((row) => String(row.id));
}
