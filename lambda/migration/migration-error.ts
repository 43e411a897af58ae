import type { Position } from './migration.ts';

/** What Postgres said, in its own words. */
export interface PostgresFault {
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly context?: string | undefined;
}

/** Where in the migrations it happened. */
export interface Place {
  readonly file: string;
  readonly position: Position;
  /** The statement's text, or its beginning. */
  readonly statement?: string | undefined;
}

export interface ErrorDetails {
  /** Names the class of error for machines: `statement-failed`, `drift`, … */
  readonly code: string;
  /** One sentence: what happened. */
  readonly what: string;
  readonly place?: Place | undefined;
  readonly fault?: PostgresFault | undefined;
  /** What is already applied and stays; empty where nothing can have been. */
  readonly applied?: string | undefined;
  /** What to do next; several lines are allowed. */
  readonly next: string;
  readonly cause?: unknown;
}

/**
 * Base of every error that this project throws on purpose. Its message is made for a person at night: what
 * happened, where, what Postgres said, what is applied, what to do next, in that order, so that the first line
 * survives CloudFormation's limit.
 */
export class MigrationError extends Error {
  readonly details: ErrorDetails;

  constructor(details: ErrorDetails) {
    super(format(details), details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.details = details;
  }

  get code(): string {
    return this.details.code;
  }
}

function format({ what, place, fault, applied, next }: ErrorDetails): string {
  const lines: string[] = [];
  const where = place === undefined ? '' : `${place.file}:${place.position.line}:${place.position.column}: `;
  lines.push(`${where}${what}`);
  if (fault !== undefined) {
    lines.push(`Postgres: ${fault.message} (SQLSTATE ${fault.sqlstate})`);
    if (fault.detail) lines.push(`Detail: ${fault.detail}`);
    if (fault.hint) lines.push(`Hint: ${fault.hint}`);
    if (fault.context) lines.push(`Context: ${fault.context}`);
  }
  if (place?.statement !== undefined) lines.push(`Statement: ${excerpt(place.statement)}`);
  if (applied) lines.push(`Applied: ${applied}`);
  lines.push(`Next: ${next}`);
  return lines.join('\n');
}

const EXCERPT_CHARACTERS = 300;

/** The beginning of a statement on one line, for errors and logs. */
export function excerpt(statement: string, characters = EXCERPT_CHARACTERS): string {
  const line = statement.replace(/\s+/g, ' ').trim();
  return line.length <= characters ? line : `${line.slice(0, characters - 1)}…`;
}
