import { MultiBar as Bars, type MultiBar, Presets, type SingleBar } from 'cli-progress';
import { describeBlocker } from '../../lambda/postgres/blockers.ts';
import type { RunEvent } from '../../lambda/story/run.ts';
import type { TurnEvent } from '../../lambda/story/turn.ts';
import { describeProgress } from './build-lines.ts';
import { duration } from './duration.ts';
import type { Terminal } from './terminal.ts';

/** A plain line about a build's progress comes at most so often. */
const LINE_EVERY_MILLISECONDS = 10_000;

/** Shows a run and its loop to a person: a line for what happened, a live bar for each build on a terminal. */
export class RunDisplay {
  readonly #terminal: Terminal;
  #bars: MultiBar | undefined;
  readonly #byBuild = new Map<string, SingleBar>();
  readonly #lastLine = new Map<string, number>();
  #saidWaiting = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  readonly report = (event: RunEvent | TurnEvent): void => {
    const { green, red, yellow, dim } = this.#terminal.colors;
    switch (event.kind) {
      case 'planned':
        for (const { file } of event.plan.late)
          this.#line(yellow(`${file} is older than the newest applied migration`));
        for (const { file } of event.plan.reformatted)
          this.#line(dim(`${file} changed in comments or white space only`));
        for (const { name } of event.plan.unknown)
          this.#line(yellow(`${name} is applied, but not in this folder`));
        return;
      case 'applied':
        for (const { migration, step, how } of event.steps) {
          const part = migration.steps.length > 1 ? ` step ${step + 1}/${migration.steps.length}` : '';
          this.#line(
            `${green('applied')} ${migration.name}${part}${how === 'transaction' ? '' : dim(` (${how})`)}`,
          );
        }
        return;
      case 'waiting-for-run':
        if (!this.#saidWaiting) this.#line(yellow('another run is under way: waiting for it'));
        this.#saidWaiting = true;
        return;
      case 'locked':
        this.#line(
          yellow(
            `${event.file}: locks taken${event.blockers.length > 0 ? ` by ${event.blockers.map(describeBlocker).join('; ')}` : ''}; attempt ${event.attempt}, again in ${duration(event.retryInMilliseconds / 1000)}`,
          ),
        );
        return;
      case 'reconnecting':
        this.#line(yellow(`connection lost, connecting again: ${event.because}`));
        return;
      case 'waiting-for-builds':
        this.#line(dim(`${event.file} waits: ${event.because}`));
        return;
      case 'started':
        this.#line(
          `${green('building')} ${nameOf(event.build)}${dim(` (attempt ${event.attempt}, ${event.session} session)`)}`,
        );
        return;
      case 'progress':
        this.#progress(event);
        return;
      case 'ended':
        this.#ended(
          event,
          event.outcome === 'failed'
            ? red('failed')
            : green(event.outcome === 'adopted' ? 'adopted' : 'valid'),
        );
        return;
      case 'turn':
        return;
      default:
        event satisfies never;
    }
  };

  /** Leaves the terminal as it was found. */
  stop(): void {
    this.#bars?.stop();
    this.#bars = undefined;
    this.#byBuild.clear();
  }

  #progress({ build, progress }: Extract<TurnEvent, { kind: 'progress' }>): void {
    if (!this.#terminal.live) {
      const last = this.#lastLine.get(build.id) ?? 0;
      if (Date.now() - last < LINE_EVERY_MILLISECONDS) return;
      this.#lastLine.set(build.id, Date.now());
      this.#line(`${nameOf(build)}: ${describeProgress(progress)}`);
      return;
    }
    this.#bars ??= new Bars(
      {
        format: ' {bar} {percentage} % {name}: {what}',
        clearOnComplete: true,
        hideCursor: true,
        stream: this.#terminal.stream,
      },
      Presets.shades_classic,
    );
    const payload = { name: nameOf(build), what: describeProgress(progress) };
    const bar = this.#byBuild.get(build.id) ?? this.#bars.create(100, 0, payload);
    this.#byBuild.set(build.id, bar);
    bar.update(Math.floor((progress.fraction ?? 0) * 100), payload);
  }

  #ended({ build, fault }: Extract<TurnEvent, { kind: 'ended' }>, outcome: string): void {
    const bar = this.#byBuild.get(build.id);
    if (bar !== undefined) this.#bars?.remove(bar);
    this.#byBuild.delete(build.id);
    const why =
      fault === undefined
        ? ''
        : `: ${fault.message} (SQLSTATE ${fault.sqlstate})${fault.detail ? ` ${fault.detail}` : ''}`;
    this.#line(`${outcome} ${nameOf(build)}${why}`);
  }

  #line(text: string): void {
    if (this.#bars === undefined || this.#byBuild.size === 0) this.#terminal.line(text);
    else this.#bars.log(`${text}\n`);
  }
}

function nameOf({ index, schema, table }: { index: string; schema: string; table: string }): string {
  return index === '' ? `REINDEX of ${schema}.${table}` : `${index} on ${schema}.${table}`;
}
