import { setTimeout as sleep } from 'node:timers/promises';
import type { CompiledMigrations } from '../../lambda/migration/migration.ts';
import { defaultOptions } from '../../lambda/migration/options.ts';
import type { ConnectionTarget } from '../../lambda/postgres/session/connection-target.ts';
import { type BuildStatus, readStatus } from '../../lambda/status/status.ts';
import { BuildBars } from '../cli/build-bars.ts';
import { describeProgress, nameOfBuild } from '../cli/build-lines.ts';
import type { Terminal } from '../cli/terminal.ts';
import { describeLogLine, parseLogLine } from './log-lines.ts';

/** How often the functions' log is looked at. */
const LOG_MILLISECONDS = 50;
/** How often the ledger is asked how far the builds are. */
const STATUS_MILLISECONDS = 200;
/** Where no bars are drawn, a line about a build's progress comes at most so often. */
const LINE_MILLISECONDS = 1_000;

/**
 * Shows what happens, as it happens: lines from the functions' log, and how far each build is from the ledger and the
 * catalog, so that it is seen also between two turns.
 */
export class Stage {
  readonly #terminal: Terminal;
  readonly #log: () => readonly string[];
  readonly #timer: NodeJS.Timeout;
  readonly #bars: BuildBars;
  readonly #lineAt = new Map<string, number>();
  #linesSeen = 0;
  #stopped = false;

  constructor(terminal: Terminal, log: () => readonly string[]) {
    this.#terminal = terminal;
    this.#log = log;
    this.#bars = new BuildBars(terminal.stream);
    this.#timer = setInterval(() => this.#showLog(), LOG_MILLISECONDS);
  }

  line(text: string): void {
    this.#showLog();
    this.#write(text);
  }

  /** Shows the builds of this database until `stop`. */
  async watchBuilds(target: ConnectionTarget, migrations: CompiledMigrations): Promise<void> {
    while (!this.#stopped) {
      // A server that restarts can't be asked; the next look may find it back.
      const status = await readStatus(target, { options: defaultOptions, migrations }).catch(() => undefined);
      if (!this.#stopped) for (const build of status?.builds ?? []) this.#showBuild(build);
      await sleep(STATUS_MILLISECONDS);
    }
  }

  stop(): void {
    if (this.#stopped) return;
    clearInterval(this.#timer);
    this.#showLog();
    this.#stopped = true;
    this.#bars.stop();
  }

  #showLog(): void {
    const log = this.#log();
    const fresh = log.slice(this.#linesSeen);
    this.#linesSeen = log.length;
    for (const text of fresh) {
      const logged = parseLogLine(text);
      if (logged === undefined) continue;
      for (const line of describeLogLine(logged, this.#terminal.colors)) this.#write(line);
    }
  }

  #showBuild(build: BuildStatus): void {
    const { progress } = build;
    if (build.state !== 'building' || progress === undefined) {
      this.#bars.remove(build);
      return;
    }
    if (this.#terminal.live) {
      this.#bars.show(build, progress);
      return;
    }
    const last = this.#lineAt.get(build.id) ?? Date.now() - progress.secondsElapsed * 1000;
    if (Date.now() - last < LINE_MILLISECONDS) return;
    this.#lineAt.set(build.id, Date.now());
    this.#terminal.line(`          ${nameOfBuild(build)}: ${describeProgress(progress)}`);
  }

  #write(line: string): void {
    if (!this.#bars.line(line)) this.#terminal.line(line);
  }
}
