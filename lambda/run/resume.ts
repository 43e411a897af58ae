import { isOpen } from '../migration/build.ts';
import { FolderRefused } from '../migration/folder-policy.ts';
import { MigrationError } from '../migration/migration-error.ts';
import { DriftError } from '../migration/plan.ts';
import type { ResumeResult } from '../work/loop-task.ts';
import { keepForEarlierCode } from './earlier-code.ts';
import type { RunEnd, RunRequest } from './run.ts';
import { runMigrations } from './run-migrations.ts';

/** Errors that come from the migrations themselves: no retry of the loop can fix them, and the ledger has them. */
const SETTLED = new Set([
  'statement-failed',
  'drift',
  'late-migration',
  'missing-migration',
  'plain-create-index',
  'lint-refused',
  'interrupted-step',
  'reindex-too-wide',
]);

/**
 * Applies the steps that waited for builds. A failure is recorded with the run, and reported by settle. An error that
 * the loop retries does not end the run; `heard` is called only when the run ends.
 */
export async function resume(
  request: RunRequest,
  heard: (end: RunEnd) => void = () => {},
): Promise<ResumeResult> {
  try {
    const result = await runMigrations(request);
    heard({ kind: 'ended', result });
    const open = result.builds.some(isOpen);
    return { outcome: open || result.outcome === 'unfinished' ? 'more' : 'settled' };
  } catch (error) {
    // After a rollback the loop runs with earlier code, whose files newer code may have rewritten.
    const kept =
      error instanceof DriftError || error instanceof FolderRefused
        ? await keepForEarlierCode(request)
        : undefined;
    if (!(error instanceof MigrationError && SETTLED.has(error.code))) throw error;
    heard(kept === undefined ? { kind: 'failed', error } : { kind: 'kept', runId: kept });
    return { outcome: 'settled' };
  }
}
