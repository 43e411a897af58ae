import { MigrationError } from '../migration/migration-error.ts';
import type { RowValues } from '../migration/row-values.ts';
import { StatementFault, textOfError } from '../postgres/session/fault.ts';
import { readOptions } from './function-context.ts';

/**
 * Whether what leaves a function by its log, its events, its traces or an error may have values of rows. A thrown error
 * is among them: Lambda logs it, Step Functions keeps it, CloudFormation shows it. What the function answers goes to
 * whoever invoked it, and to nobody else.
 */
export function rowValuesInLogs(): RowValues {
  try {
    return readOptions().rowValuesInLogs;
  } catch {
    return 'hidden';
  }
}

/** Whatever was thrown, in words that may leave the function. */
export function publicText(error: unknown): string {
  return textOfError(error, rowValuesInLogs());
}

/** Whole, where what may leave the function is less than that. */
export function heldBack(error: unknown): string | undefined {
  const whole = textOfError(error, 'shown');
  return whole === publicText(error) ? undefined : whole;
}

/** To be thrown in its place: nothing of the other goes along, since Lambda logs every field of an error. */
export function publicError(error: unknown): unknown {
  if (!(error instanceof MigrationError || error instanceof StatementFault)) return error;
  const told = new Error(publicText(error));
  told.name = error.name;
  // Lambda shows the trace beside the message. Of an error that is meant for a person, the message is all.
  told.stack = '';
  return told;
}
