import { randomUUID } from 'node:crypto';
import { MigrationError } from '../migration/migration-error.ts';
import { readLedger } from '../postgres/ledger/ledger.ts';
import type { RunRow } from '../postgres/ledger/run-rows.ts';
import { withSession } from '../postgres/session/connect.ts';
import { SessionLost } from '../postgres/session/fault.ts';
import { refuseTransactionPooler } from '../postgres/session/pooler.ts';
import { sessionSettingsOf, withRecordedAction } from '../run/hold-run-lock.ts';
import type { RunRequest } from '../run/run.ts';
import { type ChangingAction, recordOf } from './action.ts';

/** Carries out an operator's action under the run lock, and records it with who asked. Throws MigrationError. */
export async function performAction(action: ChangingAction, request: RunRequest): Promise<object> {
  const { options, migrations, cause } = request;
  const { ledgerSchema } = options;
  const row: RunRow = {
    id: randomUUID(),
    action: action.action,
    cause: cause.kind,
    actor: cause.actor,
    startedAt: new Date(),
  };
  await refusePooler(request);
  return withRecordedAction(request, row, async (session, read): Promise<object> => {
    const context = {
      ledgerSchema,
      migrations,
      read,
      runId: row.id,
      sessionSettings: sessionSettingsOf(options),
      lockTimeoutSeconds: options.lockTimeoutSeconds,
      deadline: request.deadline,
      report: request.report,
    };
    // Each record takes the action of its own form, by which it was parsed.
    return recordOf(action.action).perform(session, action as never, context);
  }).catch((error: unknown) => {
    throw error instanceof SessionLost ? connectionLost(action, error) : error;
  });
}

/** Before the run lock is tried: through a transaction-mode pooler it would land on somebody else's session, and stay. */
async function refusePooler({ target, options, patienceSeconds }: RunRequest): Promise<void> {
  await withSession(
    target,
    async (session) => {
      const { direct } = await readLedger(session, options.ledgerSchema);
      if (!direct) await refuseTransactionPooler(session, target);
    },
    { patienceSeconds },
  );
}

function connectionLost({ action }: ChangingAction, error: SessionLost): MigrationError {
  return new MigrationError({
    code: 'connection-lost',
    what: `The connection was lost in the middle of ${action}: ${error.message}.`,
    applied: 'what is recorded; whether a statement that was under way happened is not known.',
    next: 'look at the action status, then send the same action again: it goes on where it stopped.',
    cause: error,
  });
}
