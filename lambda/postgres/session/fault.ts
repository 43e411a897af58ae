import type { PostgresFault } from '../../migration/migration-error.ts';

/** A statement that Postgres refused; the session goes on. */
export class StatementFault extends Error {
  readonly fault: PostgresFault;
  /** 1-based, in characters of the text that was sent; absent where Postgres names none. */
  readonly position: number | undefined;

  constructor(fault: PostgresFault, position?: number) {
    super(`${fault.message} (SQLSTATE ${fault.sqlstate})`);
    this.name = 'StatementFault';
    this.fault = fault;
    this.position = position;
  }
}

/** The session is gone: whether the last message was carried out is not known. */
export class SessionLost extends Error {
  constructor(cause: unknown) {
    super(`the connection to Postgres was lost: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.name = 'SessionLost';
  }
}

/** SQLSTATEs after which the server ends the session. */
const ENDS_SESSION = new Set(['57P01', '57P02', '57P05', '25P03', '25P04']);

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

/** Turns what the driver throws into one of the two: what Postgres said, or a lost session. */
export function fromDriver(error: unknown): StatementFault | SessionLost {
  if (error instanceof StatementFault || error instanceof SessionLost) return error;
  if (!(error instanceof Error)) return new SessionLost(error);
  const said: DriverError = error;
  if (typeof said.code !== 'string' || typeof said.severity !== 'string' || said.code.length !== 5) {
    return new SessionLost(error);
  }
  if (ENDS_SESSION.has(said.code)) return new SessionLost(error);
  const position = typeof said.position === 'string' ? Number(said.position) : undefined;
  return new StatementFault(
    {
      sqlstate: said.code,
      message: said.message,
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
}

export function noticeFrom(said: Partial<DriverError>): Notice {
  return {
    severity: text(said.severity) ?? 'NOTICE',
    sqlstate: text(said.code) ?? '00000',
    message: text(said.message) ?? '',
    detail: text(said.detail),
    hint: text(said.hint),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** SQLSTATEs by name, so that no code compares message texts. */
export const sqlstate = {
  undefinedTable: '42P01',
  undefinedSchema: '3F000',
  undefinedObject: '42704',
  duplicateTable: '42P07',
  lockNotAvailable: '55P03',
  deadlockDetected: '40P01',
  serializationFailure: '40001',
  queryCanceled: '57014',
  uniqueViolation: '23505',
  insufficientPrivilege: '42501',
  invalidTransactionTermination: '2D000',
} as const;
