import colors from 'picocolors';
import { MigrationError } from '../../lambda/migration/migration-error.ts';
import { textOf } from '../../lambda/migration/row-values.ts';
import { SessionLost, StatementFault } from '../../lambda/postgres/session/fault.ts';
import { type ExitCode, exitCode } from './exit-code.ts';
import { Interrupted } from './interruption.ts';
import { isColoured, type Terminal } from './terminal.ts';

/** An error as the JSON document has it. */
export interface ErrorDocument {
  readonly code: string;
  readonly what: string;
  readonly place: MigrationError['details']['place'] | null;
  readonly fault: MigrationError['details']['fault'] | null;
  readonly applied: string | null;
  readonly next: string;
}

export function errorDocument(error: MigrationError): ErrorDocument {
  const { code, what, place, fault, applied, next } = error.details;
  return {
    code,
    what: textOf(what, 'shown'),
    place: place ?? null,
    fault: fault ?? null,
    applied: applied ?? null,
    next: textOf(next, 'shown'),
  };
}

/** Whatever was thrown, as an error that says what to do. */
export function asMigrationError(error: unknown): MigrationError {
  if (error instanceof MigrationError) return error;
  if (error instanceof Interrupted) {
    return new MigrationError({
      code: 'interrupted',
      what: `Stopped: ${error.message}.`,
      next: 'run the same command again: it continues from here.',
      cause: error,
    });
  }
  if (error instanceof StatementFault) {
    return new MigrationError({
      code: 'postgres',
      what: 'Postgres refused a statement of the migrator itself.',
      fault: error.fault,
      next: 'see that the role may read and write the ledger, and the tables that it migrates; then run again.',
      cause: error,
    });
  }
  if (error instanceof SessionLost) {
    return new MigrationError({
      code: 'connection-lost',
      what: `${error.message.charAt(0).toUpperCase()}${error.message.slice(1)}.`,
      next: 'see why the server drops connections (restart, failover, out of memory), then run again; builds that are under way continue in the database.',
      cause: error,
    });
  }
  return new MigrationError({
    code: 'unexpected',
    what: `Unexpected: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    next: 'this is a bug in the migrator, not in your files: please report it. Running again is safe.',
    cause: error,
  });
}

/** On standard error for people; with `--json`, as the document too, together with what else there is to tell. */
export function showFailure(terminal: Terminal, error: unknown, more: object = {}): void {
  const failure = asMigrationError(error);
  terminal.errorLine(coloured(failure));
  if (terminal.json) terminal.document({ ok: false, ...more, error: errorDocument(failure) });
}

/** Errors of the command itself, as opposed to those of the database. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof Interrupted) return error.exitCode;
  if (
    error instanceof MigrationError &&
    ['usage', 'connection-invalid', 'action-invalid', 'unknown-rule'].includes(error.code)
  ) {
    return exitCode.usage;
  }
  return exitCode.failed;
}

/** Runs a verb. Shows an error, and returns its exit code. */
export async function answered(terminal: Terminal, work: () => Promise<ExitCode>): Promise<ExitCode> {
  try {
    return await work();
  } catch (error) {
    showFailure(terminal, error);
    return exitCodeOf(error);
  }
}

const LABEL = /^(Postgres|Detail|Hint|Query|Context|Object|Statement|Applied|Next):/;

/** Colours the parts of the message without changing it. */
function coloured({ message, details }: MigrationError): string {
  const { bold, red, green } = colors.createColors(isColoured(process.stderr));
  const what = textOf(details.what, 'shown');
  const end = message.indexOf(what) + what.length;
  const rest = message
    .slice(end)
    .split('\n')
    .map((line) => line.replace(LABEL, (label) => bold(label === 'Next:' ? green(label) : label)));
  return `${bold(red(message.slice(0, end)))}${rest.join('\n')}`;
}
