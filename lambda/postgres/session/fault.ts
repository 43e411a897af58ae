import { MigrationError } from '../../migration/migration-error.ts';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { withoutRowValues } from '../../migration/postgres-fault.ts';
import type { RowValues } from '../../migration/row-values.ts';
import { endsSession } from '../../migration/sqlstate.ts';

/** Postgres refused a statement; the session is still usable. */
export class StatementFault extends Error {
  readonly fault: PostgresFault;
  /** 1-based, in characters of the text that was sent; absent if Postgres gives none. */
  readonly position: number | undefined;

  constructor(fault: PostgresFault, position?: number) {
    super(`${fault.message} (SQLSTATE ${fault.sqlstate})`);
    this.name = 'StatementFault';
    this.fault = fault;
    this.position = position;
  }

  /** The message without values of rows. */
  get plainMessage(): string {
    const { message, sqlstate } = withoutRowValues(this.fault);
    return `${message} (SQLSTATE ${sqlstate})`;
  }
}

/** Whatever was thrown, in words. */
export function textOfError(error: unknown, rows: RowValues): string {
  if (!(error instanceof Error)) return String(error);
  const hidden = rows === 'hidden' && (error instanceof MigrationError || error instanceof StatementFault);
  return hidden ? error.plainMessage : error.message;
}

/** The session is gone: it is unknown whether the last message was executed. */
export class SessionLost extends Error {
  constructor(cause: unknown) {
    const error = errorOf(cause);
    super(`the connection to Postgres was lost: ${reasonOf(error)}`, { cause: error });
    this.name = 'SessionLost';
  }

  /** What the server said before it ended the session; undefined where the connection was lost otherwise. */
  get sqlstate(): string | undefined {
    const { cause } = this;
    return cause instanceof Error && 'code' in cause && endsSession.has(String(cause.code))
      ? String(cause.code)
      : undefined;
  }
}

/** A failed WebSocket emits an event that contains the error; several addresses fail as an aggregate. */
function errorOf(thrown: unknown): unknown {
  if (thrown instanceof AggregateError) return thrown.errors.map(errorOf).find(hasReason) ?? thrown;
  if (thrown instanceof Error || typeof thrown !== 'object' || thrown === null) return thrown;
  if ('error' in thrown && thrown.error !== undefined && thrown.error !== null) return errorOf(thrown.error);
  return hasReason(thrown) ? new Error(thrown.message) : thrown;
}

function hasReason(thrown: unknown): thrown is { readonly message: string } {
  return (
    typeof thrown === 'object' &&
    thrown !== null &&
    'message' in thrown &&
    typeof thrown.message === 'string' &&
    thrown.message !== ''
  );
}

/** In words, whatever it is that was thrown; without a full stop. */
export function reasonOf(thrown: unknown): string {
  const error = errorOf(thrown);
  if (hasReason(error)) return error.message.replace(/\.$/, '');
  if (error instanceof Error) return 'code' in error && error.code ? String(error.code) : error.name;
  return typeof error === 'string' && error !== '' ? error : 'the connection failed, and nothing says why';
}

interface DriverError {
  readonly message: string;
  readonly code?: unknown;
  readonly severity?: unknown;
  readonly detail?: unknown;
  readonly hint?: unknown;
  readonly where?: unknown;
  readonly position?: unknown;
  readonly internalQuery?: unknown;
  readonly schema?: unknown;
  readonly table?: unknown;
  readonly column?: unknown;
  readonly dataType?: unknown;
  readonly constraint?: unknown;
}

/** Turns an error of the driver into one of the two: a refused statement or a lost session. */
export function fromDriver(error: unknown): StatementFault | SessionLost {
  if (error instanceof StatementFault || error instanceof SessionLost) return error;
  if (!(error instanceof Error)) return new SessionLost(error);
  const said: DriverError = error;
  if (typeof said.code !== 'string' || typeof said.severity !== 'string' || said.code.length !== 5) {
    return new SessionLost(error);
  }
  if (endsSession.has(said.code)) return new SessionLost(error);
  const position = typeof said.position === 'string' ? Number(said.position) : undefined;
  return new StatementFault(
    {
      sqlstate: said.code,
      message: text(said.message) ?? '',
      detail: text(said.detail),
      hint: text(said.hint),
      context: text(said.where),
      query: text(said.internalQuery),
      schema: text(said.schema),
      table: text(said.table),
      column: text(said.column),
      dataType: text(said.dataType),
      constraint: text(said.constraint),
    },
    position,
  );
}

/** What a statement says while it runs: `raise notice`, and Postgres's own warnings. */
export interface Notice {
  /** `WARNING`, `NOTICE`, …; in the server's language. */
  readonly severity: string;
  readonly sqlstate: string;
  readonly message: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly context: string | undefined;
}

export function noticeFrom(said: Partial<DriverError>): Notice {
  return {
    severity: text(said.severity) ?? 'NOTICE',
    sqlstate: text(said.code) ?? '00000',
    message: text(said.message) ?? '',
    detail: text(said.detail),
    hint: text(said.hint),
    context: text(said.where),
  };
}

/** A RAISE may say megabytes, which nobody reads; copied, since a slice would keep the whole in memory. */
const LONGEST_TEXT = 20_000;

function text(value: unknown): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  return value.length > LONGEST_TEXT ? `${Buffer.from(value.slice(0, LONGEST_TEXT)).toString()}…` : value;
}
