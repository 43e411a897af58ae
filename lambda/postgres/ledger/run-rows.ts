import { textOfError } from '../session/fault.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { workTableNow } from './ledger.ts';

/** A run, as stored in the ledger. */
export interface RunRow {
  readonly id: string;
  readonly action: string;
  readonly cause: string;
  readonly actor: string;
  readonly startedAt: Date;
}

export type RunOutcome = 'done' | 'waiting' | 'unfinished' | 'failed';

/** What the run did and how it ended, for a person who reads the ledger. */
export interface RunSummary {
  readonly outcome: RunOutcome;
  readonly summary: object;
}

/** A run's error: in full for readers of the ledger, and without row values for logs and histories. */
export function failureIn(error: unknown): { readonly error: string; readonly plainError: string } {
  return { error: textOfError(error, 'shown'), plainError: textOfError(error, 'hidden') };
}

export function insertRun(ledgerSchema: string, run: RunRow): string {
  return `insert into ${quoteIdentifier(ledgerSchema)}.run (id, action, cause, actor, started_at) values (${values(run)}) on conflict (id) do nothing`;
}

/**
 * For a run that had nothing to do: start and end in one round trip. A run that lost its connection may find nothing to
 * do after reconnecting, and is recorded already.
 */
export function insertFinishedRun(
  ledgerSchema: string,
  run: RunRow,
  { outcome, summary }: RunSummary,
): string {
  return `insert into ${quoteIdentifier(ledgerSchema)}.run as run (id, action, cause, actor, started_at, finished_at, outcome, summary)
values (${values(run)}, pg_catalog.clock_timestamp(), ${quoteLiteral(outcome)}, ${quoteLiteral(JSON.stringify(summary))}::jsonb)
on conflict (id) do update set finished_at = excluded.finished_at, outcome = excluded.outcome, summary = excluded.summary
 where run.finished_at is null`;
}

export function finishRun(ledgerSchema: string, id: string, { outcome, summary }: RunSummary): string {
  return `update ${quoteIdentifier(ledgerSchema)}.run
   set finished_at = pg_catalog.clock_timestamp(), outcome = ${quoteLiteral(outcome)}, summary = ${quoteLiteral(JSON.stringify(summary))}::jsonb
 where id = ${quoteLiteral(id)}`;
}

function values({ id, action, cause, actor, startedAt }: RunRow): string {
  return [id, action, cause, actor, startedAt.toISOString()].map(quoteLiteral).join(', ');
}

/** Whether a run has failed and no build has become valid since. */
export async function failedSinceLastBuild(session: Session, ledgerSchema: string): Promise<boolean> {
  const s = quoteIdentifier(ledgerSchema);
  const rows = await session.query(
    `select from ${s}.run
      where (action = 'run' or cause = 'loop') and outcome = 'failed'
        and finished_at >= coalesce((select pg_catalog.max(finished_at) from ${await workTableNow(session, ledgerSchema)} where state = 'done'),
                                    '-infinity'::timestamptz)
      limit 1`,
  );
  return rows.length > 0;
}
