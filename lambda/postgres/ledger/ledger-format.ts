import { quoteIdentifier } from '../session/quote.ts';
import { closeLedger } from './ledger-rights.ts';

/** The format of ledgers before there were upgrades. */
export const FIRST_FORMAT = 1;

/** One change of the ledger's tables. docs/ledger.md tells how to add one. */
interface LedgerUpgrade {
  /** What the change is for. */
  readonly what: string;
  /** Statements, separated by semicolons. `s` is the ledger's schema, quoted. */
  readonly statements: (s: string) => string;
  /**
   * Earlier code can't use the ledger after it, and refuses it. A stack that is rolled back fails then: a last resort.
   */
  readonly refusesOlderCode?: true;
}

/**
 * In order; a ledger has had the first few or all of them. Once on main, an upgrade is never changed, moved or removed:
 * append. The first brings a ledger to format 2.
 */
const UPGRADES: readonly LedgerUpgrade[] = [
  {
    what: 'the newest upgrade that the ledger has had; `format` is from now on the oldest code that may use it',
    statements: (s) => `alter table ${s}.ledger add column upgraded_to int not null default ${FIRST_FORMAT}`,
  },
  {
    what: 'how far an undo came that was cut short; until now the first undo created it',
    statements: (s) => `create table if not exists ${s}.undo_progress (
  version text primary key,
  steps int not null,
  started boolean not null default false
)`,
  },
  {
    what: 'what an operator said was never applied, where the history of another tool leaves it open',
    statements: (s) => `alter table ${s}.ledger add column not_applied text[] not null default '{}'`,
  },
  {
    what: "each migration's place in its folder, beside its identity, which is that of the folder's layout",
    statements: (s) => `alter table ${s}.step add column position int`,
  },
  {
    what: 'since when a build has been seen waiting, and for whom: Postgres may hide the age of another role’s transaction',
    statements: (s) => `alter table ${s}.index_build add column waits_since timestamptz,
  add column blocker text, add column blocker_since timestamptz`,
  },
  {
    what: 'work of every kind in one table, index builds among it; older code continues with those alone',
    statements: (s) => `alter table ${s}.index_build drop constraint if exists index_build_operation_check;
alter table ${s}.index_build rename to work;
alter index ${s}.index_build_unfinished rename to work_unfinished;
create view ${s}.index_build as
  select work.*, work.tableoid from ${s}.work where operation in ('create', 'drop', 'reindex')
  with local check option`,
  },
  {
    what: 'how far a backfill came: a row for each table, or part of one, that it walks',
    statements: (s) => `create table ${s}.backfill (
  version text not null,
  step int not null,
  part int not null,
  table_name text not null,
  oid oid not null,
  key text[] not null,
  kind text not null check (kind in ('key', 'blocks')),
  walk int not null default 1,
  cursor text[],
  until text[],
  done boolean not null default false,
  estimated_rows bigint not null,
  walked bigint not null default 0,
  written bigint not null default 0,
  batches bigint not null default 0,
  milliseconds bigint not null default 0,
  pause text,
  started_at timestamptz not null default pg_catalog.clock_timestamp(),
  noted_at timestamptz not null default pg_catalog.clock_timestamp(),
  primary key (version, step, part)
)`,
  },
  {
    what: 'nobody but the owner of the ledger reads or writes it, as from then on after each upgrade',
    statements: (s) =>
      `comment on table ${s}.work is 'What is executed as the role of the migrations: whoever can write this could have it execute anything.'`,
  },
  {
    what: 'a backfill is work like any other: how far it came goes with its row there; what has not begun can be paused',
    statements: (s) => `alter table ${s}.backfill drop constraint backfill_pkey,
  add column work_id bigint references ${s}.work (id) on delete cascade, add unique (work_id, part);
alter table ${s}.work drop constraint if exists index_build_state_check;
drop index ${s}.work_unfinished;
create index work_unfinished on ${s}.work (schema_name, table_name, id)
  where state in ('pending', 'building', 'paused')`,
  },
  {
    what: 'the index of unfinished work names the states in which work is over, so that a new state needs no new index',
    statements: (s) => `drop index ${s}.work_unfinished;
create index work_unfinished on ${s}.work (schema_name, table_name, id)
  where state not in ('done', 'failed', 'cancelled')`,
  },
  {
    what: 'when a build whose end nobody writes down was last seen at work: it ended some time after that',
    statements: (s) => `alter table ${s}.work add column seen_at timestamptz`,
  },
];

/** The first format whose code names migrations by more than digits. */
export const FORMAT_OF_NAMES =
  FIRST_FORMAT + UPGRADES.findIndex(({ statements }) => statements('s').includes('position')) + 1;

/** From this format on, the table of index builds holds all work, and is named after it. */
const WORK_FORMAT =
  FIRST_FORMAT + UPGRADES.findIndex(({ statements }) => statements('s').includes('rename to work')) + 1;

/** The table of builds in a ledger of that format. */
export function workTable(schema: string, format: number = LEDGER_FORMAT): string {
  return `${quoteIdentifier(schema)}.${format < WORK_FORMAT ? 'index_build' : 'work'}`;
}

/** The format that this code writes. */
export const LEDGER_FORMAT = FIRST_FORMAT + UPGRADES.length;

/**
 * Statements that upgrade a ledger from one format to another; from 0, they create it. Send them as one transaction,
 * under the run lock: `create … if not exists` alone fails when two sessions do it at the same moment.
 */
export function bringLedgerUp(schema: string, from: number, to: number = LEDGER_FORMAT): string {
  const s = quoteIdentifier(schema);
  const had = Math.max(from, FIRST_FORMAT);
  const upgrades = UPGRADES.slice(had - FIRST_FORMAT, to - FIRST_FORMAT);
  const refusal = upgrades.findLastIndex(({ refusesOlderCode }) => refusesOlderCode);
  const format = refusal === -1 ? '' : `, format = ${had + refusal + 1}`;
  return [
    ...(from === 0 ? [firstTables(s)] : []),
    ...upgrades.map(({ statements }) => statements(s)),
    ...(upgrades.length === 0 ? [] : [`update ${s}.ledger set upgraded_to = ${to}${format}`]),
    closeLedger(schema),
  ].join(';\n');
}

/** For a database without a ledger; send it as one transaction, under the run lock. */
export function createLedger(schema: string, { schemaExists }: { readonly schemaExists: boolean }): string {
  const create = schemaExists ? '' : `create schema ${quoteIdentifier(schema)};`;
  return `${create}\n${bringLedgerUp(schema, 0)}`;
}

/** The first format, which never changes: every later difference is an upgrade. */
function firstTables(s: string): string {
  return `
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
insert into ${s}.ledger (format) values (${FIRST_FORMAT}) on conflict (one) do nothing`;
}
