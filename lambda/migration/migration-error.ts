import type { Position } from './migration.ts';

/** What Postgres said, in its own words. */
export interface PostgresFault {
  readonly sqlstate: string;
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly context?: string | undefined;
  /** The statement within a function that failed. */
  readonly query?: string | undefined;
  readonly schema?: string | undefined;
  readonly table?: string | undefined;
  readonly column?: string | undefined;
  readonly dataType?: string | undefined;
  readonly constraint?: string | undefined;
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
  override readonly name: string = 'MigrationError';
  readonly details: ErrorDetails;

  constructor(details: ErrorDetails) {
    super(format(details), details.cause === undefined ? undefined : { cause: details.cause });
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
  if (fault !== undefined) lines.push(`Postgres: ${saidBy(fault)}`, ...faultLines(fault));
  if (place?.statement !== undefined) lines.push(`Statement: ${excerpt(place.statement)}`);
  if (applied) lines.push(`Applied: ${applied}`);
  lines.push(`Next: ${next}`);
  return lines.join('\n');
}

function saidBy({ message, sqlstate }: PostgresFault): string {
  return `${message} (SQLSTATE ${sqlstate})`;
}

/** What psql shows below the message, each with its label. */
export function faultLines(fault: PostgresFault): string[] {
  const object = objectOf(fault);
  return [
    ...(fault.detail ? [`Detail: ${fault.detail}`] : []),
    ...(fault.hint ? [`Hint: ${fault.hint}`] : []),
    ...(fault.query ? [`Query: ${excerpt(fault.query)}`] : []),
    ...(fault.context ? [`Context: ${contextOf(fault.context)}`] : []),
    ...(object ? [`Object: ${object}`] : []),
  ];
}

/** `table app.kids, constraint kids_mom_fkey`: what psql shows with VERBOSITY verbose. */
function objectOf({ schema, table, column, dataType, constraint }: PostgresFault): string {
  const within = (name: string) => (schema ? `${schema}.${name}` : name);
  return [
    ...(table ? [`table ${within(table)}`] : []),
    ...(dataType ? [`type ${table ? dataType : within(dataType)}`] : []),
    ...(schema && !table && !dataType ? [`schema ${schema}`] : []),
    ...(column ? [`column ${column}`] : []),
    ...(constraint ? [`constraint ${constraint}`] : []),
  ].join(', ');
}

/** A function that calls itself has a line for each call, and each line may quote a statement. */
const MOST_CONTEXT_LINES = 12;

function contextOf(context: string): string {
  const lines = context.split('\n').map((line) => excerpt(line));
  const more = lines.length - MOST_CONTEXT_LINES;
  const shown = more > 0 ? [...lines.slice(0, MOST_CONTEXT_LINES), `… and ${more} more`] : lines;
  return shown.join('\n  ');
}

const EXCERPT_CHARACTERS = 300;

/** The beginning of a statement on one line, for errors and logs. */
export function excerpt(statement: string, characters = EXCERPT_CHARACTERS): string {
  const line = statement.replace(/\s+/g, ' ').trim();
  return line.length <= characters ? line : `${line.slice(0, characters - 1)}…`;
}
