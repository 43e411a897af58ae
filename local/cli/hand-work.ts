import { type Backfill, batchStatement } from '../../lambda/migration/backfill.ts';
import { SUCCEEDED } from '../../lambda/postgres/build-session/work-statement.ts';
import type { Walk } from '../../lambda/postgres/catalog/walks.ts';
import { insertWalk } from '../../lambda/postgres/ledger/backfill-rows.ts';
import { quoteIdentifier, quoteLiteral } from '../../lambda/postgres/session/quote.ts';
import { boundsOf, endOf, lastOf, UNTIL } from '../../lambda/work/turn/batch-sql.ts';
import type { HandWork } from './by-hand.ts';

interface Psql {
  readonly ended: (statement: string) => string;
  /** A DO block of this body. */
  readonly block: (body: string) => string;
  readonly done: string;
  readonly passed: string;
}

const DONE = 'migrate_is_done';
/** Where a batch begins, and where the walk ends. */
const FROM = 'migrations.backfill_from';
const END = 'migrations.backfill_end';
const FIRST_ROWS = 200;
const FIRST_BLOCKS = 64;

/** The lines of the script for work that was handed off. */
export function handWork(work: HandWork, { ended, block, done, passed }: Psql): string[] {
  const { id, ledger, operation, settings, statement } = work;
  const table = `${quoteIdentifier(ledger)}.work`;
  const ours = `id operator(pg_catalog.=) ${id}::pg_catalog.int8`;
  const ofWork = `select from ${quoteIdentifier(ledger)}.backfill b where b.work_id operator(pg_catalog.=) ${id}::pg_catalog.int8`;
  const begun = `exists (${ofWork})`;
  const walked = `${begun} and not exists (${ofWork} and not b.done)`;
  const isDone =
    operation === 'backfill'
      ? walked
      : "attempt_outcome operator(pg_catalog.->>) 'kind' operator(pg_catalog.=) 'succeeded'";
  const note = `update ${table} set state = 'pending', attempts = 0, fault = null, finished_at = null, session = null, attempt_outcome = ${operation === 'backfill' ? 'null' : SUCCEEDED}
 where ${ours} and state operator(pg_catalog.<>) 'done'::pg_catalog.text`;
  const step = `update ${quoteIdentifier(ledger)}.step s set state = 'pending', finished_at = null
  from ${table} w where w.${ours} and s.version operator(pg_catalog.=) w.version and s.step operator(pg_catalog.=) w.step
   and s.state operator(pg_catalog.=) 'failed'::pg_catalog.text`;
  const noted = ['reset session authorization', 'reset role', note, step];
  return [
    'discard all;',
    `select coalesce(pg_catalog.bool_or(state operator(pg_catalog.=) 'done'::pg_catalog.text or coalesce(${isDone}, false)), true) as ${DONE}
  from ${table} where ${ours} \\gset`,
    `\\if :${DONE}`,
    passed,
    '\\else',
    block(`
begin
  if exists (select from ${table} where ${ours} and state operator(pg_catalog.=) 'building'::pg_catalog.text) then
    raise exception using message = 'the loop is at work on it: pause it, or cancel it, and run this script again';
  end if;
end
`),
    'set standard_conforming_strings = on;',
    'set statement_timeout = 0;',
    ...(operation === 'backfill'
      ? [
          `select ${begun} as ${DONE} \\gset`,
          `\\if :${DONE}`,
          '\\else',
          'begin;',
          ...work.walks.map((walk, part) => block(beginWalk(work, walk, part))),
          'commit;',
          '\\endif',
          "set lock_timeout = '5s';",
          ...work.walks.map((walk, part) => block(walkBody(work, walk, part))),
          ...noted.map(ended),
        ]
      : operation === 'statement'
        ? ['begin;', ...settings.map(ended), ended(statement), ...noted.map(ended), 'commit;']
        : [...settings.map(ended), 'set lock_timeout = 0;', ended(statement), ...noted.map(ended)]),
    done,
    '\\endif',
  ];
}

/** Where each walk ends is fixed when the first of them begins, by the loop or by the script. */
function beginWalk(work: HandWork, walk: Walk, part: number): string {
  const { ledger, id, settings } = work;
  const { table, oid, estimatedRows, way } = walk;
  const key = way.kind === 'key' ? way.columns.map(({ name }) => name) : [];
  const row = { part, table, oid, kind: way.kind, key, until: undefined, estimatedRows };
  return `
declare
  found pg_catalog.text;
begin
  ${executed(settings)}execute ${quoteLiteral(endOf(walk))} into found;
  reset session authorization;
  reset role;
  ${insertWalk(ledger, work, row)};
  update ${quoteIdentifier(ledger)}.backfill b
     set done = found is null,
         until = (select pg_catalog.array_agg(t.value order by t.ordinality)
                    from pg_catalog.json_array_elements_text(found::pg_catalog.json) with ordinality as t)
   where b.work_id operator(pg_catalog.=) ${id}::pg_catalog.int8 and b.part operator(pg_catalog.=) ${part}::pg_catalog.int4;
end
`;
}

/** Each on a line of its own. */
function executed(settings: readonly string[]): string {
  return settings.map((setting) => `execute ${quoteLiteral(setting)};\n    `).join('');
}

const SKIPPED = `pg_catalog.current_setting('migrations.backfill_rows')::pg_catalog.int8`;
const BLOCKS_BEHIND = `select pg_catalog.json_build_array(least(
  (pg_catalog.current_setting('${END}')::pg_catalog.json operator(pg_catalog.->>) 0)::pg_catalog.int8,
  coalesce((pg_catalog.current_setting('${FROM}')::pg_catalog.json operator(pg_catalog.->>) 0)::pg_catalog.int8, 0::pg_catalog.int8)
    operator(pg_catalog.+) ${SKIPPED} operator(pg_catalog.+) 1::pg_catalog.int8)::pg_catalog.text)::pg_catalog.text`;

/** One walk, a transaction to a batch; how far it came is in the ledger, where the loop would have it. */
function walkBody(work: HandWork, walk: Walk, part: number): string {
  const { ledger, id, settings, batchMilliseconds, pause } = work;
  const backfill = work.backfill as Backfill;
  const { way } = walk;
  const alias = quoteIdentifier(backfill.alias);
  const place = walk.isPart ? { table: walk.table, quotedAlias: alias } : undefined;
  const [first, later] = [undefined, { setting: FROM }].map((from) => {
    const until = { setting: END };
    return {
      bound:
        way.kind === 'blocks'
          ? BLOCKS_BEHIND
          : lastOf(walk.table, way.columns, { from, until, skipped: SKIPPED }),
      statement: batchStatement(backfill, boundsOf(walk, alias, from), place),
    };
  });
  const key = `array(select pg_catalog.json_array_elements_text(pg_catalog.current_setting('${UNTIL}')::pg_catalog.json))`;
  return `
declare
  at record;
  bound pg_catalog.text;
  size pg_catalog.int8 := ${way.kind === 'blocks' ? FIRST_BLOCKS : FIRST_ROWS};
  changed pg_catalog.int8;
  begun pg_catalog.timestamptz;
  took pg_catalog.float8;
begin
  loop
    select b.cursor, b.until into at from ${quoteIdentifier(ledger)}.backfill b
     where b.work_id operator(pg_catalog.=) ${id}::pg_catalog.int8 and b.part operator(pg_catalog.=) ${part}::pg_catalog.int4 and not b.done;
    exit when not found;
    perform pg_catalog.set_config('${FROM}', coalesce(pg_catalog.to_json(at.cursor)::pg_catalog.text, 'null'), true),
            pg_catalog.set_config('${END}', pg_catalog.to_json(at.until)::pg_catalog.text, true),
            pg_catalog.set_config('migrations.backfill_rows', (size operator(pg_catalog.-) 1::pg_catalog.int8)::pg_catalog.text, true);
    begun := pg_catalog.clock_timestamp();
    ${executed(settings)}if at.cursor is null then
      execute ${quoteLiteral(first?.bound ?? '')} into bound;
    else
      execute ${quoteLiteral(later?.bound ?? '')} into bound;
    end if;
    perform pg_catalog.set_config('${UNTIL}', coalesce(bound, pg_catalog.current_setting('${END}')), true);
    if at.cursor is null then
      execute ${quoteLiteral(first?.statement ?? '')};
    else
      execute ${quoteLiteral(later?.statement ?? '')};
    end if;
    get diagnostics changed = row_count;
    reset session authorization;
    reset role;
    update ${quoteIdentifier(ledger)}.backfill b
       set cursor = ${key}, done = bound is null or ${key} operator(pg_catalog.=) at.until, pause = null,
           walked = b.walked operator(pg_catalog.+) case when bound is null then 0::pg_catalog.int8 else size end,
           written = b.written operator(pg_catalog.+) changed, batches = b.batches operator(pg_catalog.+) 1::pg_catalog.int8,
           noted_at = pg_catalog.clock_timestamp()
     where b.work_id operator(pg_catalog.=) ${id}::pg_catalog.int8 and b.part operator(pg_catalog.=) ${part}::pg_catalog.int4
       and (b.cursor operator(pg_catalog.=) at.cursor or b.cursor is null and at.cursor is null) and not b.done;
    if not found then
      raise exception using message = 'another session is working on it: run this script again when it has finished';
    end if;
    commit;
    took := greatest(1::pg_catalog.float8, 1000::pg_catalog.float8 operator(pg_catalog.*) extract(epoch from pg_catalog.clock_timestamp() operator(pg_catalog.-) begun)::pg_catalog.float8);
    size := greatest(1::pg_catalog.float8, least(2::pg_catalog.float8, ${batchMilliseconds}::pg_catalog.float8 operator(pg_catalog./) took) operator(pg_catalog.*) size::pg_catalog.float8)::pg_catalog.int8;
    perform pg_catalog.pg_sleep(${pause}::pg_catalog.float8 operator(pg_catalog.*) took operator(pg_catalog./) 1000::pg_catalog.float8);
    commit;
  end loop;
end
`;
}
