import type { RunEvent } from '../../lambda/run/run.ts';
import type { BuildStatus, Status } from '../../lambda/status/status.ts';
import type { TurnEvent } from '../../lambda/work/turn/turn-request.ts';

/** What one `up` did, collected from its events. */
export class UpRecord {
  readonly #applied = new Map<string, number>();
  readonly #builds = new Set<string>();
  #waiting: { readonly file: string; readonly because: string } | undefined;

  readonly note = (event: RunEvent | TurnEvent): void => {
    switch (event.kind) {
      case 'planned':
        this.#waiting = undefined;
        return;
      case 'waiting-for-builds':
        this.#waiting = { file: event.file, because: event.because };
        return;
      case 'applied':
        this.steps(event.steps.map(({ migration }) => migration.version));
        return;
      case 'turn':
      case 'started':
      case 'progress':
      case 'ended':
        this.#builds.add(event.build.id);
        return;
      case 'linted':
      case 'adopted':
      case 'waiting-for-run':
      case 'ledger-exposed':
      case 'locked':
      case 'reconnecting':
      case 'notice':
      case 'undoing':
        return;
      default:
        event satisfies never;
    }
  };

  /** Versions of files, once for each step that was applied or handed off. */
  steps(versions: readonly string[]): void {
    for (const version of versions) this.#applied.set(version, this.stepsOf(version) + 1);
  }

  builds(builds: readonly BuildStatus[]): void {
    for (const { id } of builds) this.#builds.add(id);
  }

  waits(waiting: { readonly file: string; readonly because: string }): void {
    this.#waiting = waiting;
  }

  get waiting() {
    return this.#waiting;
  }

  /** Of how many files it applied steps. */
  get files(): number {
    return this.#applied.size;
  }

  stepsOf(version: string): number {
    return this.#applied.get(version) ?? 0;
  }

  /** Builds that it was concerned with, and those that are not over. */
  buildsOf({ builds }: Status): BuildStatus[] {
    return builds.filter((build) => this.#builds.has(build.id) || build.state !== 'done');
  }
}
