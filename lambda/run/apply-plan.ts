import { refuse } from '../foresight/deploy-finding.ts';
import { lintAtDeploy } from '../foresight/deploy-lint.ts';
import { asksOfTables, factsFor, routeOfStep, TableKnowledge } from '../foresight/table-knowledge.ts';
import type { Mirror } from '../history/mirror.ts';
import type { Backfill } from '../migration/backfill.ts';
import { kindOf, nameOf, type RecordedBuild } from '../migration/build.ts';
import { type LongStatement, statementsOf } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { PendingStep, Plan } from '../migration/plan.ts';
import { routeOfLong } from '../migration/route.ts';
import { sqlstate } from '../migration/sqlstate.ts';
import { queuesUp, waitOf } from '../migration/waiting.ts';
import { findWalks } from '../postgres/catalog/walks.ts';
import { workTarget } from '../postgres/catalog/work-target.ts';
import { forgetWalks } from '../postgres/ledger/backfill-rows.ts';
import { must } from '../postgres/ledger/ledger-write.ts';
import { asRecorded, insertBuild, newWork } from '../postgres/ledger/new-build.ts';
import { releaseRunLock } from '../postgres/ledger/run-lock.ts';
import { finishRun, type RunSummary } from '../postgres/ledger/run-rows.ts';
import { SessionLost } from '../postgres/session/fault.ts';
import { Notices } from '../postgres/session/notices.ts';
import type { Session } from '../postgres/session/session.ts';
import { watched } from '../postgres/session/watchdog.ts';
import { applyAutocommit } from './apply-autocommit.ts';
import { applyBatch, type BatchContext, LedgerMoved, TimeUp } from './apply-batch.ts';
import { cancelledBySignal } from './cancelled-by-signal.ts';
import { buildsOf } from './hand-off-step.ts';
import type { AppliedStep, RunResult } from './run.ts';
import type { RunLog } from './run-log.ts';
import type { ScriptStep } from './step-script.ts';

/** Steps that travel in one message. Larger messages save little, and cost more when one is lost. */
const MOST_STEPS = 50;
const MOST_CHARACTERS = 512 * 1024;

interface Applying {
  readonly planned: Plan;
  readonly run: RunLog;
  readonly sessionSettings: readonly string[];
  /** Pid of the session's server process. */
  readonly backend: number;
  /** Writes the other tool's history table. */
  readonly mirror?: Mirror | undefined;
}

/** Applies what is pending, under the run lock, and records how the run ended, also where it failed. */
export async function applyPlan(session: Session, applying: Applying): Promise<RunResult> {
  const { run, backend } = applying;
  try {
    const result = await cancelledBySignal(run.request, backend, () =>
      watched(session, { ...run.request, backend }, () => new PlanInProgress(session, applying).apply()),
    );
    await finish(session, run, run.summary(result));
    return result;
  } catch (error) {
    if (!(error instanceof LedgerMoved) && !(error instanceof SessionLost)) {
      await finish(session, run, run.failure(error)).catch(() => {
        run.recorded = false;
      });
    }
    throw error;
  }
}

async function finish(session: Session, run: RunLog, summary: RunSummary): Promise<void> {
  const { ledgerSchema } = run.request.options;
  const send = (end: RunSummary) =>
    must(session, `${finishRun(ledgerSchema, run.runId, end)};\n${releaseRunLock(ledgerSchema)}`);
  try {
    await send(summary);
  } catch (error) {
    // A run whose end is not recorded would count as one under way.
    if (!isUntranslatable(error)) throw error;
    await send({ ...summary, summary: inAscii(summary.summary) });
  }
}

/** The database's encoding lacks a character, such as one of a file's name. */
function isUntranslatable(error: unknown): boolean {
  return (
    error instanceof MigrationError && error.details.fault?.sqlstate === sqlstate.untranslatableCharacter
  );
}

function inAscii(summary: object): object {
  return JSON.parse(JSON.stringify(summary).replace(/[^\x20-\x7e]/g, '?'));
}

class PlanInProgress {
  readonly #session: Session;
  readonly #planned: Plan;
  readonly #run: RunLog;
  readonly #knowledge: TableKnowledge;
  readonly #context: BatchContext;
  readonly #builds: RecordedBuild[];
  #batch: ScriptStep[] = [];
  #batchCharacters = 0;
  #sent: Promise<void> | undefined;

  constructor(session: Session, { planned, run, sessionSettings, mirror }: Applying) {
    const { options, deadline, shortened = false, report, signal } = run.request;
    this.#session = session;
    this.#planned = planned;
    this.#run = run;
    this.#builds = [...planned.builds];
    this.#knowledge = new TableKnowledge(session, options.smallTableRows);
    this.#context = {
      ledgerSchema: options.ledgerSchema,
      runId: run.runId,
      mirror,
      sessionSettings,
      deadline,
      shortened,
      lockTimeoutSeconds: options.lockTimeoutSeconds,
      lockBudgetSeconds: options.lockBudgetSeconds,
      report,
      signal,
      notices: new Notices(report),
      applied: (steps, milliseconds) => this.#took(steps, milliseconds),
      appliedSoFar: () => run.appliedText(),
    };
  }

  async apply(): Promise<RunResult> {
    const { pending } = this.#planned;
    await this.#measureAll();
    try {
      for (const [index, next] of pending.entries()) {
        const wait = waitOf(next, this.#builds);
        if (wait !== undefined) {
          await this.#flush();
          return this.#waiting(next, `${wait.because}, and ${nameOf(wait.build)} is ${wait.build.state}`);
        }
        await this.#apply(next, pending.slice(index));
      }
      await this.#flush();
    } catch (error) {
      if (error instanceof TimeUp) return this.#result('unfinished');
      throw error;
    }
    return this.#result('done');
  }

  /**
   * Looks up, in two round trips, everything that any step will need, and refuses what it must before anything is
   * touched.
   */
  async #measureAll(): Promise<void> {
    const { pending } = this.#planned;
    if (!pending.some(({ step }) => asksOfTables(step))) return;
    await this.#knowledge.measureFirst(pending.map(({ step }) => step));
    await this.#lint(pending);
  }

  async #lint(pending: readonly PendingStep[], applied?: string): Promise<void> {
    const findings = await lintAtDeploy(this.#session, pending, {
      knowledge: this.#knowledge,
      options: this.#run.request.options,
      builds: this.#builds,
      largeIndexes: 'left to the loop',
    });
    if (findings.length > 0) this.#run.request.report({ kind: 'linted', findings });
    refuse(findings, applied);
  }

  /** An earlier file may have created what the lookup needs: a role, a privilege, a setting. */
  async #lintWhatWasUnknown(next: PendingStep): Promise<void> {
    if (!this.#knowledge.wasUnknown(next.step)) return;
    await this.#flush();
    await this.#knowledge.measureUnknown(next.step);
    await this.#lint([next], this.#run.appliedText());
  }

  async #apply(next: PendingStep, rest: readonly PendingStep[]): Promise<void> {
    const { step } = next;
    await this.#lintWhatWasUnknown(next);
    if (await this.#handsOff(next)) return;
    switch (step.kind) {
      case 'transaction':
        return this.#enqueue({ pending: next, handOff: undefined });
      case 'autocommit': {
        await this.#flush();
        const begun = Date.now();
        await applyAutocommit(this.#session, { pending: next, step }, this.#context);
        this.#took([{ pending: next, handOff: undefined }], Date.now() - begun);
        this.#knowledge.follow(step);
        return;
      }
      case 'index-operation':
        return this.#applyIndexOperation(next, rest);
      default:
        return step satisfies never;
    }
  }

  /** A long statement, which the loop carries unless its table is new or small; true where it was handed off. */
  async #handsOff(next: PendingStep): Promise<boolean> {
    const { step } = next;
    if (step.kind === 'index-operation' || step.long === undefined) return false;
    const { long, settings } = step;
    const { options, runId } = { ...this.#run.request, runId: this.#run.runId };
    // Earlier code has run a part of it.
    const isBegun = next.record === 'interrupted' && long.backfill !== undefined;
    const inline = options.indexStrategy === 'inline' && long.backfill === undefined;
    if (!isBegun && (inline || this.#isNew(long))) return false;
    // A step still on its way may create or fill its target.
    await this.#flush();
    const target = await workTarget(this.#session, long, { limit: options.smallTableRows, settings });
    const facts = {
      strategy: options.indexStrategy,
      smallTableRows: options.smallTableRows,
      queuesUp: queuesUp(step, this.#builds),
      rows: target?.rows,
    };
    if (!isBegun && routeOfLong(long, facts) === 'inline') return false;
    if (long.backfill !== undefined) await this.#checkWalks(next, long.backfill);
    const { ledgerSchema } = options;
    const work = newWork(next, { long, target, runId });
    const handOff = [...(isBegun ? [] : [forgetWalks(ledgerSchema, work)]), insertBuild(ledgerSchema, work)];
    await this.#enqueue({ pending: next, handOff });
    this.#builds.push(asRecorded(work));
    return true;
  }

  /** Refuses what only the database can tell, before the first row is touched. */
  async #checkWalks({ migration, step }: PendingStep, backfill: Backfill): Promise<void> {
    const because = await findWalks(this.#session, { backfill, settings: step.settings });
    const [statement] = statementsOf(step);
    if (typeof because !== 'string' || statement === undefined) return;
    throw new MigrationError({
      code: 'backfill-refused',
      what: `This statement can't be done in batches: ${because}.`,
      place: { file: migration.file, position: statement.position, statement: statement.text },
      applied: `${this.#run.appliedText()}; nothing of this statement.`,
      next: 'see docs/backfills.md for what a backfill needs; without the directive it runs as one statement.',
    });
  }

  /** A view may be new while the tables under it are not. */
  #isNew({ relation, handOff, operation }: LongStatement): boolean {
    if (relation === undefined || handOff || kindOf(operation) === 'refresh') return false;
    return this.#knowledge.isNew(relation);
  }

  async #applyIndexOperation(next: PendingStep, rest: readonly PendingStep[]): Promise<void> {
    const { step } = next;
    if (step.kind !== 'index-operation') return;
    const { options } = this.#run.request;
    let facts = factsFor(this.#knowledge, step);
    if (!facts.known) {
      await this.#flush();
      await this.#knowledge.measureAgain(rest.map((pending) => pending.step));
      facts = factsFor(this.#knowledge, step);
    }
    const route = routeOfStep(step, { knowledge: this.#knowledge, options, builds: this.#builds });
    if (route === 'inline') return this.#enqueue({ pending: next, handOff: undefined });
    if (facts.createdByRun) {
      // Work of the new table is pending, and this one has to find the table.
      await this.#flush();
      await this.#knowledge.measureAgain([step]);
      facts = factsFor(this.#knowledge, step);
    }
    await this.#sent;
    const builds = await buildsOf(this.#session, {
      pending: next,
      step,
      tables: facts.tables,
      builds: this.#builds,
      runId: this.#run.runId,
    });
    const { ledgerSchema } = options;
    await this.#enqueue({ pending: next, handOff: builds.map((build) => insertBuild(ledgerSchema, build)) });
    this.#builds.push(...builds.map(asRecorded));
  }

  async #enqueue(step: ScriptStep): Promise<void> {
    const characters = step.pending.step.kind === 'transaction' ? sizeOf(step.pending) : 1_000;
    if (this.#batch.length >= MOST_STEPS || this.#batchCharacters + characters > MOST_CHARACTERS)
      await this.#send();
    this.#batch.push(step);
    this.#batchCharacters += characters;
    this.#knowledge.follow(step.pending.step);
  }

  /** Sends the collected steps once the previous message is done; the next steps are collected meanwhile. */
  async #send(): Promise<void> {
    const batch = this.#batch;
    this.#batch = [];
    this.#batchCharacters = 0;
    await this.#sent;
    if (batch.length === 0) return;
    this.#sent = applyBatch(this.#session, batch, this.#context);
    // Its error is thrown where it is awaited, before anything else is sent.
    this.#sent.catch(() => undefined);
  }

  /** Everything before is applied: the session is free for other queries. */
  async #flush(): Promise<void> {
    await this.#send();
    await this.#sent;
  }

  #took(steps: readonly ScriptStep[], milliseconds: number): void {
    const applied = steps.map(
      ({ pending, handOff }): AppliedStep => ({
        migration: pending.migration,
        step: pending.step.number,
        how:
          handOff !== undefined
            ? 'handed off'
            : pending.step.kind === 'index-operation'
              ? 'inline'
              : pending.step.kind,
      }),
    );
    this.#run.applied.push(...applied);
    this.#run.request.report({ kind: 'applied', steps: applied, milliseconds });
  }

  #waiting({ migration, step }: PendingStep, because: string): RunResult {
    this.#run.request.report({ kind: 'waiting-for-builds', file: migration.file, because });
    return { ...this.#result('waiting'), waiting: { file: migration.file, step: step.number, because } };
  }

  #result(outcome: RunResult['outcome']): RunResult {
    const { runId, applied } = this.#run;
    return { runId, outcome, applied, builds: this.#builds, waiting: undefined, idle: undefined };
  }
}

function sizeOf({ step }: PendingStep): number {
  return step.kind === 'transaction' ? step.statements.reduce((sum, { text }) => sum + text.length, 300) : 0;
}
