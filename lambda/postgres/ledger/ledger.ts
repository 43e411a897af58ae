import * as v from 'valibot';
import { emptyLedger, type Ledger, type RecordedStep, stepStates } from '../../migration/ledger.ts';
import { MigrationError } from '../../migration/migration-error.ts';
import { sqlstate } from '../../migration/sqlstate.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { ScriptOutcome, Session, TextRow } from '../session/session.ts';
import { buildRow, parseRow, versionColumn } from './columns.ts';
import { FIRST_FORMAT, FORMAT_OF_NAMES, LEDGER_FORMAT, workTable } from './ledger-format.ts';
import { rightsColumns } from './ledger-rights.ts';

export interface LedgerRead {
  /** Whether its tables exist. */
  readonly exists: boolean;
  /**
   * Whether its schema exists: it may have been created for a role that may not create one, and CREATE SCHEMA IF NOT
   * EXISTS checks that privilege first.
   */
  readonly schemaExists: boolean;
  /** The newest upgrade that they have had; 0 without tables. */
  readonly format: number;
  readonly ledger: Ledger;
  /** Migrations that an operator declared never applied, where another tool's history leaves it open. */
  readonly notApplied: readonly string[];
  /** Why no run can write here. */
  readonly unwritable: Unwritable | undefined;
  /** Roles besides its owner that can write it, and so could have us execute anything. */
  readonly openTo: readonly string[];
  /** Whether our connection's startup setting reached the server, so that there is no pooler in between. */
  readonly direct: boolean;
}

/**
 * A hot standby; a read-only session, role or database; a schema that our role may not create, or where others may
 * create too; a ledger or schema that belongs to a foreign role.
 */
export type Unwritable = 'replica' | 'read-only' | 'no-schema' | 'in-public' | { readonly stranger: string };

/** Reported before anything is tried, also by a plan: Postgres's own error for our first statement would not help. */
export function unwritableError(why: Unwritable, schema: string, user: string): MigrationError {
  const { code, what, next } =
    typeof why === 'string' ? UNWRITABLE[why](schema, user) : ofStranger(why.stranger, schema, user);
  return new MigrationError({ code, what, applied: 'nothing by this run.', next });
}

interface Said {
  readonly code: string;
  readonly what: string;
  readonly next: string;
}

function ofStranger(stranger: string, schema: string, user: string): Said {
  const [s, owner, us] = [schema, stranger, user].map(quoteIdentifier);
  return {
    code: 'ledger-of-stranger',
    what: `The ledger's schema '${schema}', or the ledger in it, belongs to ${stranger}, and ${user} is not a member of that role. Whoever owns it could have ${user} execute anything.`,
    next: `if ${stranger} may, make ${user} a member (grant ${owner} to ${us}); or give the schema and its tables to ${user} (alter schema ${s} owner to ${us}; alter table … owner to …); or give another ledger schema; then run again.`,
  };
}

const UNWRITABLE: Readonly<Record<string & Unwritable, (schema: string, user: string) => Said>> = {
  replica: () => ({
    code: 'read-only',
    what: 'The server is a replica (hot standby), which accepts no changes.',
    next: "put the primary's address into the secret or the URL (of a cluster, the writer's endpoint); then run again.",
  }),
  'read-only': (_, user) => ({
    code: 'read-only',
    what: `Sessions of ${user} are read-only here (default_transaction_read_only is on).`,
    next: `remove it where it is set (alter role ${user} reset default_transaction_read_only; alter database … reset …; the server's settings; the connection's options). Some providers set it where the disk is full: give it more first. Then run again.`,
  }),
  'in-public': () => ({
    code: 'ledger-in-public',
    what: "There is no ledger yet, and it is not created in the schema 'public': others may create objects in it, or have privileges on new ones, and what the ledger says is executed as the migrations' role.",
    next: "give the ledger a schema of its own (the prop ledgerSchema, on the command line --schema; 'migrations' without it); then run again.",
  }),
  'no-schema': (schema, user) => ({
    code: 'ledger-refused',
    what: `There is no ledger yet, and ${user} may not create the schema '${schema}' for it.`,
    next: `create the schema as a superuser or the database's owner (create schema ${quoteIdentifier(schema)} authorization ${quoteIdentifier(user)}), or let the role create it (grant create on database … to ${quoteIdentifier(user)}); then run again.`,
  }),
};

/** Why others could have us execute anything, and what to do about it; undefined if they can't. */
export function exposureOf({ exists, openTo }: LedgerRead, schema: string): string | undefined {
  if (!exists) return undefined;
  if (openTo.length > 0) {
    const roles = openTo.map((role) => (role === 'public' ? role : quoteIdentifier(role))).join(', ');
    return `${openTo.join(', ')} can write the ledger's tables, of which the migrations execute what they say: revoke all on all tables in schema ${quoteIdentifier(schema)} from ${roles}`;
  }
  return schema === 'public'
    ? "the ledger is in the schema 'public', where others may create objects: move it into a schema of its own (docs/security.md explains how)"
    : undefined;
}

/** Whether it exists, and was written by earlier code. */
export function isOlder({ exists, format }: LedgerRead): boolean {
  return exists && format < LEDGER_FORMAT;
}

/** PostgreSQL 14, whose sessions know client_connection_check_interval and idle_session_timeout. */
const OLDEST_SERVER = 140_000;

/** One round trip; writes nothing, and needs nothing to exist. */
export async function readLedger(session: Session, schema: string): Promise<LedgerRead> {
  const read = parseLedger(await session.script(ledgerQuery(schema)), schema, 0);
  // Its table of builds may have an older name.
  if (!isOlder(read)) return read;
  return parseLedger(await session.script(ledgerQuery(schema, read.format)), schema, 0);
}

/** The table of builds in any format, for callers that have not read the ledger. */
export async function workTableNow(session: Session, schema: string): Promise<string> {
  const [row] = await session.query('select pg_catalog.to_regclass($1) is not null as present', [
    workTable(schema),
  ]);
  return row?.present === true ? workTable(schema) : workTable(schema, FIRST_FORMAT);
}

/**
 * The query of readLedger(), to send in one message with others. It is four statements. `read_only` is the session's
 * initial value, since a preflight makes the session read-only itself.
 */
export function ledgerQuery(schema: string, format?: number): string {
  const s = quoteIdentifier(schema);
  return `
select pg_catalog.current_setting('migrations.direct', true) as direct,
       pg_catalog.current_setting('server_version_num') as version,
       pg_catalog.pg_is_in_recovery() as replica,
       case when pg_catalog.current_setting('transaction_read_only') = 'on'
            then (select reset_val from pg_catalog.pg_settings where name = 'default_transaction_read_only') end as read_only,
       pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create') as may_create,
       exists (select from pg_catalog.pg_namespace where nspname = ${quoteLiteral(schema)}) as schema_is_there,
       ${rightsColumns(schema)};
${formatQuery(schema)};
select pg_catalog.json_agg(pg_catalog.json_build_object(
         'version', version, 'step', step, 'steps', steps, 'name', name,
         'checksum', checksum, 'fingerprint', fingerprint, 'state', state)) as steps
  from ${s}.step;
select pg_catalog.json_agg(pg_catalog.json_build_object(
         'id', id::text, 'version', version, 'step', step, 'schema', schema_name, 'table', table_name,
         'operation', operation, 'index', index_name, 'unique', is_unique, 'state', state) order by id) as builds
  from ${workTable(schema, format)} as work
 where state <> 'done';`;
}

/**
 * `first` is the position of ledgerQuery() among the statements of the message. If the ledger is older than the query
 * expects, only the format is valid.
 */
export function parseLedger(outcome: ScriptOutcome, schema: string, first: number): LedgerRead {
  const { fault, rows } = outcome;
  const server = rows[first]?.[0];
  const direct = server?.direct === '1';
  const schemaExists = server?.schema_is_there === 't';
  const stranger = server?.stranger == null ? undefined : { stranger: server.stranger };
  const openTo = v.parse(v.array(v.string()), JSON.parse(server?.writers ?? '[]'));
  const readOnly = server?.replica === 't' ? 'replica' : server?.read_only === 'on' ? 'read-only' : undefined;
  if (Number(server?.version) < OLDEST_SERVER) throw tooOld(String(server?.version));
  const formats = parseFormats(rows[first + 1]?.[0]);
  if (formats !== undefined && formats.format > LEDGER_FORMAT) {
    throw new MigrationError({
      code: 'ledger-newer',
      what: `The ledger in schema '${schema}' has format ${formats.format}; this version knows ${LEDGER_FORMAT} at most.`,
      next: 'deploy the version that wrote it, or a newer one.',
    });
  }
  if (fault !== undefined) {
    const code = fault.fault.sqlstate;
    const missing = code === sqlstate.undefinedTable || code === sqlstate.undefinedSchema;
    if (missing && formats === undefined) {
      const missingSchema = schemaExists || server?.may_create === 't' ? undefined : 'no-schema';
      const inPublic = schema === 'public' ? 'in-public' : undefined;
      const unwritable = readOnly ?? stranger ?? inPublic ?? missingSchema;
      return {
        exists: false,
        schemaExists,
        format: 0,
        ledger: emptyLedger,
        notApplied: [],
        unwritable,
        direct,
        openTo: [],
      };
    }
    if (missing && formats !== undefined && formats.upgradedTo < LEDGER_FORMAT)
      return {
        exists: true,
        schemaExists,
        format: formats.upgradedTo,
        ledger: emptyLedger,
        notApplied: [],
        unwritable: readOnly ?? stranger,
        direct,
        openTo,
      };
    throw new MigrationError({
      code: 'ledger-unreadable',
      what: `The ledger in schema '${schema}' can't be read.`,
      fault: fault.fault,
      next: 'connect as the role that created the ledger, or give another ledger schema.',
      cause: fault,
    });
  }
  return {
    exists: true,
    schemaExists,
    format: formats?.upgradedTo ?? FIRST_FORMAT,
    notApplied: formats?.notApplied ?? [],
    unwritable: readOnly ?? stranger,
    direct,
    openTo,
    ledger: {
      steps: parseRow(stepRows, JSON.parse(rows[first + 2]?.[0]?.steps ?? '[]')),
      builds: parseRow(buildRows, JSON.parse(rows[first + 3]?.[0]?.builds ?? '[]')),
    },
  };
}

function tooOld(version: string): MigrationError {
  return new MigrationError({
    code: 'server-too-old',
    what: `The server is PostgreSQL ${Math.floor(Number(version) / 10_000)}; 14 is the oldest that works here.`,
    applied: 'nothing.',
    next: 'upgrade the server: PostgreSQL 13 and older get no fixes any more.',
  });
}

/** Part of ledgerQuery(): one statement. As JSON, since a column that is named has to be there. */
export function formatQuery(schema: string): string {
  return `select pg_catalog.to_json(ledger) as ledger from ${quoteIdentifier(schema)}.ledger`;
}

/** Whether the row of formatQuery() comes from an older ledger. */
export function isOlderRow(row: TextRow | undefined): boolean {
  const formats = parseFormats(row);
  return formats !== undefined && formats.upgradedTo < LEDGER_FORMAT;
}

/** A ledger of the first format has no `upgraded_to`. */
const ledgerRow = v.object({
  format: v.number(),
  upgraded_to: v.optional(v.number(), FIRST_FORMAT),
  not_applied: v.optional(v.array(v.string()), []),
});

interface Formats {
  /** The oldest code that may use it. */
  readonly format: number;
  readonly upgradedTo: number;
  readonly notApplied: readonly string[];
}

function parseFormats(row: TextRow | undefined): Formats | undefined {
  if (row?.ledger == null) return undefined;
  const { format, upgraded_to, not_applied } = parseRow(ledgerRow, JSON.parse(row.ledger));
  return { format, upgradedTo: upgraded_to, notApplied: not_applied };
}

const stepRows = v.array(
  v.object({
    version: versionColumn,
    step: v.number(),
    steps: v.number(),
    name: v.string(),
    checksum: v.string(),
    fingerprint: v.string(),
    state: v.picklist(stepStates),
  }),
);

const buildRows = v.array(
  v.pick(buildRow, ['id', 'version', 'step', 'operation', 'schema', 'table', 'index', 'unique', 'state']),
);

export interface StepRow extends Omit<RecordedStep, 'version' | 'state'> {
  readonly version: string;
  /** Its place in the folder, from 0. */
  readonly position?: number | undefined;
}

/**
 * The row that makes a step happen once: it is inserted in the step's own transaction, before the author's statements,
 * so that their SET ROLE and search_path do not affect it, and its primary key refuses a second application. Replaces
 * the row of an earlier, failed build.
 */
export function insertStep(schema: string, row: StepRow, into: { state: string; runId: string }): string {
  const values = [
    quoteLiteral(row.version),
    row.step,
    row.steps,
    quoteLiteral(row.name),
    quoteLiteral(row.checksum),
    quoteLiteral(row.fingerprint),
    quoteLiteral(into.state),
    quoteLiteral(into.runId),
    row.position ?? 'null',
  ].join(', ');
  return `insert into ${quoteIdentifier(schema)}.step (version, step, steps, name, checksum, fingerprint, state, run_id, position) values (${values})`;
}

/** Deletes all rows of a migration, or of one of its steps. Two statements, for one transaction. */
export function forgetRows(schema: string, of: { version: string; step?: number }): string[] {
  const s = quoteIdentifier(schema);
  const step = of.step === undefined ? '' : ` and step operator(pg_catalog.=) ${of.step}`;
  const where = `version operator(pg_catalog.=) ${quoteLiteral(of.version)}${step}`;
  return [`delete from ${s}.work where ${where}`, `delete from ${s}.step where ${where}`];
}

export function setStepState(schema: string, key: { version: string; step: number }, state: string): string {
  return `update ${quoteIdentifier(schema)}.step
   set state = ${quoteLiteral(state)}, finished_at = pg_catalog.clock_timestamp()
 where version = ${quoteLiteral(key.version)} and step = ${key.step}`;
}

/** Renames migrations that an older ledger knows by their digits to the tool's own names. */
export function renameMigrations(
  schema: string,
  renames: readonly { readonly from: string; readonly to: string; readonly name: string }[],
): string[] {
  const s = quoteIdentifier(schema);
  return renames.flatMap(({ from, to, name }) => [
    `update ${s}.step set version = ${quoteLiteral(to)} where version = ${quoteLiteral(from)} and name = ${quoteLiteral(name)}`,
    `update ${s}.work set version = ${quoteLiteral(to)} where version = ${quoteLiteral(from)}`,
    `update ${s}.undo_progress set version = ${quoteLiteral(to)} where version = ${quoteLiteral(from)}`,
  ]);
}

/** Locks out code that knows migrations by digits only: it would apply the renamed ones again. */
export function refuseDigits(schema: string): string {
  return `update ${quoteIdentifier(schema)}.ledger set format = ${FORMAT_OF_NAMES} where format < ${FORMAT_OF_NAMES}`;
}
