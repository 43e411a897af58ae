import * as v from 'valibot';
import type { Build } from '../../work/build.ts';
import type { WalkSeen } from '../../work/progress.ts';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';
import { parseRow } from './columns.ts';

/** How far one walk of a backfill has come. */
export interface WalkRow extends WalkSeen {
  readonly part: number;
  readonly oid: string;
  readonly kind: 'key' | 'blocks';
  /** From 1; the second looks for rows written meanwhile. */
  readonly walk: number;
  /** Key of the last row of the walk, or the block behind the last; undefined where there was none. */
  readonly until: readonly string[] | undefined;
}

type Work = Pick<Build, 'id' | 'version' | 'step'>;

const key = v.nullable(v.array(v.string()));

const rows = v.array(
  v.object({
    part: v.number(),
    table: v.string(),
    oid: v.string(),
    kind: v.picklist(['key', 'blocks']),
    key: v.array(v.string()),
    walk: v.number(),
    cursor: key,
    until: key,
    done: v.boolean(),
    estimatedRows: v.number(),
    walked: v.number(),
    written: v.number(),
    seconds: v.number(),
    pause: v.nullable(v.string()),
  }),
);

/** In the order in which they are walked; empty before the backfill begins. */
export async function readWalks(session: Session, schema: string, id: string): Promise<WalkRow[]> {
  const read = await session.query(
    `select part, table_name as table, oid::text, kind, key, walk, cursor, until, done,
            estimated_rows::float8 as "estimatedRows", walked::float8, written::float8, pause,
            extract(epoch from noted_at - started_at)::float8 as seconds
       from ${quoteIdentifier(schema)}.backfill where work_id = $1 order by part`,
    [id],
  );
  return parseRow(rows, read).map(({ cursor, until, pause, ...row }) => ({
    ...row,
    cursor: cursor ?? undefined,
    until: until ?? undefined,
    pause: pause ?? undefined,
  }));
}

export type NewWalk = Pick<WalkRow, 'part' | 'table' | 'oid' | 'kind' | 'key' | 'until' | 'estimatedRows'>;

export function insertWalk(schema: string, { id, version, step }: Work, walk: NewWalk): string {
  return `insert into ${quoteIdentifier(schema)}.backfill (work_id, version, step, part, table_name, oid, kind, key, until, done, estimated_rows)
values (${[
    id,
    quoteLiteral(version),
    step,
    walk.part,
    quoteLiteral(walk.table),
    quoteLiteral(walk.oid),
    quoteLiteral(walk.kind),
    textArray(walk.key),
    walk.until === undefined ? 'null' : textArray(walk.until),
    walk.until === undefined,
    walk.estimatedRows,
  ].join(', ')})`;
}

/** When runs did backfills themselves, these rows belonged to no work. */
function ofNoWork({ version, step }: Pick<Work, 'version' | 'step'>): string {
  return `work_id is null and version operator(pg_catalog.=) ${quoteLiteral(version)}::pg_catalog.text and step operator(pg_catalog.=) ${step}::pg_catalog.int4`;
}

/** Continues where a run stopped. */
export function adoptWalks(schema: string, work: Work): string {
  return `update ${quoteIdentifier(schema)}.backfill set work_id = ${work.id} where ${ofNoWork(work)}`;
}

export function forgetWalks(schema: string, work: Pick<Work, 'version' | 'step'>): string {
  return `delete from ${quoteIdentifier(schema)}.backfill where ${ofNoWork(work)}`;
}

/** Records what one batch did; send it in the batch's transaction. */
export interface BatchDone {
  readonly part: number;
  readonly from: readonly string[] | undefined;
  readonly to: readonly string[];
  readonly done: boolean;
  readonly walked: number;
  readonly written: number;
  readonly milliseconds: number;
}

function ofPart(id: string, part: number): string {
  return `work_id operator(pg_catalog.=) ${id}::pg_catalog.int8 and part operator(pg_catalog.=) ${part}::pg_catalog.int4`;
}

/**
 * Divides by zero if another turn was first, or the backfill was paused or cancelled: its COMMIT, in the same message,
 * must not commit the batch then.
 */
export function noteBatch(schema: string, id: string, batch: BatchDone): string {
  const s = quoteIdentifier(schema);
  const before =
    batch.from === undefined ? 'cursor is null' : `cursor operator(pg_catalog.=) ${textArray(batch.from)}`;
  return `with noted as (update ${s}.backfill
   set cursor = ${textArray(batch.to)}, done = ${batch.done}, pause = null,
       walked = walked operator(pg_catalog.+) ${batch.walked}::pg_catalog.int8,
       written = written operator(pg_catalog.+) ${batch.written}::pg_catalog.int8,
       batches = batches operator(pg_catalog.+) 1::pg_catalog.int8,
       milliseconds = milliseconds operator(pg_catalog.+) ${Math.round(batch.milliseconds)}::pg_catalog.int8,
       noted_at = pg_catalog.clock_timestamp()
 where ${ofPart(id, batch.part)} and ${before}
   and exists (select from ${s}.work w where w.id operator(pg_catalog.=) ${id}::pg_catalog.int8
                  and w.state operator(pg_catalog.=) 'building'::pg_catalog.text) returning 1)
select 1::pg_catalog.int8 operator(pg_catalog./) pg_catalog.count(*) from noted`;
}

/** Starts a second walk, from the beginning or from the end of the first, to the present end of the table. */
export function walkAgain(
  schema: string,
  id: string,
  part: number,
  { from, until }: { readonly from: readonly string[] | undefined; readonly until: readonly string[] },
): string {
  const cursor = from === undefined ? 'null' : textArray(from);
  return `update ${quoteIdentifier(schema)}.backfill
   set walk = walk operator(pg_catalog.+) 1::pg_catalog.int4, cursor = ${cursor}, until = ${textArray(until)}, done = false
 where ${ofPart(id, part)}`;
}

export function notePause(schema: string, id: string, part: number, why: string): string {
  return `update ${quoteIdentifier(schema)}.backfill set pause = ${quoteLiteral(why)}, noted_at = pg_catalog.clock_timestamp()
 where ${ofPart(id, part)}`;
}

function textArray(values: readonly string[]): string {
  return `array[${values.map(quoteLiteral).join(', ')}]::pg_catalog.text[]`;
}
