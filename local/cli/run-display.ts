import { type LoggedEvent, logged } from '../../lambda/aws/logged-event.ts';
import { showFinding } from '../../lambda/foresight/deploy-finding.ts';
import { count, duration } from '../../lambda/migration/amounts.ts';
import { describeBlocker } from '../../lambda/postgres/catalog/blockers.ts';
import type { RunEvent } from '../../lambda/run/run.ts';
import type { TurnEvent } from '../../lambda/work/turn/turn-request.ts';
import { appliedLines } from './applied-lines.ts';
import { describeBriefly, describeOutcome, describeProgress, nameOfBuild } from './build-lines.ts';
import { LiveBars } from './live-bars.ts';
import type { Terminal } from './terminal.ts';

type Shown<Kind extends LoggedEvent['kind']> = Extract<LoggedEvent, { kind: Kind }>;

/** The least time between two lines about a build's progress, where no bars are drawn. */
const LINE_EVERY_MILLISECONDS = 10_000;
const VERB_CHARACTERS = 12;

type Colour = 'green' | 'red' | 'yellow' | 'dim';

/**
 * Shows a run and its loop: a line for each event, and on a terminal a live bar for each build. Takes events of this
 * process, and those that the functions have logged.
 */
export class RunDisplay {
  readonly #terminal: Terminal;
  readonly #bars: LiveBars;
  readonly #everyMilliseconds: number;
  /** When a build had its last line of progress. */
  readonly #lineAt = new Map<string, number>();
  /** Builds that have ended; late progress of these is not shown any more. */
  readonly #over = new Set<string>();
  #saidWaiting = false;

  constructor(terminal: Terminal, everyMilliseconds = LINE_EVERY_MILLISECONDS) {
    this.#terminal = terminal;
    this.#bars = new LiveBars(terminal.stream);
    this.#everyMilliseconds = everyMilliseconds;
  }

  readonly report = (event: RunEvent | TurnEvent): void => {
    if (event.kind !== 'linted') {
      this.show(logged(event, 'shown'));
      return;
    }
    // Those that are refused are the run's error.
    for (const finding of event.findings)
      if (finding.verdict === 'show') this.verb('yellow', finding.rule, showFinding(finding, 'shown'));
  };

  readonly show = (event: LoggedEvent): void => {
    switch (event.kind) {
      case 'planned':
        this.#planned(event);
        break;
      case 'applied':
        for (const { verb, what } of appliedLines(event.steps)) this.verb('green', verb, what);
        break;
      case 'linted':
        for (const { rule, verdict, at, what } of event.findings)
          if (verdict === 'show') this.verb('yellow', rule, `${at}: ${what}`);
        break;
      case 'adopted': {
        const { tool, table, files, edited, missing } = event;
        this.verb(
          'green',
          'adopted',
          `${files.length} ${files.length === 1 ? 'migration' : 'migrations'} that ${tool} applied, by ${table}`,
        );
        for (const file of edited)
          this.verb('yellow', 'edited', `${file}: another text than ${tool} applied`);
        for (const id of missing)
          this.verb('yellow', 'missing', `${id}: applied by ${tool}, and not in this folder`);
        break;
      }
      case 'ledger-exposed':
        this.verb('yellow', 'exposed', event.because);
        break;
      case 'waiting-for-run':
        if (!this.#saidWaiting)
          this.verb('yellow', 'waiting', 'another run is under way on this database; this one follows it');
        this.#saidWaiting = true;
        break;
      case 'locked':
        this.#locked(event);
        break;
      case 'reconnecting':
        this.verb('yellow', 'reconnecting', event.because);
        break;
      case 'notice': {
        const { file, line, severity, text, detail, hint, sqlstate } = event;
        const more = [detail && `Detail: ${detail}`, hint && `Hint: ${hint}`].filter(Boolean);
        this.verb(
          sqlstate.startsWith('01') ? 'yellow' : 'dim',
          severity.toLowerCase(),
          [`${file}:${line}: ${text}`, ...more]
            .join('\n')
            .replaceAll('\n', `\n${' '.repeat(VERB_CHARACTERS)}`),
        );
        break;
      }
      case 'waiting-for-builds':
        this.verb('yellow', 'waits', `${event.file}: ${event.because}`);
        break;
      case 'undoing':
        this.verb('dim', 'undoing', `${event.file}, step ${event.step} of ${event.steps}`);
        break;
      case 'started':
        this.#over.delete(nameOfBuild(event));
        this.verb(
          'green',
          'building',
          `${nameOfBuild(event)} (attempt ${event.attempt}, ${event.session} session${event.because === undefined ? '' : `: ${event.because}`})`,
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

  /** Shows the progress of something other than a build: a bar, or a line now and then. `fraction`: 0 to 1. */
  underWay(what: string, fraction: number, text: string): void {
    this.#underWay(what, { fraction, bar: text, line: () => `${Math.floor(fraction * 100)} %, ${text}` });
  }

  over(what: string): void {
    this.#bars.remove(what);
    this.#lineAt.delete(what);
  }

  /** A line of the caller's, in its place among the others. */
  line(text = ''): void {
    if (!this.#bars.line(text)) this.#terminal.line(text);
  }

  /** Leaves the terminal as it was found. */
  stop(): void {
    this.#bars.stop();
  }

  #planned({ steps, files, late, reformatted, unknown }: Shown<'planned'>): void {
    this.#saidWaiting = false;
    for (const name of unknown)
      this.verb('yellow', 'unknown', `${name} is applied, and is not in this folder`);
    for (const file of reformatted)
      this.verb('dim', 'reformatted', `${file} changed in comments or white space only`);
    for (const file of late)
      this.verb('yellow', 'late', `${file} is older than the newest applied migration`);
    if (steps > 0)
      this.verb('dim', 'pending', `${count(files.length, 'migration')}, ${count(steps, 'step')}`);
  }

  #locked({ file, attempt, next, inMilliseconds, blockers }: Shown<'locked'>): void {
    const by = blockers.map(describeBlocker).join('; ');
    const text =
      next === 'try'
        ? `attempt ${attempt} found its locks taken, again in ${duration(inMilliseconds / 1000)}${by && `, held by ${by}`}`
        : `waits, and keeps nobody else waiting, until these are gone: ${by}`;
    this.verb('yellow', 'locked', `${file}: ${text}`);
  }

  #progress(event: Shown<'progress'>): void {
    const name = nameOfBuild(event);
    if (this.#over.has(name)) return;
    const { fraction = 0, secondsElapsed } = event;
    const bar = `${event.index || name}: ${describeBriefly(event)}`;
    const since = Date.now() - secondsElapsed * 1000;
    this.#underWay(name, { fraction, since, bar, line: () => `${name}: ${describeProgress(event)}` });
  }

  #underWay(
    key: string,
    shown: {
      readonly fraction: number;
      readonly since?: number;
      readonly bar: string;
      readonly line: () => string;
    },
  ): void {
    if (this.#terminal.live) {
      this.#bars.show(key, shown.fraction, shown.bar);
      return;
    }
    const last = this.#lineAt.get(key) ?? shown.since ?? Date.now();
    this.#lineAt.set(key, last);
    if (Date.now() - last < this.#everyMilliseconds) return;
    this.#lineAt.set(key, Date.now());
    this.verb('dim', '', shown.line());
  }

  #ended(event: Shown<'ended'>): void {
    const { operation, outcome, fault, seconds } = event;
    const name = nameOfBuild(event);
    this.#over.add(name);
    this.over(name);
    const after = seconds === undefined ? '' : ` after ${duration(seconds)}`;
    switch (outcome) {
      case 'done':
        this.verb('green', describeOutcome({ operation, state: 'done', adopted: false }), `${name}${after}`);
        break;
      case 'adopted':
        this.verb('green', 'adopted', `${name}, which was there already`);
        break;
      case 'failed': {
        const why = fault === undefined ? '' : `: ${fault.message} (SQLSTATE ${fault.sqlstate})`;
        this.verb('red', 'failed', `${name}${after}${why}`);
        break;
      }
      default:
        this.verb('yellow', outcome, name);
    }
  }

  /** A line of the caller's that begins with what happened, as all others do. */
  verb(colour: Colour, verb: string, text: string): void {
    this.line(`${this.#terminal.colors[colour](`${verb} `.padEnd(VERB_CHARACTERS))}${text}`);
  }
}
