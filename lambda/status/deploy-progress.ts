import { describeBuild, isLost, isOpen, type RecordedBuild } from '../migration/build.ts';
import type { CompiledMigrations } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { plan } from '../migration/plan.ts';
import { type RowValues, textOf } from '../migration/row-values.ts';
import { waitsOf } from '../migration/waiting.ts';
import { describeBlocker } from '../postgres/catalog/blockers.ts';
import { readAllBuilds } from '../postgres/ledger/build-rows.ts';
import { readLedger } from '../postgres/ledger/ledger.ts';
import { withSession } from '../postgres/session/connect.ts';
import type { ConnectionTarget } from '../postgres/session/connection-target.ts';
import { textOfError } from '../postgres/session/fault.ts';
import type { Session } from '../postgres/session/session.ts';
import { type ProgressSeen, seeProgress } from '../work/turn/build-progress.ts';
import { describeLost } from '../work/turn/settle.ts';

/** `idle`: steps are pending that wait for nobody, so a run has to continue with them. */
export type DeployProgress =
  | { readonly kind: 'idle' }
  /** `open`: there are builds that the deploy does not wait for, but that need the loop. */
  | { readonly kind: 'complete'; readonly open: boolean }
  | {
      readonly kind: 'in-progress';
      readonly builds: readonly string[];
      readonly waiting: string | undefined;
    };

interface DeployRequest {
  readonly options: MigrationOptions;
  readonly migrations: CompiledMigrations;
}

/** The framework asks again in a few seconds, so an unreachable server is not waited for here. */
const PATIENCE_SECONDS = 10;

/** How far a deploy is, by its `waitFor`. Throws if something that it waits for has failed. */
export async function deployProgress(
  target: ConnectionTarget,
  { options, migrations }: DeployRequest,
): Promise<DeployProgress> {
  const look = async (session: Session): Promise<DeployProgress> => {
    const { ledger, format } = await readLedger(session, options.ledgerSchema);
    const { pending, builds } = plan(migrations.migrations, ledger);
    const [next] = pending;
    const waits = next !== undefined && waitsOf(next, builds).length > 0;
    // With `nothing` it waits for no build; steps that need no build are applied all the same.
    if (options.waitFor === 'nothing' && waits) return { kind: 'complete', open: builds.some(isOpen) };
    const needed = new Set(
      waits ? pending.flatMap((step) => waitsOf(step, builds).map(({ build }) => build)) : [],
    );
    if (options.waitFor === 'index-builds') {
      for (const build of ofThisCode(builds, migrations)) needed.add(build);
    }
    const lost = [...needed].filter(isLost);
    if (lost.length > 0) throw failed(lost, await describeLost(session, options.ledgerSchema, lost));
    if (next !== undefined && !waits) return { kind: 'idle' };
    if (needed.size === 0) return { kind: 'complete', open: builds.some(isOpen) };
    return {
      kind: 'in-progress',
      builds: await describeAll(session, { ledgerSchema: options.ledgerSchema, format }, [...needed]),
      waiting: next?.migration.file,
    };
  };
  return withSession(target, look, { patienceSeconds: PATIENCE_SECONDS });
}

/** `i on public.messages: building index: scanning table, 31 %, 40 s left`, or whom it waits for. */
async function describeAll(
  session: Session,
  { ledgerSchema, format }: { readonly ledgerSchema: string; readonly format: number },
  needed: readonly RecordedBuild[],
): Promise<string[]> {
  const ids = new Set(needed.map(({ id }) => id));
  const builds = (await readAllBuilds(session, ledgerSchema, format)).filter(({ id }) => ids.has(id));
  const lines: string[] = [];
  for (const build of builds) {
    const seen = await seeProgress(session, ledgerSchema, build);
    lines.push(`${describeBuild(build)}: ${seen === undefined ? build.state : describeSeen(seen)}`);
  }
  return lines;
}

function describeSeen({ phase, fraction, secondsLeft, blocker }: ProgressSeen): string {
  const parts = [phase];
  if (fraction !== undefined) parts.push(`${Math.round(fraction * 100)} %`);
  if (secondsLeft !== undefined) parts.push(`${Math.round(secondsLeft)} s left`);
  if (blocker !== undefined) parts.push(`waits for ${describeBlocker(blocker)}`);
  return parts.join(', ');
}

/** After a rollback, the deploy does not wait for builds of newer code. */
function ofThisCode(builds: readonly RecordedBuild[], { migrations }: CompiledMigrations): RecordedBuild[] {
  const known = new Set(migrations.map(({ version }) => version));
  return builds.filter(({ version }) => known.has(version));
}

/** The error of a deploy that has waited as long as CloudFormation allows. */
export function stillRunning(progress: DeployProgress): MigrationError {
  const what = progress.kind === 'in-progress' ? progress.builds.join('; ') : 'migrations';
  return new MigrationError({
    code: 'deploy-outlasted',
    what: `This deploy waited as long as CloudFormation allows; still running: ${what}.`,
    applied: 'every step before the ones that wait; the index builds continue in the database.',
    next: 'deploy again when they are valid (action status tells), or choose waitFor: "nothing"; nothing has to be started by hand.',
  });
}

/** The error of a deploy that has waited as long as it may, and whose last look failed. */
export function outOfSight(error: unknown): MigrationError {
  const said = error instanceof MigrationError ? error.details : undefined;
  const what = (rows: RowValues) => (said === undefined ? textOfError(error, rows) : textOf(said.what, rows));
  return new MigrationError({
    code: 'deploy-outlasted',
    what: (rows) =>
      `This deploy waited as long as CloudFormation allows, and its last look failed: ${what(rows)}`,
    fault: said?.fault,
    applied: 'what the status shows: the first run finished, and index builds continue in the database.',
    next: (rows) =>
      `${textOf(said?.next ?? 'see why the database could not be asked.', rows)} Then deploy again; what was applied stays.`,
    cause: error,
  });
}

function failed(lost: readonly RecordedBuild[], described: (rows: RowValues) => string): MigrationError {
  const next = lost.some(({ state }) => state === 'failed')
    ? 'fix the cause, then deploy again: the failed builds are tried again.'
    : 'send {"action": "retry"}, then deploy again.';
  return new MigrationError({
    code: 'index-builds-failed',
    what: (rows) => described(rows).split('\n')[0] ?? '',
    applied: 'every step before the ones that wait for this build.',
    next: (rows) => [...described(rows).split('\n').slice(1), next].join('\n'),
  });
}
