import type { Statement } from './migration.ts';
import type { PostgresFault } from './postgres-fault.ts';
import { sqlstate } from './sqlstate.ts';

/** What is known of the statement that failed. */
type Failed = Pick<Statement, 'kind' | 'text'> | undefined;

interface Advice {
  readonly sqlstates: readonly string[];
  /** Where the SQLSTATE alone says too little. */
  readonly only?: (fault: PostgresFault) => boolean;
  readonly next: (file: string, statement: Failed) => string;
}

const ANOTHER_RUN = 'then run again; the run continues with this step.';

function isThere(file: string, orElse: string): string {
  return `it is there already: if by hand or by another tool, with all else that ${file} does, record the whole file as applied (the action repair with as "applied", or baseline; where nothing of it is applied yet); else drop or rename it${orElse}; ${ANOTHER_RUN}`;
}

/** The first match counts. SQLSTATEs as Postgres's appendix A has them, or their class's two characters. */
const ADVICE: readonly Advice[] = [
  {
    sqlstates: [sqlstate.objectInUse],
    only: ({ message }) => /^(?:database|cannot drop the currently open|replication slot)/.test(message),
    next: () => `other sessions use it: end them, or do it by hand from another database; ${ANOTHER_RUN}`,
  },
  {
    // Postgres has one SQLSTATE for two causes. If the server's messages are in another language, the first is far more
    // common.
    sqlstates: [sqlstate.objectInUse],
    only: ({ message }) => !message.includes('active queries'),
    next: (file) =>
      `rows that ${file} has changed in this transaction wait for deferred constraints or triggers: write COMMIT; between the change and this statement, or SET CONSTRAINTS ALL IMMEDIATE; before it; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.objectInUse],
    next: (file) =>
      `a query or cursor of this very session is still at work on the table, or a function or trigger changes a table from within: close the cursor, or take the statement out of the function, in ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.undefinedColumn],
    only: isInFunction,
    next: (file) =>
      `the function that Context names uses it, for a column, a variable or a field of NEW and OLD: correct the function in a file before ${file}, or ${file} where the column goes or comes; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [
      sqlstate.undefinedFunction,
      sqlstate.undefinedTable,
      sqlstate.undefinedObject,
      sqlstate.undefinedSchema,
    ],
    only: isInFunction,
    next: (file) =>
      `the name is used inside the function that Context names, and its search path does not lead there (since PostgreSQL 17 indexes, REINDEX, CLUSTER and REFRESH MATERIALIZED VIEW run with pg_catalog alone): write the name with its schema in the function, or alter function … set search_path = …, in a file before ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [
      sqlstate.undefinedTable,
      sqlstate.undefinedFunction,
      sqlstate.undefinedObject,
      sqlstate.undefinedSchema,
    ],
    next: (file) =>
      `see that an earlier file creates it, and that its schema is in the search_path (show search_path; the connection's, the role's, the file's), or write the name with its schema; correct ${file} and run again; the run continues with this step.`,
  },
  {
    sqlstates: [sqlstate.duplicateColumn],
    next: (file) => isThere(file, ', or write ADD COLUMN IF NOT EXISTS'),
  },
  {
    sqlstates: [
      sqlstate.duplicateTable,
      sqlstate.duplicateObject,
      sqlstate.duplicateSchema,
      sqlstate.duplicateFunction,
      sqlstate.duplicateDatabase,
    ],
    next: (file, statement) =>
      passesOver(statement)
        ? `something has the name that IF NOT EXISTS does not pass over (the index of a constraint, a type, a sequence): drop or rename it, or choose another name in ${file}; ${ANOTHER_RUN}`
        : isThere(file, insteadOf(statement)),
  },
  {
    sqlstates: [sqlstate.wrongObjectType],
    next: (file) =>
      `the name belongs to another kind of object, a view for a table, say (psql's \\d shows it): drop or rename that first, or write the statement for its kind, in ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.invalidColumnReference, sqlstate.invalidForeignKey],
    only: ({ message }) => /unique/.test(message),
    next: (file) =>
      `create a unique index or constraint on exactly these columns first (a partial one needs its WHERE in ON CONFLICT too), in ${file} or a file before it; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.checkViolation],
    only: ({ message }) => message.startsWith('no partition of relation'),
    next: (file) => `create the partition that the row needs, in a file before ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.insufficientPrivilege],
    only: ({ message }) => message.includes('row-level security'),
    next: () =>
      `the policies of the table bind our role: migrate as a role with BYPASSRLS, or as the owner of a table without FORCE, or add a policy for it; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.untranslatableCharacter, sqlstate.invalidCharacter],
    next: (file) =>
      `${file}, or its name, has a character that the database's encoding lacks (show server_encoding): write another, or rename the file; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.unsafeNewEnumValue],
    next: (file) =>
      `a new value of an enum can be used once it is committed: write COMMIT; after ALTER TYPE … ADD VALUE in ${file}, or use the value in a later file; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.invalidTransactionTermination],
    next: (file) => `it commits by itself: put "-- migrate: no-transaction" into ${file}, then run again.`,
  },
  {
    sqlstates: [sqlstate.activeTransaction],
    next: (file) =>
      `it runs outside of a transaction only: put it in a file of its own, with "-- migrate: no-transaction" where the statement is inside a function, in place of ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [
      sqlstate.uniqueViolation,
      sqlstate.foreignKeyViolation,
      sqlstate.notNullViolation,
      sqlstate.checkViolation,
      sqlstate.exclusionViolation,
    ],
    next: (file) =>
      `fix the rows that are in the way, in a file before ${file}, or correct ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.dependentObjectsExist],
    next: (file) =>
      `other objects need it (Detail names them): drop or change them first in ${file}, or write CASCADE if they may go with it; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.insufficientPrivilege],
    only: ({ message }) =>
      /^(?:permission denied to (?:create|set|alter)|must be superuser|access to library)/.test(message),
    next: (file) =>
      `let an administrator do it once, and take it out of ${file} (or write IF NOT EXISTS); ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.insufficientPrivilege],
    only: ({ message }) => message.startsWith('permission denied for schema'),
    next: (file) =>
      `grant usage, create on schema … to the role that runs it (the connection's, or that of a SET ROLE in ${file}); ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.insufficientPrivilege],
    next: (file) =>
      `let the role of the connection do it (own the object, or be a member of its owner: grant OWNER to ROLE, and set role OWNER in ${file} where it does not inherit); ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.readOnlyTransaction],
    next: () =>
      "the session is read-only: connect to the primary and not to a replica, and take default_transaction_read_only off (alter database … reset default_transaction_read_only, or the role's, the connection's options, a SET of the file); then run again; the run continues with this step.",
  },
  {
    sqlstates: [sqlstate.queryCanceled],
    next: (file) =>
      `the statement was cancelled, by a person or by a statement_timeout of ${file}, of the role or of the database: find out which, raise the limit in the file (set local statement_timeout = …) or make the statement smaller; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.diskFull],
    next: () => `give the server more disk, or free some; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.outOfMemory, '54'],
    next: (file) =>
      `the statement goes over a limit of the server: make it smaller, or divide it, in ${file}, or raise the limit that Hint names; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.undefinedFile, sqlstate.featureNotSupported],
    only: ({ message }) => /extension .*(?:is not available|control file)/i.test(message),
    next: (file) =>
      `the server has no such extension: install its package there, or allow it (RDS and Cloud SQL have lists), or take it out of ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.featureNotSupported],
    only: ({ message }) => message.startsWith('cannot alter type of a column'),
    next: (file) =>
      `drop what Detail names, alter the column and create it again, in one transaction of ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.invalidFunctionDefinition, sqlstate.invalidTableDefinition],
    only: ({ message }) => /^cannot (?:change|drop)/.test(message),
    next: (file) => `drop the function or view first, and create it again in ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: [sqlstate.invalidParameterValue],
    only: ({ message }) => /^role .* does not exist$/.test(message),
    next: (file) => `create the role in an earlier file, or correct its name in ${file}; ${ANOTHER_RUN}`,
  },
  {
    sqlstates: ['22'],
    only: (fault) => fault.sqlstate !== sqlstate.divisionByZero,
    next: (file) =>
      `a value does not fit: correct it in ${file}, or, where it comes from rows, fix those in a file before it; ${ANOTHER_RUN}`,
  },
];

/**
 * Whether a function failed, rather than the file's own text: a DO block is that too. Context has the innermost frame
 * first; above it may be the text of a statement within it.
 */
function isInFunction({ context, query }: PostgresFault): boolean {
  const frame = context
    ?.split('\n')
    .find((line) => /^(?:PL\/pgSQL|SQL) function|inline_code_block/.test(line));
  return frame === undefined ? (context ?? query) !== undefined : !frame.includes('inline_code_block');
}

function passesOver(statement: Failed): boolean {
  return /\bif\s+not\s+exists\b/i.test(statement?.text ?? '');
}

const SKIPS = ', or write IF NOT EXISTS, which passes over whatever has the name, a view for a table too';

/** The form of a CREATE that does not mind, where there is one. */
const FORMS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['CreateStmt', 'CreateTableAsStmt', 'CreateForeignTableStmt', 'CreateSeqStmt', 'IndexStmt'].map(
      (kind) => [kind, SKIPS],
    ),
  ),
  ...Object.fromEntries(
    ['CreateSchemaStmt', 'CreateExtensionStmt', 'AlterEnumStmt', 'CreateStatsStmt'].map((kind) => [
      kind,
      ', or write IF NOT EXISTS',
    ]),
  ),
  ...Object.fromEntries(
    ['ViewStmt', 'CreateFunctionStmt', 'CreateTrigStmt', 'RuleStmt'].map((kind) => [
      kind,
      ', or write CREATE OR REPLACE',
    ]),
  ),
};

function insteadOf(statement: Failed): string {
  if (statement === undefined) return '';
  return FORMS[statement.kind] ?? ', with DROP … IF EXISTS before the statement';
}

/** Advice for an error of Postgres, by its SQLSTATE; undefined without one. */
function knownAdvice(fault: PostgresFault, file: string, statement: Failed): string | undefined {
  return ADVICE.find(
    ({ sqlstates, only }) =>
      sqlstates.some((state) => fault.sqlstate.startsWith(state)) && (only === undefined || only(fault)),
  )?.next(file, statement);
}

/**
 * The same for an index build, whose file need not be corrected because of rows, a full disk or a cancellation. An index
 * that exists has a hint from us.
 */
export function adviceForBuild(fault: PostgresFault, file: string): string | undefined {
  return /^(?:23|53|57|42P07)/.test(fault.sqlstate) ? undefined : knownAdvice(fault, file, undefined);
}

/** What to do about a statement of a file that Postgres refused. */
export function adviceFor(fault: PostgresFault, file: string, statement?: Failed): string {
  return (
    knownAdvice(fault, file, statement) ?? `correct ${file} and run again; the run continues with this step.`
  );
}
