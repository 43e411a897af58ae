import * as v from 'valibot';
import { quoteIdentifier, quoteLiteral } from '../session/quote.ts';
import type { Session } from '../session/session.ts';

/** How far one walk of a backfill is. */
export interface WalkRow {
  readonly part: number;
  /** Quoted, with its schema. */
  readonly table: string;
  readonly oid: string;
  readonly kind: 'key' | 'blocks';
  /** Columns of the key, in order; none for blocks. */
  readonly key: readonly string[];
  /** From 1; the second looks for rows that were written meanwhile. */
  readonly walk: number;
  /** Key of the last row that is done, or the next block; undefined at the beginning. */
  readonly cursor: readonly string[] | undefined;
  /** Key of the last row of the walk, or the block behind the last; undefined where there was none. */
  readonly until: readonly string[] | undefined;
  readonly done: boolean;
  readonly estimatedRows: number;
  readonly walked: number;
  readonly written: number;
}

export interface StepKey {
  readonly version: string;
  readonly step: number;
}

function ofStep({ version, step }: StepKey): string {
  return `version operator(pg_catalog.=) ${quoteLiteral(version)}::pg_catalog.text and step operator(pg_catalog.=) ${step}::pg_catalog.int4`;
}

const rows = v.array(
  v.object({
    part: v.number(),
    table: v.string(),
    oid: v.string(),
    kind: v.picklist(['key', 'blocks']),
    key: v.array(v.string()),
    walk: v.number(),
    cursor: v.nullable(v.array(v.string())),
    until: v.nullable(v.array(v.string())),
    done: v.boolean(),
    estimatedRows: v.number(),
    walked: v.number(),
    written: v.number(),
  }),
);

export async function readWalks(session: Session, schema: string, key: StepKey): Promise<WalkRow[]> {
  const outcome = await session.script(
    `select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
       'part', part, 'table', table_name, 'oid', oid::pg_catalog.text, 'kind', kind, 'key', key, 'walk', walk,
       'cursor', cursor, 'until', until, 'done', done, 'estimatedRows', estimated_rows, 'walked', walked,
       'written', written) order by part), '[]') as walks
  from ${quoteIdentifier(schema)}.backfill where ${ofStep(key)}`,
  );
  if (outcome.fault !== undefined) throw outcome.fault;
  return v
    .parse(rows, JSON.parse(outcome.rows[0]?.[0]?.walks ?? '[]'))
    .map(({ cursor, until, ...row }) => ({ ...row, cursor: cursor ?? undefined, until: until ?? undefined }));
}

export type NewWalk = Pick<WalkRow, 'part' | 'table' | 'oid' | 'kind' | 'key' | 'until' | 'estimatedRows'>;

/** Rows of an earlier backfill of the step, which was undone or repaired, are replaced. */
export function insertWalks(schema: string, key: StepKey, walks: readonly NewWalk[]): string[] {
  const s = quoteIdentifier(schema);
  return [
    `delete from ${s}.backfill where ${ofStep(key)}`,
    ...walks.map(
      (walk) =>
        `insert into ${s}.backfill (version, step, part, table_name, oid, kind, key, until, done, estimated_rows)
values (${[
          quoteLiteral(key.version),
          key.step,
          walk.part,
          quoteLiteral(walk.table),
          quoteLiteral(walk.oid),
          quoteLiteral(walk.kind),
          textArray(walk.key),
          walk.until === undefined ? 'null' : textArray(walk.until),
          walk.until === undefined,
          walk.estimatedRows,
        ].join(', ')})`,
    ),
  ];
}

/** What one batch did, to be sent in its own transaction. It writes no row where another run was there before. */
export interface BatchDone {
  readonly part: number;
  readonly from: readonly string[] | undefined;
  readonly to: readonly string[];
  readonly done: boolean;
  readonly walked: number;
  readonly written: number;
  readonly milliseconds: number;
}

export function noteBatch(schema: string, key: StepKey, batch: BatchDone): string {
  const before =
    batch.from === undefined ? 'cursor is null' : `cursor operator(pg_catalog.=) ${textArray(batch.from)}`;
  return `update ${quoteIdentifier(schema)}.backfill
   set cursor = ${textArray(batch.to)}, done = ${batch.done}, pause = null,
       walked = walked operator(pg_catalog.+) ${batch.walked}::pg_catalog.int8,
       written = written operator(pg_catalog.+) ${batch.written}::pg_catalog.int8,
       batches = batches operator(pg_catalog.+) 1::pg_catalog.int8,
       milliseconds = milliseconds operator(pg_catalog.+) ${Math.round(batch.milliseconds)}::pg_catalog.int8,
       noted_at = pg_catalog.clock_timestamp()
 where ${ofStep(key)} and part operator(pg_catalog.=) ${batch.part}::pg_catalog.int4 and ${before}`;
}

/** A second walk, from the beginning to where the table ends now. */
export function walkAgain(schema: string, key: StepKey, part: number, until: readonly string[]): string {
  return `update ${quoteIdentifier(schema)}.backfill
   set walk = walk operator(pg_catalog.+) 1::pg_catalog.int4, cursor = null, until = ${textArray(until)}, done = false
 where ${ofStep(key)} and part operator(pg_catalog.=) ${part}::pg_catalog.int4`;
}

export function notePause(schema: string, key: StepKey, part: number, why: string): string {
  return `update ${quoteIdentifier(schema)}.backfill set pause = ${quoteLiteral(why)}, noted_at = pg_catalog.clock_timestamp()
 where ${ofStep(key)} and part operator(pg_catalog.=) ${part}::pg_catalog.int4`;
}

function textArray(values: readonly string[]): string {
  return `array[${values.map(quoteLiteral).join(', ')}]::pg_catalog.text[]`;
}
