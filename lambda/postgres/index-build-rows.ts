import * as v from 'valibot';
import type { IndexBuild, SessionKind } from '../index-build/index-build.ts';
import type { BuildTable } from '../index-build/loop-task.ts';
import type { PostgresFault } from '../migration/migration-error.ts';
import type { Version } from '../migration/version.ts';
import { versionColumn } from './ledger.ts';
import { quoteIdentifier, quoteLiteral } from './quote.ts';
import type { Session } from './session.ts';

/** What is written when an index operation is handed off. */
export interface NewBuild {
  readonly version: Version;
  readonly step: number;
  readonly runId: string;
  readonly file: string;
  readonly line: number;
  readonly operation: 'create' | 'drop' | 'reindex';
  readonly schema: string;
  readonly table: string;
  readonly index: string;
  readonly unique: boolean;
  readonly statement: string;
  readonly definition: string;
  readonly settings: readonly string[];
  readonly partitioned: boolean;
  /** The build of the partitioned table to which this one belongs. */
  readonly parentBuild?: string;
  readonly rows: number | undefined;
  readonly bytes: number | undefined;
}

export function insertBuild(ledgerSchema: string, build: NewBuild): string {
  const table = `${quoteIdentifier(build.schema)}.${quoteIdentifier(build.table)}`;
  const replaced = build.index === '' ? '' : ` and c.relname = ${quoteLiteral(build.index)}`;
  const replaces =
    build.operation === 'reindex'
      ? `array(select i.indexrelid from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
                where i.indrelid = ${quoteLiteral(table)}::pg_catalog.regclass${replaced})`
      : `'{}'`;
  const values = [
    quoteLiteral(build.version),
    build.step,
    quoteLiteral(build.runId),
    quoteLiteral(build.file),
    build.line,
    quoteLiteral(build.operation),
    quoteLiteral(build.schema),
    quoteLiteral(build.table),
    quoteLiteral(build.index),
    build.unique,
    quoteLiteral(build.statement),
    quoteLiteral(build.definition),
    build.settings.length === 0 ? `'{}'` : `array[${build.settings.map(quoteLiteral).join(', ')}]`,
    replaces,
    build.partitioned,
    build.parentBuild ?? 'null',
    build.rows ?? 'null',
    build.bytes ?? 'null',
  ].join(', ');
  return `insert into ${quoteIdentifier(ledgerSchema)}.index_build (version, step, run_id, file, line, operation, schema_name, table_name, index_name, is_unique, statement, definition, settings, replaces, partitioned, parent_build, table_rows, table_bytes) values (${values})`;
}

/**
 * The first build of each table that is not over, unless it is a partitioned table's that waits for its partitions:
 * those are builds of other tables, and it has its turn when they are over.
 */
function firstBuilds(ledgerSchema: string): string {
  const s = quoteIdentifier(ledgerSchema);
  return `select b.id, b.schema_name, b.table_name
            from (select distinct on (schema_name, table_name) id, schema_name, table_name
                    from ${s}.index_build
                   where state in ('pending', 'building')
                   order by schema_name, table_name, id) as b
           where not exists (select from ${s}.index_build part
                              where part.parent_build = b.id and part.state in ('pending', 'building'))`;
}

/** Tables that have a build whose turn it is, in the order in which the builds were handed off. */
export async function tablesWithBuilds(session: Session, ledgerSchema: string): Promise<BuildTable[]> {
  const rows = await session.query(
    `select schema_name as schema, table_name as table from (${firstBuilds(ledgerSchema)}) as first order by id`,
  );
  return v.parse(v.array(v.object({ schema: v.string(), table: v.string() })), rows);
}

const faultColumn = v.object({
  sqlstate: v.string(),
  message: v.string(),
  detail: v.nullish(v.string()),
  hint: v.nullish(v.string()),
  context: v.nullish(v.string()),
});

const buildRow = v.object({
  id: v.string(),
  version: versionColumn,
  step: v.number(),
  runId: v.string(),
  file: v.string(),
  line: v.number(),
  operation: v.picklist(['create', 'drop', 'reindex']),
  schema: v.string(),
  table: v.string(),
  index: v.string(),
  unique: v.boolean(),
  statement: v.string(),
  definition: v.string(),
  settings: v.array(v.string()),
  replaces: v.array(v.number()),
  partitioned: v.boolean(),
  state: v.picklist(['pending', 'building', 'done', 'failed', 'cancelled']),
  attempts: v.number(),
  turns: v.number(),
  session: v.nullable(v.picklist(['loopback', 'orphan', 'attached'])),
  seconds_since_start: v.nullable(v.number()),
  seconds_since_first_start: v.nullable(v.number()),
  attempt_outcome: v.nullable(
    v.variant('kind', [
      v.object({ kind: v.literal('succeeded') }),
      v.object({ kind: v.literal('failed'), fault: faultColumn }),
    ]),
  ),
});

/** A build with what became of it, for people. */
export interface BuildRow extends IndexBuild {
  readonly adopted: boolean;
  readonly fault: PostgresFault | undefined;
  /** From the first attempt's start to the end, or to now. */
  readonly seconds: number | undefined;
  /** When it was handed off; exact up to the threshold of a small table. */
  readonly rows: number | undefined;
  readonly bytes: number | undefined;
}

/** Every build, in the order in which they were handed off. */
export async function readAllBuilds(session: Session, ledgerSchema: string): Promise<BuildRow[]> {
  const rows = await session.query(
    `select ${buildColumns}, adopted, fault, table_rows::float8 as rows, table_bytes::float8 as bytes,
            extract(epoch from coalesce(finished_at, pg_catalog.clock_timestamp()) - first_started_at)::float8 as seconds
       from ${quoteIdentifier(ledgerSchema)}.index_build order by index_build.id`,
  );
  return rows.map((row) => {
    const { adopted, fault, rows: count, bytes, seconds } = v.parse(endColumns, row);
    return {
      ...parseBuild(row),
      adopted,
      fault: fault === null ? undefined : toFault(fault),
      rows: count ?? undefined,
      bytes: bytes ?? undefined,
      seconds: seconds ?? undefined,
    };
  });
}

const endColumns = v.object({
  adopted: v.boolean(),
  fault: v.nullable(faultColumn),
  rows: v.nullable(v.number()),
  bytes: v.nullable(v.number()),
  seconds: v.nullable(v.number()),
});

const buildColumns = `id::text, version, step, run_id::text as "runId", file, line, operation, schema_name as schema, table_name as table,
       index_name as index, is_unique as unique, statement, definition, settings,
       pg_catalog.to_json(replaces::bigint[]) as replaces, partitioned, state, attempts, turns, session,
       extract(epoch from pg_catalog.clock_timestamp() - started_at)::float8 as seconds_since_start,
       extract(epoch from pg_catalog.clock_timestamp() - first_started_at)::float8 as seconds_since_first_start,
       attempt_outcome`;

/** The build whose turn it is: the first of its table that is not over. Counts the turn. */
export async function nextBuild(
  session: Session,
  ledgerSchema: string,
  { schema, table }: BuildTable,
): Promise<IndexBuild | undefined> {
  const s = quoteIdentifier(ledgerSchema);
  const rows = await session.query(
    `update ${s}.index_build
        set turns = turns + 1
      where id = (select id from (${firstBuilds(ledgerSchema)}) as first
                   where schema_name = $1 and table_name = $2)
  returning ${buildColumns}`,
    [schema, table],
  );
  return rows[0] === undefined ? undefined : parseBuild(rows[0]);
}

/** What became of the builds of a partitioned table's partitions, by `schema.table`. */
export async function partitionBuilds(
  session: Session,
  ledgerSchema: string,
  parent: string,
): Promise<Map<string, { readonly index: string; readonly fault: PostgresFault | undefined }>> {
  const rows = await session.query(
    `select schema_name as schema, table_name as table, index_name as index, state, fault
       from ${quoteIdentifier(ledgerSchema)}.index_build where parent_build = $1 order by id`,
    [parent],
  );
  const columns = v.object({
    schema: v.string(),
    table: v.string(),
    index: v.string(),
    state: v.string(),
    fault: v.nullable(faultColumn),
  });
  return new Map(
    rows.map((row) => {
      const { schema, table, index, state, fault } = v.parse(columns, row);
      const cancelled =
        state === 'cancelled' ? { sqlstate: '57014', message: 'the build was cancelled' } : undefined;
      return [`${schema}.${table}`, { index, fault: fault === null ? cancelled : toFault(fault) }];
    }),
  );
}

/** The same build again, to see whether an outcome was written meanwhile. */
export async function readBuild(
  session: Session,
  ledgerSchema: string,
  id: string,
): Promise<IndexBuild | undefined> {
  const rows = await session.query(
    `select ${buildColumns} from ${quoteIdentifier(ledgerSchema)}.index_build where id = $1`,
    [id],
  );
  return rows[0] === undefined ? undefined : parseBuild(rows[0]);
}

function parseBuild(row: unknown): IndexBuild {
  const { seconds_since_start, seconds_since_first_start, attempt_outcome, session, ...rest } = v.parse(
    buildRow,
    row,
  );
  return {
    ...rest,
    session: session ?? undefined,
    secondsSinceStart: seconds_since_start ?? undefined,
    secondsSinceFirstStart: seconds_since_first_start ?? undefined,
    attemptOutcome:
      attempt_outcome === null || attempt_outcome.kind === 'succeeded'
        ? (attempt_outcome ?? undefined)
        : { kind: 'failed', fault: toFault(attempt_outcome.fault) },
  };
}

function toFault(fault: v.InferOutput<typeof faultColumn>): PostgresFault {
  return {
    sqlstate: fault.sqlstate,
    message: fault.message,
    detail: fault.detail ?? undefined,
    hint: fault.hint ?? undefined,
    context: fault.context ?? undefined,
  };
}

/**
 * Records that an attempt begins, before anything is sent: should we die right after, the next turn knows that a
 * builder may be about to appear. False where another turn was faster.
 */
export async function beginAttempt(
  session: Session,
  ledgerSchema: string,
  { build, kind }: { build: IndexBuild; kind: SessionKind },
): Promise<boolean> {
  const rows = await session.query(
    `update ${quoteIdentifier(ledgerSchema)}.index_build
        set state = 'building', attempts = attempts + 1, session = $3, started_at = pg_catalog.clock_timestamp(),
            first_started_at = coalesce(first_started_at, pg_catalog.clock_timestamp()),
            attempt_outcome = null, supervisor_pid = null, builder_pid = null
      where id = $1 and attempts = $2 and state in ('pending', 'building')
  returning id`,
    [build.id, build.attempts, kind],
  );
  return rows.length === 1;
}

/** The attempt goes on in another kind of session than was tried first. */
export async function setSessionKind(
  session: Session,
  ledgerSchema: string,
  { id, kind }: { id: string; kind: SessionKind },
): Promise<void> {
  await session.query(`update ${quoteIdentifier(ledgerSchema)}.index_build set session = $2 where id = $1`, [
    id,
    kind,
  ]);
}

/** For sessions whose end we see ourselves; the supervisor of a loopback session writes its own. */
export async function recordAttemptOutcome(
  session: Session,
  ledgerSchema: string,
  { id, attempts, fault }: { id: string; attempts: number; fault: PostgresFault | undefined },
): Promise<void> {
  const outcome = fault === undefined ? { kind: 'succeeded' } : { kind: 'failed', fault };
  await session.query(
    `update ${quoteIdentifier(ledgerSchema)}.index_build set attempt_outcome = $3
      where id = $1 and attempts = $2 and state = 'building'`,
    [id, attempts, JSON.stringify(outcome)],
  );
}

/** Tables that have builds to do: so many may soon build side by side, and share the server's memory. */
export async function tablesToBuild(session: Session, ledgerSchema: string): Promise<number> {
  const [row] = await session.query(
    `select pg_catalog.count(distinct (schema_name, table_name))::int as tables
       from ${quoteIdentifier(ledgerSchema)}.index_build where state in ('pending', 'building')`,
  );
  return Number(row?.tables ?? 1);
}

export type BuildEnd =
  | { readonly state: 'done'; readonly adopted: boolean }
  | { readonly state: 'failed'; readonly fault: PostgresFault };

/** Ends a build and, with its last build, its step: one statement, so that neither is seen without the other. */
export async function endBuild(session: Session, ledgerSchema: string, build: IndexBuild, end: BuildEnd) {
  const s = quoteIdentifier(ledgerSchema);
  await session.query(
    `with ended as (
       update ${s}.index_build
          set state = $2, fault = $3::jsonb, adopted = $4, finished_at = pg_catalog.clock_timestamp()
        where id = $1 and state in ('pending', 'building')
    returning version, step
     ), others as (
       select count(*) filter (where b.state in ('pending', 'building')) as unfinished,
              count(*) filter (where b.state in ('failed', 'cancelled')) as failed
         from ended join ${s}.index_build b on b.version = ended.version and b.step = ended.step and b.id <> $1
     )
     update ${s}.step
        set state = case when others.unfinished > 0 then 'pending'
                         when others.failed > 0 or $2 = 'failed' then 'failed'
                         else 'applied' end,
            finished_at = pg_catalog.clock_timestamp()
       from ended, others
      where step.version = ended.version and step.step = ended.step`,
    [
      build.id,
      end.state,
      end.state === 'failed' ? JSON.stringify(end.fault) : null,
      end.state === 'done' && end.adopted,
    ],
  );
}

/** Gives builds that failed, or were cancelled, their attempts back. */
export function requeueBuilds(ledgerSchema: string, ids: readonly string[]): string {
  const s = quoteIdentifier(ledgerSchema);
  return `with again as (
  update ${s}.index_build
     set state = 'pending', attempts = 0, fault = null, attempt_outcome = null, finished_at = null, session = null,
         started_at = null, first_started_at = null
   where state in ('failed', 'cancelled') and id in (${ids.map((id) => quoteLiteral(id)).join(', ')})
returning version, step)
update ${s}.step set state = 'pending', finished_at = null
  from again where step.version = again.version and step.step = again.step`;
}
