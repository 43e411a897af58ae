import { adviceFor } from '../migration/fault-advice.ts';
import { type Position, type Statement, type Step, statementsOf } from '../migration/migration.ts';
import { MigrationError } from '../migration/migration-error.ts';
import type { Text } from '../migration/row-values.ts';
import type { StatementFault } from '../postgres/session/fault.ts';
import type { Piece } from './step-script.ts';

interface Said {
  readonly applied: string;
  readonly what?: Text;
  readonly next?: string;
}

/** The error for a statement that Postgres refused: which one, its line and column, and what is already applied. */
export function statementFailed(failed: Piece, fault: StatementFault, said: Said): MigrationError {
  const { migration, step } = failed.step;
  const at = failed.statement === undefined ? undefined : placeIn(failed.statement, failed, fault);
  const part = migration.steps.length === 1 ? migration.file : `step ${step.number + 1} of ${migration.file}`;
  const stays = mayCommitParts(step)
    ? `of ${part}, what it committed by itself before it failed`
    : `nothing of ${part}`;
  return new MigrationError({
    code: 'statement-failed',
    what: said.what ?? whatFailed(failed),
    place: {
      file: migration.file,
      position: at ?? statementsOf(step)[0]?.position ?? { line: 1, column: 1 },
      statement: failed.statement?.text,
    },
    fault: fault.fault,
    applied: `${said.applied === '' ? '' : `${said.applied}; `}${stays}.`,
    next: said.next ?? adviceFor(fault.fault, migration.file, failed.statement),
    cause: fault,
  });
}

function whatFailed({ statement, claim, text, step }: Piece): string {
  if (statement !== undefined) return 'This statement failed.';
  if (text === 'commit')
    return 'The transaction that begins here failed at its COMMIT, where deferred constraints are checked.';
  return `${step.migration.file} could not be ${claim ? 'recorded' : 'started'}.`;
}

/** Other statements that run outside of a transaction undo their own partial work. */
function mayCommitParts(step: Step): boolean {
  return step.kind === 'autocommit' && ['DoStmt', 'CallStmt'].includes(step.statement.kind);
}

/** Postgres gives a position in the message; the author needs the line of the file. */
function placeIn(statement: Statement, piece: Piece, { position }: StatementFault): Position {
  if (position === undefined) return statement.position;
  const characters = [...statement.text];
  const within = position - 1 - piece.offset;
  if (within < 0 || within > characters.length) return statement.position;
  const before = characters.slice(0, within).join('').split('\n');
  const last = before.at(-1) ?? '';
  const column = [...last].length;
  return before.length === 1
    ? { line: statement.position.line, column: statement.position.column + column }
    : { line: statement.position.line + before.length - 1, column: column + 1 };
}
