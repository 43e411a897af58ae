import { randomUUID } from 'node:crypto';
import { adopt } from '../history/adopt.ts';
import { Mirror } from '../history/mirror.ts';
import { type History, readLedgerAndHistory } from '../history/read-history.ts';
import { identityOf, renamesOf, withToolNames } from '../migration/identity.ts';
import type { Ledger } from '../migration/ledger.ts';
import type { Migration } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { type LedgerRead, refuseDigits, renameMigrations } from '../postgres/ledger/ledger.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import type { RunRow } from '../postgres/ledger/run-rows.ts';
import { withSession } from '../postgres/session/connect.ts';
import { SessionLost } from '../postgres/session/fault.ts';
import { refuseTransactionPooler } from '../postgres/session/pooler.ts';
import type { Session } from '../postgres/session/session.ts';
import type { RunRequest } from '../run/run.ts';
import { sessionSettingsOf, withRecordedAction } from '../run/take-run-lock.ts';
import { type ChangingAction, recordOf } from './action.ts';

/** Performs an operator's action under the run lock, and records it with who requested it. Throws MigrationError. */
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
  const history = await lookAround(request);
  return withRecordedAction(request, row, async (session, found): Promise<object> => {
    const read = await withNames(session, ledgerSchema, { migrations: migrations.migrations, found });
    const context = {
      ledgerSchema,
      migrations,
      read,
      runId: row.id,
      sessionSettings: sessionSettingsOf(options),
      lockTimeoutSeconds: options.lockTimeoutSeconds,
      deadline: request.deadline,
      report: request.report,
      adoption: adopt(history, migrations, read),
      mirror:
        history !== undefined && options.history === 'mirror'
          ? new Mirror(history, migrations.migrations)
          : undefined,
    };
    // The action was parsed by the schema of this very record.
    return recordOf(action.action).perform(
      session,
      named(action, migrations.migrations, read.ledger) as never,
      context,
    );
  }).catch((error: unknown) => {
    throw error instanceof SessionLost ? connectionLost(action, error) : error;
  });
}

/** A ledger written by an older release knows the migrations by their digits. */
async function withNames(
  session: Session,
  ledgerSchema: string,
  { migrations, found }: { readonly migrations: readonly Migration[]; readonly found: LedgerRead },
): Promise<LedgerRead> {
  const renames = renamesOf(migrations, found.ledger);
  if (renames.length === 0) return found;
  await must(
    session,
    ['begin', ...renameMigrations(ledgerSchema, renames), refuseDigits(ledgerSchema), 'commit'].join(';\n'),
  );
  return { ...found, ledger: withToolNames(migrations, found.ledger) };
}

/** The action, with the migrations that it names as the ledger names them. */
function named(action: ChangingAction, migrations: readonly Migration[], ledger: Ledger): ChangingAction {
  const identity = (text: string) => identityOf(text, migrations, ledger);
  if ('version' in action) return { ...action, version: identity(action.version) };
  return 'to' in action ? { ...action, to: identity(action.to) } : action;
}

/**
 * Comes before the run lock, which a transaction-mode pooler would leave behind on another client's session. Also reads
 * the history table of another tool.
 */
async function lookAround(request: RunRequest): Promise<History | undefined> {
  const { target, patienceSeconds } = request;
  return withSession(
    target,
    async (session) => {
      const { direct, history } = await readLedgerAndHistory(session, request);
      if (!direct) await refuseTransactionPooler(session, target);
      return history;
    },
    { patienceSeconds },
  );
}

function connectionLost({ action }: ChangingAction, error: SessionLost): MigrationError {
  return new MigrationError({
    code: 'connection-lost',
    what: `The connection was lost in the middle of ${action}: ${error.message}.`,
    applied: 'what is recorded; whether a statement that was under way happened is not known.',
    next: 'look at the action status, then send the same action again: it continues where it stopped.',
    cause: error,
  });
}
