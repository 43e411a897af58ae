import { MultiBar, type Options, Presets, type SingleBar } from 'cli-progress';

interface Payload {
  readonly text: string;
}

/** Live bars at the foot of a terminal, each of something under way, below the lines. */
export class LiveBars {
  readonly #stream: NodeJS.WriteStream;
  readonly #bars = new Map<string, SingleBar>();
  #multi: MultiBar | undefined;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** Draws a bar, or redraws it. `fraction`: 0 to 1. */
  show(key: string, fraction: number, text: string): void {
    this.#multi ??= new MultiBar(
      {
        format: (options, { progress: done }, payload: Payload) =>
          fit(`${barOf(options, done)} ${payload.text}`, this.#stream.columns),
        clearOnComplete: true,
        hideCursor: true,
        linewrap: true,
        gracefulExit: false,
        emptyOnZero: true,
        stream: this.#stream,
      },
      Presets.shades_classic,
    );
    const payload: Payload = { text };
    const bar = this.#bars.get(key) ?? this.#multi.create(100, 0, payload);
    this.#bars.set(key, bar);
    bar.update(Math.floor(fraction * 100), payload);
  }

  remove(key: string): void {
    const bar = this.#bars.get(key);
    if (bar === undefined) return;
    this.#bars.delete(key);
    if (this.#bars.size === 0) this.stop();
    else this.#multi?.remove(bar);
  }

  /** Writes a line above the bars; false if there are none, so that the caller has to write it. */
  line(text: string): boolean {
    if (this.#multi === undefined) return false;
    this.#multi.log(`${text}\n`);
    return true;
  }

  /** Leaves the terminal as it was found. */
  stop(): void {
    // The library drops lines that it has not drawn yet.
    this.#multi?.update();
    this.#multi?.stop();
    this.#multi = undefined;
    this.#bars.clear();
  }
}

const BAR_CHARACTERS = 20;

function barOf({ barCompleteChar, barIncompleteChar }: Options, done: number): string {
  const filled = Math.round(Math.min(1, Math.max(0, done)) * BAR_CHARACTERS);
  return `${(barCompleteChar ?? '#').repeat(filled)}${(barIncompleteChar ?? '-').repeat(BAR_CHARACTERS - filled)}`;
}

/** A line that wraps would be drawn over wrongly. */
function fit(text: string, columns: number | undefined): string {
  // A terminal that does not know its width says 0.
  const width = (columns || 80) - 1;
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;
}
