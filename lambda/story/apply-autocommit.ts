import type { AutocommitStep } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { PendingStep } from '../migration/plan.ts';
import { insertStep, setStepState } from '../postgres/ledger.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/quote.ts';
import type { Session } from '../postgres/session.ts';
import { cleanSession, stepRow } from '../postgres/step-script.ts';
import { type BatchContext, LedgerMoved, TimeUp } from './apply-batch.ts';
import { statementFailed } from './statement-failed.ts';

/** Seconds that must be left to begin a statement that no transaction can undo. */
const LEAST_SECONDS = 5;

/**
 * Runs a statement that commits by itself. Its row says `started` before and `applied` after, so that a run which
 * dies in between leaves a trace: the next one asks the catalog whether it happened, or asks an operator.
 */
export async function applyAutocommit(
  session: Session,
  { pending, step }: { pending: PendingStep; step: AutocommitStep },
  context: BatchContext,
): Promise<void> {
  const { ledgerSchema, runId, signal } = context;
  signal?.throwIfAborted();
  const { version } = pending.migration;
  const budget = context.deadline === undefined ? 0 : context.deadline - Date.now();
  if (context.deadline !== undefined && budget < LEAST_SECONDS * 1000) throw new TimeUp();
  if (pending.record === 'interrupted') {
    if (await hasHappened(session, pending, step)) {
      await sendOwn(session, setStepState(ledgerSchema, { version, step: step.number }, 'applied'));
      return;
    }
  } else {
    await sendOwn(session, insertStep(ledgerSchema, stepRow(pending), { state: 'started', runId }));
  }
  const prepared = await session.script(
    [`set statement_timeout = ${Math.max(0, Math.floor(budget))}`, ...step.settings].join(';\n'),
  );
  const { fault } = prepared.fault === undefined ? await session.script(step.statement.text) : prepared;
  await session.script(cleanSession(context.sessionSettings).join(';\n'));
  if (fault !== undefined) {
    await sendOwn(session, forget(ledgerSchema, pending));
    throw statementFailed(
      { step: pending, statement: step.statement, text: step.statement.text, claim: false, offset: 0 },
      fault,
      { applied: context.appliedSoFar() },
    );
  }
  await sendOwn(session, setStepState(ledgerSchema, { version, step: step.number }, 'applied'));
  // DISCARD ALL gives up the run lock among everything else.
  if (step.statement.kind === 'DiscardStmt') throw new LedgerMoved();
}

async function sendOwn(session: Session, text: string): Promise<void> {
  const { fault } = await session.script(text);
  if (fault?.fault.sqlstate === '23505') throw new LedgerMoved();
  if (fault !== undefined) throw fault;
}

function forget(ledgerSchema: string, { migration, step }: PendingStep): string {
  return `delete from ${quoteIdentifier(ledgerSchema)}.step
 where version = ${quoteLiteral(migration.version)} and step = ${step.number} and state = 'started'`;
}

const CATALOGS = {
  database: 'select 1 as found from pg_catalog.pg_database where datname = $1',
  tablespace: 'select 1 as found from pg_catalog.pg_tablespace where spcname = $1',
  subscription: 'select 1 as found from pg_catalog.pg_subscription where subname = $1',
} as const;

async function hasHappened(
  session: Session,
  pending: PendingStep,
  { recovery }: AutocommitStep,
): Promise<boolean> {
  switch (recovery.kind) {
    case 'repeat':
      return false;
    case 'exists':
    case 'absent': {
      const found = (await session.query(CATALOGS[recovery.object], [recovery.name])).length > 0;
      return found === (recovery.kind === 'exists');
    }
    case 'ask':
      throw interrupted(pending);
    default:
      return recovery satisfies never;
  }
}

function interrupted({ migration, step }: PendingStep): MigrationError {
  const [statement] = step.kind === 'autocommit' ? [step.statement] : [];
  return new MigrationError({
    code: 'interrupted-step',
    what: 'A run died while it carried out this statement, which commits by itself; whether it happened can not be told.',
    place:
      statement === undefined
        ? undefined
        : { file: migration.file, position: statement.position, statement: statement.text },
    applied: 'the steps before this one.',
    next: `look at the database, then say so with the action repair: version ${migration.version}, step ${step.number + 1}, as "applied" or "not-applied"; then run again.`,
  });
}
