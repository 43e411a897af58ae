import type { LayoutName } from '../migration/layout.ts';

/** Where a tool keeps its history, and how to read it into `HistoryRow`s. */
export interface HistoryTable {
  readonly table: string;
  /** The tool's own schema; otherwise all schemas are searched, starting with the search path. */
  readonly schema?: string;
  /** Columns that distinguish it from other tables of the same name. */
  readonly columns: readonly string[];
  /**
   * A table of another name with these columns, and at most this many others, may also be the tool's. Absent if its
   * columns are not distinctive.
   */
  readonly others?: number;
  /** The query on the table, without `select`; `t` is the table. */
  readonly rows: (t: string) => string;
}

/**
 * Read from the tools' own source. A row that is not in force any more (rolled back, deleted) is left out; `state` is
 * `applied`, or what else the tool says of it.
 */
export const HISTORY_TABLES: Readonly<Partial<Record<LayoutName, HistoryTable>>> = {
  prisma: {
    table: '_prisma_migrations',
    columns: ['migration_name', 'checksum', 'finished_at', 'rolled_back_at', 'started_at'],
    others: 4,
    // A name has several rows if it was rolled back.
    rows: (t) => `migration_name as id,
       case when pg_catalog.bool_or(finished_at is not null) then 'applied' else 'failed' end as state,
       (pg_catalog.array_agg(checksum order by started_at desc))[1] as checksum
  from ${t} where rolled_back_at is null group by migration_name`,
  },
  drizzle: {
    table: '__drizzle_migrations',
    columns: ['hash', 'created_at'],
    rows: (
      t,
    ) => `pg_catalog.to_jsonb(h) ->> 'name' as id, 'applied' as state, hash as checksum, created_at as at
  from ${t} as h order by created_at`,
  },
  dbmate: {
    table: 'schema_migrations',
    columns: ['version'],
    rows: (t) => `version::text as id, 'applied' as state from ${t}`,
  },
  goose: {
    table: 'goose_db_version',
    columns: ['id', 'version_id', 'is_applied'],
    others: 1,
    // Old databases have several rows per version: the newest counts.
    rows: (t) => `id, state from (select distinct on (h.version_id) h.version_id::text as id,
       case when h.is_applied then 'applied' else 'undone' end as state
  from ${t} as h order by h.version_id, h.id desc) as newest where state = 'applied' and id <> '0'`,
  },
  'golang-migrate': {
    table: 'schema_migrations',
    columns: ['version', 'dirty'],
    others: 0,
    rows: (t) => `version::text as id, case when dirty then 'dirty' else 'applied' end as state from ${t}`,
  },
  sqlx: {
    table: '_sqlx_migrations',
    columns: ['version', 'description', 'success', 'checksum'],
    others: 3,
    rows: (t) => `version::text as id, case when success then 'applied' else 'failed' end as state,
       pg_catalog.encode(checksum, 'hex') as checksum from ${t}`,
  },
  supabase: {
    schema: 'supabase_migrations',
    table: 'schema_migrations',
    columns: ['version'],
    rows: (t) => `version::text as id, 'applied' as state from ${t}`,
  },
  'node-pg-migrate': {
    table: 'pgmigrations',
    columns: ['name', 'run_on'],
    others: 1,
    rows: (t) => `name::text as id, 'applied' as state from ${t}`,
  },
  flyway: {
    table: 'flyway_schema_history',
    columns: ['installed_rank', 'version', 'description', 'type', 'script', 'checksum', 'success'],
    others: 4,
    rows: (t) => `version as id, description, type as state, success, checksum::text as checksum
  from ${t} order by installed_rank`,
  },
  'graphile-migrate': {
    schema: 'graphile_migrate',
    table: 'migrations',
    columns: ['hash', 'previous_hash', 'filename'],
    others: 2,
    rows: (t) => `filename as id, 'applied' as state, hash as checksum from ${t}`,
  },
  atlas: {
    table: 'atlas_schema_revisions',
    columns: ['version', 'applied', 'total', 'hash', 'type'],
    others: 10,
    rows: (t) => `version as id, case when applied = total then 'applied' else 'partial' end as state,
       hash as checksum, applied as at from ${t} where version not like '.%'`,
  },
  alembic: {
    table: 'alembic_version',
    columns: ['version_num'],
    others: 0,
    rows: (t) => `version_num as id, 'applied' as state from ${t}`,
  },
  diesel: {
    table: '__diesel_schema_migrations',
    columns: ['version', 'run_on'],
    others: 0,
    rows: (t) => `version::text as id, 'applied' as state from ${t}`,
  },
  liquibase: {
    table: 'databasechangelog',
    columns: ['id', 'author', 'filename', 'exectype'],
    others: 12,
    rows: (t) => `filename || '::' || id || '::' || author as id, 'applied' as state
  from ${t} where exectype in ('EXECUTED', 'RERAN', 'MARK_RAN')`,
  },
};

/** Tools whose folders can't be told apart: whose table is there decides. */
export function toolsOf(layout: LayoutName): readonly LayoutName[] {
  return layout === 'golang-migrate' ? ['golang-migrate', 'sqlx'] : [layout];
}
