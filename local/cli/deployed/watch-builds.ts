import { isOpen } from '../../../lambda/migration/build.ts';
import type { BuildStatus, Status } from '../../../lambda/status/status.ts';
import { showProgress } from '../build-lines.ts';
import type { RunDisplay } from '../run-display.ts';

/** Turns the differences between two looks at a build into events. */
export class BuildWatch {
  readonly #display: RunDisplay;
  readonly #before = new Map<string, BuildStatus>();
  #first = true;

  constructor(display: RunDisplay) {
    this.#display = display;
  }

  look({ builds }: Pick<Status, 'builds'>): void {
    for (const build of builds) {
      const before = this.#before.get(build.id);
      this.#before.set(build.id, build);
      // What ended before the first look is not news.
      if (this.#first && build.state !== 'building') continue;
      this.#show(build, before);
    }
    this.#first = false;
  }

  #show(build: BuildStatus, before: BuildStatus | undefined): void {
    const { operation, schema, table, index, state, attempts, session } = build;
    const named = { operation, table: `${schema}.${table}`, index };
    if (attempts > (before?.attempts ?? 0) && session !== undefined)
      this.#display.show({ kind: 'started', ...named, attempt: attempts, session });
    showProgress(build, this.#display.show);
    if (state === before?.state || isOpen(build)) return;
    if (state === 'cancelled') {
      this.#display.verb('yellow', 'cancelled', `${index} on ${schema}.${table}`);
      return;
    }
    const outcome = state === 'failed' ? state : build.adopted ? 'adopted' : 'done';
    this.#display.show({ kind: 'ended', ...named, outcome, seconds: build.seconds, fault: build.fault });
  }
}
