import type { AutocommitStep } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { PendingStep } from '../migration/plan.ts';
import { inTheWay, sqlstate } from '../migration/sqlstate.ts';
import { createsDblink, makeRoomForDblink } from '../postgres/build-session/dblink.ts';
import { forgetRows, insertStep, setStepState } from '../postgres/ledger/ledger.ts';
import { cleanSession } from '../postgres/session/author-settings.ts';
import type { StatementFault } from '../postgres/session/fault.ts';
import { speakerAt } from '../postgres/session/notices.ts';
import { quoteIdentifier, quoteLiteral } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';
import {
  endedByDeadline,
  limitsAgain,
  type StepLimits,
  setLockTimeout,
} from '../postgres/session/statement-limits.ts';
import { type BatchContext, LedgerMoved, TimeUp, TOO_LONG } from './apply-batch.ts';
import { LockWait } from './lock-wait.ts';
import { statementFailed } from './statement-failed.ts';
import { type Piece, statementOfSetting, stepRow } from './step-script.ts';

/** Seconds that must be left to start a statement that no transaction can undo. */
const LEAST_SECONDS = 5;

/**
 * Runs a statement that commits by itself. Its row says `started` before and `applied` after, so that a run that dies
 * in between leaves a trace: the next one asks the catalog whether it happened, or asks an operator. A step whose locks
 * are taken is tried again like a transaction step, if it leaves nothing behind; its row is removed meanwhile.
 */
export async function applyAutocommit(
  session: Session,
  { pending, step }: { pending: PendingStep; step: AutocommitStep },
  context: BatchContext,
): Promise<void> {
  const locks = new LockWait(session, context);
  const { text } = step.statement;
  const piece: Piece = { step: pending, statement: step.statement, text, claim: false, offset: 0 };
  for (;;) {
    context.signal?.throwIfAborted();
    const budget = context.deadline === undefined ? 0 : context.deadline - Date.now();
    if (context.deadline !== undefined && budget < LEAST_SECONDS * 1000) throw new TimeUp();
    const triesAgain = leavesNothing(step);
    const interrupted = pending.record === 'interrupted' && !locks.hasTried(pending);
    const longestWait = context.lockTimeoutSeconds * 1000;
    const wait = triesAgain ? locks.waitOf(pending) : longestWait;
    const limits = {
      wait,
      longestWait,
      budget: context.deadline === undefined ? undefined : budget,
      until: 'session',
    } as const;
    const failed = await attempt(session, { pending, step, interrupted, limits }, context);
    if (failed === undefined) break;
    const { fault, setting } = failed;
    if (setting !== undefined) {
      throw statementFailed({ ...piece, ...setting }, fault, { applied: context.appliedSoFar() });
    }
    if (!triesAgain || !inTheWay.has(fault.fault.sqlstate)) {
      const next = endedByDeadline(fault, context.deadline) ? { next: tooLong(step) } : {};
      throw statementFailed(piece, fault, { applied: context.appliedSoFar(), ...next });
    }
    await locks.untilNextTry(piece, fault);
  }
  // DISCARD ALL releases the run lock, too.
  if (step.statement.kind === 'DiscardStmt') throw new LedgerMoved();
}

/** A statement that commits by itself can't be handed off as it is. */
function tooLong({ statement: { kind } }: AutocommitStep): string {
  if (kind !== 'DoStmt' && kind !== 'CallStmt') return TOO_LONG;
  return TOO_LONG.replace('write', 'take its COMMITs out and write').replace(
    '; or',
    '; or write what it does as one statement under "-- migrate: backfill", which is done in batches (docs/backfills.md); or',
  );
}

interface Attempt {
  readonly pending: PendingStep;
  readonly step: AutocommitStep;
  /** An earlier run died in it. */
  readonly interrupted: boolean;
  readonly limits: StepLimits;
}

interface FailedAttempt {
  readonly fault: StatementFault;
  /** The setting of the file that Postgres refused; the statement was not sent. */
  readonly setting: Pick<Piece, 'text' | 'statement' | 'offset'> | undefined;
}

async function attempt(
  session: Session,
  { pending, step, interrupted, limits }: Attempt,
  { ledgerSchema, runId, sessionSettings, notices, mirror }: BatchContext,
): Promise<FailedAttempt | undefined> {
  const applied = () =>
    sendOwn(
      session,
      [
        setStepState(ledgerSchema, { version: pending.migration.version, step: step.number }, 'applied'),
        ...(mirror?.rowsFor(pending.migration, step) ?? []),
      ].join(';\n'),
    );
  if (pending.record === 'repeated') {
    await sendOwn(
      session,
      ['begin', ...forgetRows(ledgerSchema, { version: pending.migration.version }), 'commit'].join(';\n'),
    );
  }
  if (!interrupted) {
    await sendOwn(session, insertStep(ledgerSchema, stepRow(pending), { state: 'started', runId }));
  } else if (await hasHappened(session, pending, step)) {
    await applied();
    return undefined;
  }
  if (createsDblink(step.statement)) await sendOwn(session, makeRoomForDblink(ledgerSchema));
  const first = [setLockTimeout(limits.wait), `set statement_timeout = ${Math.floor(limits.budget ?? 0)}`];
  const again = step.settings.length === 0 ? [] : [limitsAgain(limits)];
  const prepared = await session.execute([...first, ...step.settings, ...again].join(SEPARATOR));
  const heard = notices.heard(() => speakerAt(pending.migration.file, step, step.statement));
  const { fault } =
    prepared.fault === undefined ? await session.execute(step.statement.text, heard) : prepared;
  await session.execute(cleanSession(sessionSettings).join(';\n'));
  await (fault === undefined ? applied() : sendOwn(session, forget(ledgerSchema, pending)));
  if (fault === undefined) return undefined;
  return {
    fault,
    setting: prepared.fault === undefined ? undefined : settingAt(pending, first, prepared.completed),
  };
}

const SEPARATOR = '\n;\n';

function settingAt(
  { migration, step }: PendingStep,
  first: readonly string[],
  completed: number,
): FailedAttempt['setting'] {
  const number = completed - first.length;
  const text = step.settings[number];
  if (text === undefined) return undefined;
  const before = [...first, ...step.settings.slice(0, number)].map(
    (one) => [...one].length + SEPARATOR.length,
  );
  return {
    text,
    statement: statementOfSetting(migration, step, text),
    offset: before.reduce((sum, length) => sum + length, 0),
  };
}

/**
 * Whether an attempt that found its locks taken has done nothing. False where the author's code commits as it goes, and
 * where DETACH PARTITION CONCURRENTLY may have done its first half, on which a second attempt would fail.
 */
function leavesNothing({ statement: { kind, locks = [] } }: AutocommitStep): boolean {
  if (kind === 'DoStmt' || kind === 'CallStmt') return false;
  if (kind !== 'AlterTableStmt') return true;
  const [altered, ...others] = locks;
  return altered !== undefined && (others.length === 0 || altered.mode !== 'share update exclusive');
}

async function sendOwn(session: Session, text: string): Promise<void> {
  const { fault } = await session.script(text);
  if (fault?.fault.sqlstate === sqlstate.uniqueViolation) throw new LedgerMoved();
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
    what: 'A run died while it carried out this statement, which commits by itself; whether it happened cannot be told.',
    place:
      statement === undefined
        ? undefined
        : { file: migration.file, position: statement.position, statement: statement.text },
    applied: 'the steps before this one.',
    next: `look at the database, then say so with the action repair: version ${migration.version}, step ${step.number + 1}, as "applied" or "not-applied"; then run again.`,
  });
}
