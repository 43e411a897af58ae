import { adopt, doubtful, withAdopted } from '../history/adopt.ts';
import { readLedgerAndHistory } from '../history/read-history.ts';
import type { RecordedBuild } from '../migration/build.ts';
import { folderFaults } from '../migration/folder-policy.ts';
import type { CompiledMigrations, Migration, Step } from '../migration/migration.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { type PendingStep, plan } from '../migration/plan.ts';
import { textOf } from '../migration/row-values.ts';
import type { Stage } from '../migration/stage.ts';
import { type WorkTarget, workTarget } from '../postgres/catalog/work-target.ts';
import { buildRate } from '../postgres/ledger/build-history.ts';
import { exposureOf, unwritableError } from '../postgres/ledger/ledger.ts';
import { withSession } from '../postgres/session/connect.ts';
import type { ConnectionTarget } from '../postgres/session/connection-target.ts';
import { StatementFault } from '../postgres/session/fault.ts';
import type { Session } from '../postgres/session/session.ts';
import type { DeployFinding } from './deploy-finding.ts';
import { DeployRefused } from './deploy-finding.ts';
import { lintAtDeploy } from './deploy-lint.ts';
import { Foresight, type StepPlan } from './foresight.ts';
import { plannedBackfills } from './planned-backfills.ts';
import { TableKnowledge } from './table-knowledge.ts';

/** What a run would do, step by step. Writes nothing. */
export interface RunPlan {
  readonly files: readonly FilePlan[];
  /** The same in order of execution: what waits for what, which tables build side by side. */
  readonly stages: readonly Stage[];
  /** What the linter finds in the real database. */
  readonly findings: readonly PlanFinding[];
  /** Why the run would stop before it touched anything. */
  readonly refused: string | undefined;
  /** Why others could change what the ledger says, and with it what is executed. */
  readonly exposure?: string | undefined;
  /** Builds that are under way or failed. */
  readonly builds: readonly RecordedBuild[];
  /** What another tool's history says is applied, and a run adopts. */
  readonly adopted: readonly string[];
  /** Of these, the files edited since. */
  readonly edited: readonly string[];
  readonly late: readonly string[];
  readonly reformatted: readonly string[];
  readonly unknown: readonly string[];
}

export interface FilePlan {
  readonly version: string;
  readonly file: string;
  readonly steps: readonly StepPlan[];
}

export interface PlanFinding {
  readonly rule: string;
  /** As of DeployFinding. */
  readonly verdict: DeployFinding['verdict'];
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly what: string;
  readonly next: string;
}

interface PlanRequest {
  readonly options: MigrationOptions;
  readonly migrations: CompiledMigrations;
}

/** Plans against the database as it is. Throws DriftError where an applied file was changed. */
export async function planRun(
  target: ConnectionTarget,
  { options, migrations }: PlanRequest,
): Promise<RunPlan> {
  return withSession(target, async (session) => {
    const { history, ...read } = await readLedgerAndHistory(session, { migrations, options });
    const { exists, format } = read;
    const adoption = adopt(history, migrations, read);
    const ledger = withAdopted(read.ledger, adoption);
    const planned = plan(migrations.migrations, ledger, migrations.order);
    const { pending } = planned;
    const knowledge = new TableKnowledge(session, options.smallTableRows);
    await knowledge.measureTouched(pending.map(({ step }) => step));
    const findings = await lintAtDeploy(session, pending, {
      knowledge,
      options,
      builds: planned.builds,
      largeIndexes: 'included',
    });
    const rate = exists ? await buildRate(session, options.ledgerSchema, format) : undefined;
    const foresight = new Foresight({
      knowledge,
      options,
      smallTableRows: options.smallTableRows,
      rate,
      builds: planned.builds,
      targets: await targetsOf(session, pending, options),
      backfills: await plannedBackfills(session, pending, {
        schema: options.ledgerSchema,
        format: exists ? format : 0,
        batchSeconds: options.backfillBatchSeconds,
      }),
    });
    return {
      files: byFile(pending, foresight),
      stages: foresight.stages(),
      findings: findings.map(toPlanFinding),
      adopted: adoption.applied.map(({ file }) => file),
      edited: adoption.edited.map(({ file }) => file),
      refused:
        (read.unwritable && unwritableError(read.unwritable, options.ledgerSchema, target.user).message) ??
        doubtful(history, adoption)?.message ??
        refusal(findings) ??
        folderFaults(planned, options)[0]?.message,
      exposure: exposureOf(read, options.ledgerSchema),
      builds: planned.builds,
      late: planned.late.map(({ file }) => file),
      reformatted: planned.reformatted.map(({ file }) => file),
      unknown: planned.unknown.map(({ name }) => name),
    };
  });
}

/** The objects of long statements, as a run will look them up; without those that can't be looked up yet. */
async function targetsOf(
  session: Session,
  pending: readonly PendingStep[],
  { smallTableRows: limit }: MigrationOptions,
): Promise<ReadonlyMap<Step, WorkTarget>> {
  const targets = new Map<Step, WorkTarget>();
  for (const { step } of pending) {
    if (step.kind === 'index-operation' || step.long === undefined) continue;
    const { long, settings } = step;
    const target = await workTarget(session, long, { limit, settings }).catch((error: unknown) => {
      if (error instanceof StatementFault) return undefined;
      throw error;
    });
    if (target !== undefined) targets.set(step, target);
  }
  return targets;
}

function byFile(pending: readonly PendingStep[], foresight: Foresight): FilePlan[] {
  const files = new Map<Migration, StepPlan[]>();
  for (const next of pending) {
    const steps = files.get(next.migration) ?? [];
    steps.push(foresight.see(next));
    files.set(next.migration, steps);
  }
  return [...files].map(([{ version, file }, steps]) => ({ version, file, steps }));
}

function toPlanFinding({ rule, verdict, migration, statement, what, next }: DeployFinding): PlanFinding {
  return { rule, verdict, file: migration.file, ...statement.position, what: textOf(what, 'shown'), next };
}

function refusal(findings: readonly DeployFinding[]): string | undefined {
  const [first, ...others] = findings.filter(({ verdict }) => verdict === 'refuse');
  return first === undefined ? undefined : new DeployRefused([first, ...others]).message;
}
