import { randomUUID } from 'node:crypto';
import { failureIn, type RunRow, type RunSummary } from '../postgres/ledger/run-rows.ts';
import type { AppliedStep, RunRequest, RunResult } from './run.ts';

/** What one run has done so far, over all of its connections. */
export class RunLog {
  readonly request: RunRequest;
  readonly row: RunRow;
  readonly applied: AppliedStep[] = [];
  /** Whether the ledger has its row; once it has failed, with the error. */
  recorded = false;

  constructor(request: RunRequest) {
    const { kind, actor } = request.cause;
    this.request = request;
    this.row = {
      id: randomUUID(),
      action: kind === 'loop' ? 'resume' : 'run',
      cause: kind,
      actor,
      startedAt: new Date(),
    };
  }

  get runId(): string {
    return this.row.id;
  }

  /** `0001_users … 0004_views by this run (4 files)`, for errors. */
  appliedText(): string {
    const names = this.#names();
    const [first, last] = [names[0], names.at(-1)];
    if (first === undefined) return 'nothing by this run before it';
    if (names.length === 1) return `${first} by this run`;
    return `${first} … ${last} by this run (${names.length} files)`;
  }

  summary({ outcome, builds, waiting }: RunResult): RunSummary {
    return {
      outcome,
      summary: {
        applied: this.#names(),
        steps: this.applied.length,
        builds: builds.length,
        waiting: waiting ?? null,
        checksum: this.request.migrations.checksum,
      },
    };
  }

  failure(error: unknown): RunSummary {
    return {
      outcome: 'failed',
      summary: { applied: this.#names(), steps: this.applied.length, ...failureIn(error) },
    };
  }

  #names(): string[] {
    return [...new Set(this.applied.map(({ migration }) => migration.name))];
  }
}
