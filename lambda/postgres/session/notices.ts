import type { Statement, Step } from '../../migration/migration.ts';
import type { Notice } from './fault.ts';
import type { NoticeListener } from './session.ts';

/**
 * A message of RAISE in a migration, or of Postgres about it, of any severity that client_min_messages lets through.
 */
export interface NoticeEvent {
  readonly kind: 'notice';
  readonly file: string;
  readonly line: number;
  /** `WARNING`, `NOTICE`, …; in the server's language. */
  readonly severity: string;
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  /** The function that raised it. */
  readonly context?: string;
}

/** The origin of a notice. */
export interface Speaker {
  readonly file: string;
  readonly line: number;
}

/** A loop can raise a million notices; the first of each severity are shown. */
const MOST_OF_A_STATEMENT = 50;
const MOST_OF_A_RUN = 1_000;
const MOST_CHARACTERS = 2_000;

/** Reports notices of migrations and warnings of Postgres as they arrive, with the file that caused them. */
export class Notices {
  readonly #report: (event: NoticeEvent) => void;
  /** How often a statement raised the same notice: so far, and in the attempt under way. */
  readonly #said = new Map<string, { told: number; inAttempt: number }>();
  readonly #counts = new Map<string, number>();
  #told = 0;

  constructor(report: (event: NoticeEvent) => void) {
    this.#report = report;
  }

  /** A listener for one message. Notices that an earlier attempt already raised are not repeated. */
  heard(speakerOf: (completed: number, notice: Notice) => Speaker | undefined): NoticeListener {
    for (const count of this.#said.values()) count.inAttempt = 0;
    return (notice, completed) => {
      const speaker = speakerOf(completed, notice);
      if (speaker !== undefined) this.#tell(speaker, notice);
    };
  }

  #tell({ file, line }: Speaker, notice: Notice): void {
    const { severity, sqlstate, detail, hint, context } = notice;
    const ofStatement = `${file}:${line} ${severity}`;
    const count = this.#counts.get(ofStatement) ?? 0;
    if (count > MOST_OF_A_STATEMENT || this.#told > MOST_OF_A_RUN) return;
    const message = cut(notice.message);
    const key = `${ofStatement} ${message}`;
    const said = this.#said.get(key) ?? { told: 0, inAttempt: 0 };
    this.#said.set(key, said);
    said.inAttempt += 1;
    if (said.inAttempt <= said.told) return;
    said.told = said.inAttempt;
    this.#counts.set(ofStatement, count + 1);
    this.#told += 1;
    const full = count === MOST_OF_A_STATEMENT || this.#told > MOST_OF_A_RUN;
    this.#report({
      kind: 'notice',
      file,
      line,
      severity,
      sqlstate,
      ...(full
        ? { message: '(more of these follow, and are not shown)' }
        : {
            message,
            ...(detail && { detail: cut(detail) }),
            ...(hint && { hint: cut(hint) }),
            ...(context && { context: cut(context) }),
          }),
    });
  }
}

function cut(text: string): string {
  return text.length <= MOST_CHARACTERS ? text : `${text.slice(0, MOST_CHARACTERS - 1)}…`;
}

/**
 * Whether a notice at COMMIT comes from a file (a deferred trigger), rather than from Postgres about our own
 * statements.
 */
export function isSaidOnPurpose({ severity }: Notice): boolean {
  return !/^(?:DEBUG|LOG)/.test(severity);
}

export function speakerAt(file: string, step: Step, statement: Statement | undefined): Speaker {
  const at = statement ?? (step.kind === 'transaction' ? step.statements[0] : step.statement);
  return { file, line: at?.position.line ?? 1 };
}
