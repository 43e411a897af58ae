import { randomUUID } from 'node:crypto';
import type { Ledger } from '../migration/ledger.ts';
import { DriftError, plan } from '../migration/plan.ts';
import { readLedger } from '../postgres/ledger/ledger.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import { insertFinishedRun } from '../postgres/ledger/run-rows.ts';
import { withSession } from '../postgres/session/connect.ts';
import { quoteIdentifier } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';
import type { RunRequest } from './run.ts';
import { upToDate } from './take-run-lock.ts';

/**
 * CloudFormation does not say that an Update rolls back a failed one, but the ledger tells: this code was deployed
 * before, and other code since. If it has nothing to apply, or the newer code has changed one of its files (it may
 * rewrite a file whose build failed), the database is left as it is: an error here would end in UPDATE_ROLLBACK_FAILED.
 * Returns the id of the run that it records; undefined if a normal run is needed.
 */
export async function keepForEarlierCode(request: RunRequest): Promise<string | undefined> {
  const { ledgerSchema } = request.options;
  return withSession(request.target, async (session) => {
    const read = await readLedger(session, ledgerSchema);
    if (!read.exists) return undefined;
    const { before, newest } = await deployments(session, ledgerSchema, request.migrations.checksum);
    if (!before) return undefined;
    const toDo = whatIsLeft(request, read.ledger);
    if (toDo === 'steps' || (toDo === 'nothing' && newest)) return undefined;
    await upToDate(session, read, request);
    return record(session, request);
  });
}

function whatIsLeft({ migrations }: RunRequest, ledger: Ledger): 'steps' | 'nothing' | 'other files' {
  try {
    return plan(migrations.migrations, ledger, migrations.order).pending.length > 0 ? 'steps' : 'nothing';
  } catch (error) {
    if (error instanceof DriftError) return 'other files';
    throw error;
  }
}

interface Deployments {
  /** This code was deployed with success. */
  readonly before: boolean;
  /** No other code has run since. */
  readonly newest: boolean;
}

async function deployments(session: Session, ledgerSchema: string, checksum: string): Promise<Deployments> {
  const [row] = await session.query(
    `select coalesce(pg_catalog.bool_or(summary ->> 'checksum' = $1 and outcome in ('done', 'waiting')), false) as before,
            coalesce((pg_catalog.array_agg(summary ->> 'checksum' order by started_at desc))[1] = $1, false) as newest
       from ${quoteIdentifier(ledgerSchema)}.run
      where cause = 'cloudformation' and action = 'run' and not coalesce(summary ? 'kept', false)`,
    [checksum],
  );
  return { before: row?.before === true, newest: row?.newest === true };
}

async function record(session: Session, { cause, options, migrations }: RunRequest): Promise<string> {
  const id = randomUUID();
  await must(
    session,
    insertFinishedRun(
      options.ledgerSchema,
      { id, action: 'run', cause: cause.kind, actor: cause.actor, startedAt: new Date() },
      { outcome: 'done', summary: { kept: 'newer code has run since', checksum: migrations.checksum } },
    ),
  );
  return id;
}
