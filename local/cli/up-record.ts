import type { RunEvent } from '../../lambda/run/run.ts';
import type { BuildStatus, Status } from '../../lambda/status/status.ts';
import type { TurnEvent } from '../../lambda/work/turn/turn-request.ts';

/** What one `up` did, gathered from what it reports. */
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
        for (const { migration } of event.steps)
          this.#applied.set(migration.version, (this.#applied.get(migration.version) ?? 0) + 1);
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
      case 'locked':
      case 'reconnecting':
      case 'notice':
      case 'undoing':
        return;
      default:
        event satisfies never;
    }
  };

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

  /** Builds that it had to do with, and those that are not over. */
  buildsOf({ builds }: Status): BuildStatus[] {
    return builds.filter((build) => this.#builds.has(build.id) || build.state !== 'done');
  }
}
