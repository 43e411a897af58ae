import type { Position } from './migration.ts';
import { mayQuoteRows, type PostgresFault, withoutRowValues } from './postgres-fault.ts';
import { hasRowValues, type RowValues, type Text, textOf } from './row-values.ts';

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
  readonly what: Text;
  readonly place?: Place | undefined;
  readonly fault?: PostgresFault | undefined;
  /** What is already applied and stays; empty if nothing can be. */
  readonly applied?: string | undefined;
  /** What to do next; several lines are allowed. */
  readonly next: Text;
  readonly cause?: unknown;
  /** False where the ledger could not be written, so that it can't have this either. @default true */
  readonly recorded?: false;
}

/**
 * Base of every error that this project throws on purpose. Its message says what happened, where, what Postgres said,
 * what is applied and what to do next, in that order, so that the first lines survive CloudFormation's limit.
 */
export class MigrationError extends Error {
  override readonly name: string = 'MigrationError';
  readonly details: ErrorDetails;
  /** Whether the ledger has its text, for the action `status`. A run says so once it knows. */
  recorded: boolean;

  constructor(details: ErrorDetails) {
    super(format(details, 'shown'), details.cause === undefined ? undefined : { cause: details.cause });
    this.details = details;
    this.recorded = details.recorded ?? true;
  }

  get code(): string {
    return this.details.code;
  }

  /**
   * The message for readers without access to the database: without row values, and without SQL, which may contain
   * some.
   */
  get plainMessage(): string {
    return format(this.details, 'hidden', this.recorded ? IN_STATUS : IN_TERMINAL);
  }
}

const HIDDEN = 'Values of rows are not shown here';
const IN_STATUS = `${HIDDEN}: the action status has the whole text.`;
const IN_TERMINAL = `${HIDDEN}, and nothing of this is recorded: in a terminal, plan and up show the whole text.`;

function format(
  { what, place, fault, applied, next }: ErrorDetails,
  rows: RowValues,
  hidden = IN_STATUS,
): string {
  const lines: string[] = [];
  const where = place === undefined ? '' : `${place.file}:${place.position.line}:${place.position.column}: `;
  lines.push(`${where}${textOf(what, rows)}`);
  const said = fault !== undefined && rows === 'hidden' ? withoutRowValues(fault) : fault;
  if (said !== undefined) lines.push(`Postgres: ${saidBy(said)}`, ...faultLines(said));
  if (rows === 'shown') {
    if (place?.statement !== undefined) lines.push(`Statement: ${excerpt(place.statement)}`);
  } else if ([what, next].some(hasRowValues) || (fault !== undefined && mayQuoteRows(fault))) {
    lines.push(hidden);
  }
  if (applied) lines.push(`Applied: ${applied}`);
  lines.push(`Next: ${textOf(next, rows)}`);
  return lines.join('\n');
}

function saidBy({ message, sqlstate }: PostgresFault): string {
  return `${message} (SQLSTATE ${sqlstate})`;
}

/** The fields that psql shows below the message, with their labels. */
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

/** A recursive function adds a line per call, and each line may quote a statement. */
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
