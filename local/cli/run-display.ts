import { showFinding } from '../../lambda/foresight/deploy-finding.ts';
import { count, duration } from '../../lambda/migration/amounts.ts';
import type { Plan } from '../../lambda/migration/plan.ts';
import { describeBlocker } from '../../lambda/postgres/catalog/blockers.ts';
import type { RunEvent } from '../../lambda/run/run.ts';
import type { TurnEvent } from '../../lambda/work/turn/turn-request.ts';
import { appliedLines } from './applied-lines.ts';
import { BuildBars } from './build-bars.ts';
import { describeOutcome, describeProgress, nameOfBuild } from './build-lines.ts';
import type { Terminal } from './terminal.ts';

/** Where no bars are drawn, a line about a build's progress comes at most so often. */
const LINE_EVERY_MILLISECONDS = 10_000;
const VERB_CHARACTERS = 12;

type Colour = 'green' | 'red' | 'yellow' | 'dim';

/** Shows a run and its loop to a person: a line for what happened, on a terminal a live bar for each build. */
export class RunDisplay {
  readonly #terminal: Terminal;
  readonly #bars: BuildBars;
  /** When a build had its last line of progress. */
  readonly #lineAt = new Map<string, number>();
  #saidWaiting = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#bars = new BuildBars(terminal.stream);
  }

  readonly report = (event: RunEvent | TurnEvent): void => {
    switch (event.kind) {
      case 'planned':
        this.#planned(event.plan);
        break;
      case 'applied':
        for (const { verb, what } of appliedLines(event.steps)) this.#line('green', verb, what);
        break;
      case 'linted':
        // Those that are refused are the run's error.
        for (const finding of event.findings)
          if (finding.verdict === 'show') this.#line('yellow', finding.rule, showFinding(finding));
        break;
      case 'waiting-for-run':
        if (!this.#saidWaiting)
          this.#line('yellow', 'waiting', 'another run is under way on this database; this one follows it');
        this.#saidWaiting = true;
        break;
      case 'locked':
        this.#locked(event);
        break;
      case 'reconnecting':
        this.#line('yellow', 'reconnecting', event.because);
        break;
      case 'notice': {
        const { file, line, severity, message, detail, hint, sqlstate } = event;
        const more = [detail && `Detail: ${detail}`, hint && `Hint: ${hint}`].filter(Boolean);
        this.#line(
          sqlstate.startsWith('01') ? 'yellow' : 'dim',
          severity.toLowerCase(),
          [`${file}:${line}: ${message}`, ...more]
            .join('\n')
            .replaceAll('\n', `\n${' '.repeat(VERB_CHARACTERS)}`),
        );
        break;
      }
      case 'waiting-for-builds':
        this.#line('yellow', 'waits', `${event.file}: ${event.because}`);
        break;
      case 'backfilling':
        this.#line('dim', 'backfill', describeBackfill(event));
        break;
      case 'undoing':
        this.#line('dim', 'undoing', `${event.file}, step ${event.step} of ${event.steps}`);
        break;
      case 'started':
        this.#line(
          'green',
          'building',
          `${nameOfBuild(event.build)} (attempt ${event.attempt}, ${event.session} session)`,
        );
        break;
      case 'progress':
        this.#progress(event);
        break;
      case 'ended':
        this.#ended(event);
        break;
      case 'turn':
        return;
      default:
        event satisfies never;
    }
  };

  /** Leaves the terminal as it was found. */
  stop(): void {
    this.#bars.stop();
  }

  #planned({ pending, late, reformatted, unknown }: Plan): void {
    this.#saidWaiting = false;
    for (const { name } of unknown)
      this.#line('yellow', 'unknown', `${name} is applied, and is not in this folder`);
    for (const { file } of reformatted)
      this.#line('dim', 'reformatted', `${file} changed in comments or white space only`);
    for (const { file } of late)
      this.#line('yellow', 'late', `${file} is older than the newest applied migration`);
    if (pending.length === 0) return;
    const files = new Set(pending.map(({ migration }) => migration)).size;
    this.#line('dim', 'pending', `${count(files, 'migration')}, ${count(pending.length, 'step')}`);
  }

  #locked({ file, attempt, next, inMilliseconds, blockers }: Extract<RunEvent, { kind: 'locked' }>): void {
    const by = blockers.map(describeBlocker).join('; ');
    const text =
      next === 'try'
        ? `attempt ${attempt} found its locks taken, again in ${duration(inMilliseconds / 1000)}${by && `, held by ${by}`}`
        : `waits, and keeps nobody else waiting, until these are gone: ${by}`;
    this.#line('yellow', 'locked', `${file}: ${text}`);
  }

  #progress({ build, progress }: Extract<TurnEvent, { kind: 'progress' }>): void {
    if (this.#terminal.live) {
      this.#bars.show(build, progress);
      return;
    }
    const last = this.#lineAt.get(build.id) ?? Date.now() - progress.secondsElapsed * 1000;
    this.#lineAt.set(build.id, last);
    if (Date.now() - last < LINE_EVERY_MILLISECONDS) return;
    this.#lineAt.set(build.id, Date.now());
    this.#line('dim', '', `${nameOfBuild(build)}: ${describeProgress(progress)}`);
  }

  #ended({ build, outcome, fault }: Extract<TurnEvent, { kind: 'ended' }>): void {
    this.#bars.remove(build);
    const { secondsSinceFirstStart: seconds } = build;
    const after = seconds === undefined ? '' : ` after ${duration(seconds)}`;
    switch (outcome) {
      case 'done':
        this.#line(
          'green',
          describeOutcome({ ...build, state: 'done', adopted: false }),
          `${nameOfBuild(build)}${after}`,
        );
        break;
      case 'adopted':
        this.#line('green', 'adopted', `${nameOfBuild(build)}, which was there already`);
        break;
      case 'failed': {
        const why = fault === undefined ? '' : `: ${fault.message} (SQLSTATE ${fault.sqlstate})`;
        this.#line('red', 'failed', `${nameOfBuild(build)}${after}${why}`);
        break;
      }
      default:
        this.#line('yellow', outcome, nameOfBuild(build));
    }
  }

  #line(colour: Colour, verb: string, text: string): void {
    const line = `${this.#terminal.colors[colour](verb.padEnd(VERB_CHARACTERS))}${text}`;
    if (!this.#bars.line(line)) this.#terminal.line(line);
  }
}

function describeBackfill(event: Extract<RunEvent, { kind: 'backfilling' }>): string {
  const { table, written, walked, estimated, secondsLeft, pause } = event;
  const share = estimated > 0 ? `, ${Math.min(99, Math.floor((100 * walked) / estimated))} %` : '';
  const left = secondsLeft === undefined ? '' : `, about ${Math.round(secondsLeft)} s left`;
  return `${table}: ${written.toLocaleString('en')} rows${share}${pause === undefined ? left : `, rests: ${pause}`}`;
}
