import type { Position } from '../../lambda/migration/migration.ts';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { pointAt } from './source-excerpt.ts';
import type { SourceText } from './source-text.ts';

/** A reason why a migration can't be compiled. */
export interface Problem {
  readonly file: string;
  readonly position?: Position | undefined;
  /** What is wrong, in one sentence. */
  readonly sentence: string;
  /** The source line and a caret below it. */
  readonly excerpt?: string | undefined;
  /** What to write instead, where there is more to say. */
  readonly advice?: string | undefined;
}

/** Ends the compilation of one file; the others continue, so that one synth shows all problems. */
export class FileRefused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem, options?: ErrorOptions) {
    super(problem.sentence, options);
    this.problem = problem;
  }
}

export interface Finding {
  /** Where in the text. */
  readonly index: number;
  readonly sentence: string;
  readonly advice?: string | undefined;
}

/** Points to a place in a file. */
export function problemAt(source: SourceText, { index, sentence, advice }: Finding): FileRefused {
  return new FileRefused({
    file: source.file,
    position: source.positionOf(index),
    sentence,
    excerpt: pointAt(source, index),
    advice,
  });
}

/** More would scroll the first ones off the terminal. */
const SHOWN = 20;

/** All that is wrong with a folder of migrations. Its message shows each place with its source line and a caret. */
export class CompileError extends MigrationError {
  override readonly name = 'CompileError';
  /** At most one per file; those of names and folders come first. */
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    const hidden = problems.length - SHOWN;
    const shown = problems.slice(0, SHOWN).map(showProblem);
    super({
      code: 'compile-failed',
      what: `${[...shown, ...(hidden > 0 ? [`… and ${hidden} more.`] : [])].join('\n\n')}\n`,
      next: `${correct(problems.length)}, then try again. The database was not touched.`,
    });
    this.problems = problems;
  }
}

function correct(count: number): string {
  return count === 1 ? 'Correct this' : `Correct these ${count} files`;
}

function showProblem({ file, position, sentence, excerpt, advice }: Problem): string {
  const place = position === undefined ? file : `${file}:${position.line}:${position.column}`;
  return [`${place}: ${sentence}`, excerpt, advice].filter((part) => part !== undefined).join('\n');
}
