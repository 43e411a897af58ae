import { quoteLiteral, quoteRelation } from '../../lambda/postgres/session/quote.ts';
import type { ByHand, HandOperation, HandWork, LeftOut } from './by-hand.ts';
import { handWork } from './hand-work.ts';

export interface ScriptHead {
  /** Database and host, without the password. */
  readonly target: string;
  readonly at: Date;
  /** Tables are counted up to here. */
  readonly smallTableRows: number;
}

/**
 * What is pending as a script for psql, such as teams keep for a release at night. It may be stopped anywhere and run
 * again: it skips what is done, drops INVALID indexes of an earlier attempt first, and checks each index after building
 * it, since psql's success alone does not prove it valid. Work that no catalog shows is noted in the ledger; a backfill
 * continues after its last batch, whether the loop or the script did that.
 */
export function psqlScript({ operations, leftOut }: ByHand, head: ScriptHead): string {
  const parts = [headPart(head, operations.length), ...leftOut.map(leftOutPart)];
  for (const [position, operation] of operations.entries()) {
    const count = { number: position + 1, of: operations.length, ...head };
    parts.push('walks' in operation ? workPart(operation, count) : operationPart(operation, count));
  }
  return `${parts.join('\n\n')}\n`;
}

function headPart({ target, at }: ScriptHead, operations: number): string {
  const time = `${at.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  if (operations === 0)
    return `-- Nothing is pending that could be done by hand: ${comment(target)}, ${time}.`;
  return `-- Pending work: ${comment(target)}, ${time}.
--
-- Run it with psql -X -f THIS_FILE, on a direct connection and without --single-transaction. It may be stopped, and run
-- again. Afterwards the next run of the migrations finds what is done here, and records it.
\\set ON_ERROR_STOP on
\\set AUTOCOMMIT on
\\set QUIET on`;
}

function leftOutPart({ file, line, because }: LeftOut): string {
  return `-- Left out: ${comment(`${file}:${line}`)}, since ${comment(because)}.`;
}

interface Count extends Pick<ScriptHead, 'smallTableRows'> {
  readonly number: number;
  readonly of: number;
}

function operationPart(operation: HandOperation, { number, of, smallTableRows }: Count): string {
  const { schema, table, index, settings, statement } = operation;
  const name = `${operation.operation} ${index === '' ? 'all indexes' : index} on ${schema}.${table}`;
  return [
    `-- ${comment(`${operation.file}:${operation.line}`)}${comment(sizeOf(operation, smallTableRows))}`,
    `\\echo ${echoed(`${number} of ${of}: ${name}`)}`,
    'discard all;',
    ...settings.map(ended),
    // A build waits for other transactions as long as necessary; a limit would leave it INVALID.
    'set lock_timeout = 0;',
    'set statement_timeout = 0;',
    ...(operation.operation === 'create' ? createPart(operation) : [ended(statement)]),
    checkPart(operation),
    `\\echo ${echoed(`  ${operation.operation === 'create' ? 'valid' : 'done'}`)}`,
  ].join('\n');
}

function workPart(work: HandWork, { number, of, smallTableRows }: Count): string {
  return [
    `-- ${comment(`${work.file}:${work.line}`)}${comment(sizeOf(work, smallTableRows))}`,
    `\\echo ${echoed(`${number} of ${of}: ${work.operation.replaceAll('-', ' ')}: ${work.name}`)}`,
    ...handWork(work, {
      ended,
      block,
      done: `\\echo ${echoed('  done')}`,
      passed: `\\echo ${echoed('  it is done already')}`,
    }),
  ].join('\n');
}

/** Names of psql variables; a statement can't contain them by chance. */
const VALID = 'migrate_is_valid';
const LEFT = 'migrate_is_left_over';

function createPart({ schema, table, index, statement }: HandOperation): string[] {
  const relation = quoteRelation({ schema, name: index });
  const indexName = quoteLiteral(relation);
  const tableName = quoteLiteral(quoteRelation({ schema, name: table }));
  return [
    `select coalesce(pg_catalog.bool_or(i.indisvalid), false) as ${VALID},
       coalesce(pg_catalog.bool_or(not i.indisvalid and not exists (
         select from pg_catalog.pg_locks l
          where l.locktype operator(pg_catalog.=) 'relation' and l.relation operator(pg_catalog.=) i.indrelid
            and l.database operator(pg_catalog.=) (select oid from pg_catalog.pg_database where datname operator(pg_catalog.=) pg_catalog.current_database())
            and l.mode operator(pg_catalog.=) any (array['ShareUpdateExclusiveLock', 'ShareLock']::pg_catalog.text[])
            and l.pid operator(pg_catalog.<>) pg_catalog.pg_backend_pid()
       )), false) as ${LEFT}
  from pg_catalog.pg_index i
 where i.indexrelid operator(pg_catalog.=) pg_catalog.to_regclass(${indexName})
   and i.indrelid operator(pg_catalog.=) pg_catalog.to_regclass(${tableName}) \\gset`,
    `\\if :${VALID}`,
    `\\echo ${echoed('  it is valid already')}`,
    '\\else',
    `\\if :${LEFT}`,
    `\\echo ${echoed('  an earlier try left it INVALID: dropped first')}`,
    `drop index concurrently ${relation};`,
    '\\endif',
    ended(statement),
    '\\endif',
  ];
}

/** A comment at its end would swallow the semicolon. */
function ended(statement: string): string {
  return statement.includes('--') ? `${statement}\n;` : `${statement};`;
}

function checkPart(operation: HandOperation): string {
  const { schema, table, index } = operation;
  const indexName = quoteLiteral(quoteRelation({ schema, name: index }));
  const tableName = quoteLiteral(quoteRelation({ schema, name: table }));
  switch (operation.operation) {
    case 'create':
      return check(
        `exists (select from pg_catalog.pg_index where indexrelid operator(pg_catalog.=) pg_catalog.to_regclass(${indexName})
              and indrelid operator(pg_catalog.=) pg_catalog.to_regclass(${tableName}) and indisvalid and indisready)`,
        `${schema}.${index} is not valid: run this script again, it drops and rebuilds what is INVALID`,
      );
    case 'drop':
      return check(
        `pg_catalog.to_regclass(${indexName}) is null`,
        `${schema}.${index} is still there: run this script again`,
      );
    case 'reindex':
      return check(
        `not exists (select from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid operator(pg_catalog.=) i.indexrelid
              where i.indrelid operator(pg_catalog.=) pg_catalog.to_regclass(${tableName}) and not i.indisvalid
                and c.relname operator(pg_catalog.~) '_cc(new|old)[0-9]*$')`,
        `an INVALID index that REINDEX left is on ${schema}.${table}: drop it (its name ends in _ccnew or _ccold), then run this script again`,
      );
    default:
      return operation.operation satisfies never;
  }
}

function check(condition: string, message: string): string {
  const body = `
begin
  if not (${condition}) then
    raise exception using message = ${quoteLiteral(message)};
  end if;
end
`;
  return block(body);
}

function block(body: string): string {
  const tag = freeTag(body);
  return `do ${tag}${body}${tag};`;
}

/** A dollar quote that the text itself does not end: a name may hold anything. */
function freeTag(text: string): string {
  for (let number = 0; ; number += 1) {
    const tag = number === 0 ? '$check$' : `$check${number}$`;
    if (!text.includes(tag)) return tag;
  }
}

/** psql would run what stands in backquotes, and read escapes and variables; in its single quotes it does not. */
function echoed(text: string): string {
  return `'${comment(text).replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** On one line, whatever a name holds. */
function comment(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go.
  return text.replace(/[\u0000-\u001f\u007f]+/g, ' ');
}

function sizeOf({ rows, bytes }: Pick<HandOperation, 'rows' | 'bytes'>, smallTableRows: number): string {
  const parts: string[] = [];
  if (rows !== undefined)
    parts.push(
      rows > smallTableRows
        ? `more than ${smallTableRows.toLocaleString('en')} rows`
        : `${rows.toLocaleString('en')} rows`,
    );
  if (bytes !== undefined && bytes >= 1e6)
    parts.push(bytes < 1e9 ? `${Math.round(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);
  return parts.length === 0 ? '' : `: a table of ${parts.join(', ')}`;
}
