import { MultiBar, Presets, type SingleBar } from 'cli-progress';
import { duration } from '../cli/duration.ts';
import type { Terminal } from '../cli/terminal.ts';
import { describeLogLine, parseLogLine, progressOf } from './log-lines.ts';

/** How often the functions' log is looked at. */
const LOOK_MILLISECONDS = 100;
/** A plain line about progress comes at most so often. */
const LINE_MILLISECONDS = 2_000;

/** Shows what the functions log, as it comes: lines, and on a terminal a live bar for each build. */
export class Stage {
  readonly #terminal: Terminal;
  readonly #log: () => readonly string[];
  readonly #timer: NodeJS.Timeout;
  readonly #bars = new Map<string, SingleBar>();
  #multi: MultiBar | undefined;
  #seen = 0;
  readonly #lastLine = new Map<string, number>();

  constructor(terminal: Terminal, log: () => readonly string[]) {
    this.#terminal = terminal;
    this.#log = log;
    this.#timer = setInterval(() => this.#look(), LOOK_MILLISECONDS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#look();
    this.#multi?.stop();
  }

  #look(): void {
    const log = this.#log();
    for (const text of log.slice(this.#seen)) this.#show(text);
    this.#seen = log.length;
  }

  #show(text: string): void {
    const logged = parseLogLine(text);
    if (logged === undefined) return;
    const progress = progressOf(logged);
    if (progress !== undefined) {
      this.#progress(progress);
      return;
    }
    if (logged.message === 'ended') this.#forget(logged.index ?? '');
    const line = describeLogLine(logged);
    if (line === undefined) return;
    if (this.#multi === undefined || this.#bars.size === 0) this.#terminal.line(line);
    else this.#multi.log(`${line}\n`);
  }

  #progress({ name, fraction, phase, secondsLeft }: NonNullable<ReturnType<typeof progressOf>>): void {
    const what = `${phase}${secondsLeft === undefined ? '' : `, about ${duration(secondsLeft)} left`}`;
    if (!this.#terminal.live) {
      if (Date.now() - (this.#lastLine.get(name) ?? 0) < LINE_MILLISECONDS) return;
      this.#lastLine.set(name, Date.now());
      this.#terminal.line(`${String(Math.floor(fraction * 100)).padStart(3)} %     ${name}: ${what}`);
      return;
    }
    this.#multi ??= new MultiBar(
      {
        format: '{bar} {percentage} % {name}: {what}',
        clearOnComplete: true,
        hideCursor: true,
        stream: this.#terminal.stream,
      },
      Presets.shades_classic,
    );
    const bar = this.#bars.get(name) ?? this.#multi.create(100, 0, { name, what });
    this.#bars.set(name, bar);
    bar.update(Math.floor(fraction * 100), { name, what });
  }

  #forget(name: string): void {
    const bar = this.#bars.get(name);
    if (bar !== undefined) this.#multi?.remove(bar);
    this.#bars.delete(name);
  }
}
