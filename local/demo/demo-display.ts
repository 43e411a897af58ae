import { setTimeout as sleep } from 'node:timers/promises';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { defaultOptions } from '../../lambda/migration/options.ts';
import type { ConnectionTarget } from '../../lambda/postgres/session/connection-target.ts';
import { readStatus } from '../../lambda/status/status.ts';
import { showProgress } from '../cli/build-lines.ts';
import { RunDisplay } from '../cli/run-display.ts';
import type { Terminal } from '../cli/terminal.ts';
import { parseLogLine } from './log-lines.ts';

/** How often the ledger is asked how far the builds are. */
const STATUS_MILLISECONDS = 200;
/** The least time between two lines about something under way, where no bars are drawn. */
const LINE_MILLISECONDS = 1_000;

/**
 * Shows events as they happen: what the functions log, and each build's progress from the ledger and the catalog, also
 * between two turns.
 */
export class DemoDisplay extends RunDisplay {
  #stopped = false;

  constructor(terminal: Terminal) {
    super(terminal, LINE_MILLISECONDS);
  }

  /** Takes each line that a function logs. */
  readonly log = (text: string): void => {
    if (this.#stopped) return;
    const event = parseLogLine(text);
    if (event !== undefined) this.show(event);
  };

  /** Shows the builds of this database until `stop`. */
  async watchBuilds(target: ConnectionTarget, migrations: CompiledMigrations): Promise<void> {
    while (!this.#stopped) {
      // A restarting server does not answer; the next look may succeed.
      const status = await readStatus(target, { options: defaultOptions, migrations }).catch(() => undefined);
      if (!this.#stopped) for (const build of status?.builds ?? []) showProgress(build, this.show);
      await sleep(STATUS_MILLISECONDS);
    }
  }

  override stop(): void {
    this.#stopped = true;
    super.stop();
  }
}
