import * as v from 'valibot';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import type { Build } from '../../work/build.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { buildRow, ENDED_AT, faultColumn, parseRow, stateIs, toFault } from './columns.ts';
import { workTable } from './ledger-format.ts';

/** A build with its outcome, for people. */
export interface BuildRow extends Build {
  readonly adopted: boolean;
  readonly fault: PostgresFault | undefined;
  /** From the first attempt's start to the end, or to now. */
  readonly seconds: number | undefined;
  /** The least that `seconds` may be, where nobody saw it end: it ended between two looks. */
  readonly leastSeconds: number | undefined;
  /** Rows at the hand-off; exact up to the threshold of a small table. */
  readonly rows: number | undefined;
  readonly bytes: number | undefined;
}

/** Every build, in the order in which they were handed off. */
export async function readAllBuilds(
  session: Session,
  ledgerSchema: string,
  format?: number,
): Promise<BuildRow[]> {
  const rows = await session.query(
    `select ${buildColumns}, adopted, fault, table_rows::float8 as rows, table_bytes::float8 as bytes,
            extract(epoch from coalesce(finished_at, ${ENDED_AT}, pg_catalog.clock_timestamp()) - first_started_at)::float8 as seconds,
            case when finished_at is not null and not adopted and session in ('orphan', 'attached') and ${ENDED_AT} is null
                      and operation <> 'backfill' and state in ('done', 'failed')
                 then extract(epoch from coalesce((pg_catalog.to_jsonb(work) ->> 'seen_at')::timestamptz, started_at) - first_started_at)::float8 end as least
       from ${workTable(ledgerSchema, format)} as work order by work.id`,
  );
  return rows.map((row) => {
    const { adopted, fault, rows: count, bytes, seconds, least } = parseRow(endColumns, row);
    return {
      ...parseBuild(row),
      adopted,
      fault: fault === null ? undefined : toFault(fault),
      rows: count ?? undefined,
      bytes: bytes ?? undefined,
      seconds: seconds ?? undefined,
      leastSeconds: least ?? undefined,
    };
  });
}

const endColumns = v.object({
  adopted: v.boolean(),
  fault: v.nullable(faultColumn),
  rows: v.nullable(v.number()),
  bytes: v.nullable(v.number()),
  seconds: v.nullable(v.number()),
  least: v.nullable(v.number()),
});

/** A column added by an upgrade, which an older ledger may lack. */
const since = (column: string) =>
  `extract(epoch from pg_catalog.clock_timestamp()
                      - (pg_catalog.to_jsonb(work) ->> '${column}')::timestamptz)::float8`;

const WAITING = `case when pg_catalog.to_jsonb(work) ->> 'blocker' is not null then pg_catalog.json_build_object(
         'blocker', pg_catalog.to_jsonb(work) ->> 'blocker',
         'blockerSeconds', ${since('blocker_since')}, 'seconds', ${since('waits_since')}) end`;

/** For `select` and `returning`; read by parseBuild(). */
export const buildColumns = `id::text, (select n.nspname from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         where c.oid = work.tableoid) as ledger,
       version, step, run_id::text as "runId", file, line, operation, schema_name as schema, table_name as table,
       index_name as index, is_unique as unique, statement, definition, settings,
       pg_catalog.to_json(replaces::bigint[]) as replaces, partitioned, state, attempts, turns, session,
       builder_pid is not null as "builderAppeared",
       extract(epoch from pg_catalog.clock_timestamp() - started_at)::float8 as seconds_since_start,
       extract(epoch from coalesce(${ENDED_AT}, pg_catalog.clock_timestamp()) - first_started_at)::float8 as seconds_since_first_start,
       ${WAITING} as waiting, attempt_outcome`;

/** Reads the build again, to see whether its outcome was recorded meanwhile. */
export async function readBuild(
  session: Session,
  ledgerSchema: string,
  id: string,
): Promise<Build | undefined> {
  const rows = await session.query(
    `select ${buildColumns} from ${quoteIdentifier(ledgerSchema)}.work where id = $1`,
    [id],
  );
  return rows[0] === undefined ? undefined : parseBuild(rows[0]);
}

export function parseBuild(row: unknown): Build {
  const { seconds_since_start, seconds_since_first_start, attempt_outcome, session, waiting, ...rest } =
    parseRow(buildRow, row);
  return {
    ...rest,
    session: session ?? undefined,
    waiting: waiting ?? undefined,
    secondsSinceStart: seconds_since_start ?? undefined,
    secondsSinceFirstStart: seconds_since_first_start ?? undefined,
    attemptOutcome:
      attempt_outcome === null || attempt_outcome.kind === 'succeeded'
        ? (attempt_outcome ?? undefined)
        : { kind: 'failed', fault: toFault(attempt_outcome.fault) },
  };
}

/** Resets the attempts of failed or cancelled builds. */
export function requeueBuilds(ledgerSchema: string, ids: readonly string[]): string {
  const s = quoteIdentifier(ledgerSchema);
  return `with again as (
  update ${s}.work
     set state = 'pending', attempts = 0, fault = null, attempt_outcome = null, finished_at = null, session = null,
         started_at = null, first_started_at = null, blocker = null, blocker_since = null, waits_since = null
   where ${stateIs('lost')} and id in (${ids.map((id) => quoteLiteral(id)).join(', ')})
returning version, step)
update ${s}.step set state = 'pending', finished_at = null
  from again where step.version = again.version and step.step = again.step`;
}
