import * as v from 'valibot';
import type { Ledger } from '../../migration/ledger.ts';
import { emptyLedger } from '../../migration/ledger.ts';
import { MigrationError } from '../../migration/migration-error.ts';
import { parseVersion } from '../../migration/version.ts';
import { sqlstate } from '../session/fault.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { ScriptOutcome, Session } from '../session/session.ts';

/** Raised with every change of the tables below; `createLedger` brings an older ledger up to it. */
export const LEDGER_FORMAT = 1;

export interface LedgerRead {
  /** Its tables are there. */
  readonly exists: boolean;
  readonly ledger: Ledger;
  /** Our connection's own startup setting arrived at the server: no pooler stands between. */
  readonly direct: boolean;
}

/** PostgreSQL 14, whose sessions know client_connection_check_interval and idle_session_timeout. */
const OLDEST_SERVER = 140_000;

/** One round trip; writes nothing, and needs nothing to exist. */
export async function readLedger(session: Session, schema: string): Promise<LedgerRead> {
  return parseLedger(await session.script(ledgerQuery(schema)), schema, 0);
}

/** The query behind readLedger(), to be sent in one message with others. It is four statements. */
export function ledgerQuery(schema: string): string {
  const s = quoteIdentifier(schema);
  return `
select pg_catalog.current_setting('migrations.direct', true) as direct,
       pg_catalog.current_setting('server_version_num') as version;
select format as ledger_format from ${s}.ledger;
select pg_catalog.json_agg(pg_catalog.json_build_object(
         'version', version, 'step', step, 'steps', steps, 'name', name,
         'checksum', checksum, 'fingerprint', fingerprint, 'state', state)) as steps
  from ${s}.step;
select pg_catalog.json_agg(pg_catalog.json_build_object(
         'id', id::text, 'version', version, 'step', step, 'schema', schema_name, 'table', table_name,
         'index', index_name, 'unique', is_unique, 'state', state) order by id) as builds
  from ${s}.index_build
 where state <> 'done';`;
}

/** `first` is the position of ledgerQuery() among the statements of the message. */
export function parseLedger(outcome: ScriptOutcome, schema: string, first: number): LedgerRead {
  const { fault, rows } = outcome;
  const server = rows[first]?.[0];
  const direct = server?.direct === '1';
  if (Number(server?.version) < OLDEST_SERVER) throw tooOld(String(server?.version));
  if (fault !== undefined) {
    const code = fault.fault.sqlstate;
    if (code === sqlstate.undefinedTable || code === sqlstate.undefinedSchema) {
      return { exists: false, ledger: emptyLedger, direct };
    }
    throw new MigrationError({
      code: 'ledger-unreadable',
      what: `The ledger in schema '${schema}' can't be read.`,
      fault: fault.fault,
      next: 'connect as the role that created the ledger, or give another ledger schema.',
      cause: fault,
    });
  }
  const format = Number(rows[first + 1]?.[0]?.ledger_format);
  if (!(format <= LEDGER_FORMAT)) {
    throw new MigrationError({
      code: 'ledger-newer',
      what: `The ledger in schema '${schema}' has format ${format}; this version knows ${LEDGER_FORMAT} at most.`,
      next: 'deploy the version that wrote it, or a newer one.',
    });
  }
  return {
    exists: true,
    direct,
    ledger: {
      steps: v.parse(stepRows, JSON.parse(rows[first + 2]?.[0]?.steps ?? '[]')),
      builds: v.parse(buildRows, JSON.parse(rows[first + 3]?.[0]?.builds ?? '[]')),
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

export const versionColumn = v.pipe(
  v.string(),
  v.transform((text) => parseVersion(text)),
  v.check((version) => version !== undefined, 'a version is digits'),
  v.transform((version) => version as NonNullable<typeof version>),
);

const stepRows = v.array(
  v.object({
    version: versionColumn,
    step: v.number(),
    steps: v.number(),
    name: v.string(),
    checksum: v.string(),
    fingerprint: v.string(),
    state: v.picklist(['started', 'pending', 'failed', 'applied', 'baselined']),
  }),
);

const buildRows = v.array(
  v.object({
    id: v.string(),
    version: versionColumn,
    step: v.number(),
    schema: v.string(),
    table: v.string(),
    index: v.string(),
    unique: v.boolean(),
    state: v.picklist(['pending', 'building', 'done', 'failed', 'cancelled']),
  }),
);

/**
 * Statements that create the ledger where it is missing. To be sent as one transaction, under the run lock:
 * `create … if not exists` alone fails when two sessions do it at the same moment.
 */
export function createLedger(schema: string): string {
  const s = quoteIdentifier(schema);
  return `
create schema if not exists ${s};
create table if not exists ${s}.ledger (
  one boolean primary key default true check (one),
  format int not null
);
create table if not exists ${s}.run (
  id uuid primary key,
  action text not null,
  cause text not null,
  actor text not null,
  started_at timestamptz not null default pg_catalog.clock_timestamp(),
  finished_at timestamptz,
  outcome text check (outcome in ('done', 'waiting', 'unfinished', 'failed')),
  summary jsonb
);
create table if not exists ${s}.step (
  version text not null,
  step int not null,
  steps int not null,
  name text not null,
  checksum text not null,
  fingerprint text not null,
  state text not null check (state in ('started', 'pending', 'failed', 'applied', 'baselined')),
  run_id uuid not null,
  recorded_at timestamptz not null default pg_catalog.clock_timestamp(),
  finished_at timestamptz,
  primary key (version, step)
);
create table if not exists ${s}.index_build (
  id bigint generated always as identity primary key,
  version text not null,
  step int not null,
  run_id uuid not null,
  file text not null,
  line int not null,
  operation text not null check (operation in ('create', 'drop', 'reindex')),
  schema_name text not null,
  table_name text not null,
  index_name text not null,
  is_unique boolean not null default false,
  statement text not null,
  definition text not null default '',
  settings text[] not null default '{}',
  replaces oid[] not null default '{}',
  partitioned boolean not null default false,
  parent_build bigint references ${s}.index_build (id) on delete cascade,
  state text not null default 'pending' check (state in ('pending', 'building', 'done', 'failed', 'cancelled')),
  attempts int not null default 0,
  turns int not null default 0,
  session text check (session in ('loopback', 'orphan', 'attached')),
  supervisor_pid int,
  builder_pid int,
  requested_at timestamptz not null default pg_catalog.clock_timestamp(),
  first_started_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  attempt_outcome jsonb,
  fault jsonb,
  adopted boolean not null default false,
  table_rows bigint,
  table_bytes bigint
);
create index if not exists index_build_unfinished on ${s}.index_build (schema_name, table_name, id)
  where state in ('pending', 'building');
create table if not exists ${s}.session_probe (
  kind text primary key check (kind in ('loopback', 'orphan')),
  survives boolean not null,
  because text not null,
  probed_at timestamptz not null default pg_catalog.clock_timestamp()
);
insert into ${s}.ledger (format) values (${LEDGER_FORMAT}) on conflict (one) do update set format = excluded.format;`;
}

export interface StepRow {
  readonly version: string;
  readonly step: number;
  readonly steps: number;
  readonly name: string;
  readonly checksum: string;
  readonly fingerprint: string;
}

/**
 * The row that makes a step happen once: it is written in the step's own transaction, before the author's
 * statements, so that neither their SET ROLE nor their search_path can touch it, and its primary key refuses a
 * second application. A row of an earlier, failed build is replaced.
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
  ].join(', ');
  return `insert into ${quoteIdentifier(schema)}.step (version, step, steps, name, checksum, fingerprint, state, run_id) values (${values})`;
}

export function setStepState(schema: string, key: { version: string; step: number }, state: string): string {
  return `update ${quoteIdentifier(schema)}.step
   set state = ${quoteLiteral(state)}, finished_at = pg_catalog.clock_timestamp()
 where version = ${quoteLiteral(key.version)} and step = ${key.step}`;
}
