import { MigrationError } from '../migration/migration-error.ts';
import type { RowValues } from '../migration/row-values.ts';
import { StatementFault, textOfError } from '../postgres/session/fault.ts';
import { readOptions } from './function-context.ts';

/**
 * Whether logs, events, traces and errors may contain row values. Thrown errors count: Lambda logs them, Step Functions
 * keeps them, CloudFormation shows them. An answer goes only to the caller.
 */
export function rowValuesInLogs(): RowValues {
  try {
    return readOptions().rowValuesInLogs;
  } catch {
    return 'hidden';
  }
}

/** The text of whatever was thrown, as far as it may leave the function. */
export function publicText(error: unknown): string {
  return textOfError(error, rowValuesInLogs());
}

/** Whole, where what may leave the function is less than that. */
export function heldBack(error: unknown): string | undefined {
  const whole = textOfError(error, 'shown');
  return whole === publicText(error) ? undefined : whole;
}

/** To throw in its place. Carries nothing of the original, since Lambda logs every field of an error. */
export function publicError(error: unknown): unknown {
  if (!(error instanceof MigrationError || error instanceof StatementFault)) return error;
  const told = new Error(publicText(error));
  told.name = error.name;
  // Lambda shows the stack trace beside the message. For an error meant for a person, the message is enough.
  told.stack = '';
  return told;
}
