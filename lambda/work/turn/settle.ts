import * as v from 'valibot';
import { adviceForBuild } from '../../migration/fault-advice.ts';
import { quoteIdentifier } from '../../postgres/session/quote.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { SettleResult } from '../loop-task.ts';

const failedBuild = v.object({
  index: v.string(),
  table: v.string(),
  schema: v.string(),
  file: v.string(),
  line: v.number(),
  state: v.string(),
  attempts: v.number(),
  fault: v.nullable(
    v.object({
      sqlstate: v.string(),
      message: v.string(),
      detail: v.nullish(v.string()),
      hint: v.nullish(v.string()),
      context: v.nullish(v.string()),
    }),
  ),
});

type BuildFault = NonNullable<v.InferOutput<typeof failedBuild>['fault']>;

/** What became of a hand-off, in words for a person: each failed index, its reason, and what to do. */
export async function settle(session: Session, ledgerSchema: string): Promise<SettleResult> {
  const s = quoteIdentifier(ledgerSchema);
  const rows = await session.query(
    `select index_name as index, table_name as table, schema_name as schema, file, line, state, attempts, fault
       from ${s}.index_build where state <> 'done' order by id`,
  );
  const builds = v.parse(v.array(failedBuild), rows);
  const [run] = await session.query(
    `select summary ->> 'error' as error from ${s}.run where outcome is not null order by started_at desc limit 1`,
  );
  const lines = builds.map(describe);
  if (typeof run?.error === 'string') lines.push(`The run that followed failed: ${run.error}`);
  return lines.length === 0
    ? { outcome: 'valid', message: '' }
    : { outcome: 'failed', message: limited(lines) };
}

/** Step Functions takes 32,768 characters of cause. */
const MOST_LINES = 20;

function limited(lines: readonly string[]): string {
  const more = lines.length - MOST_LINES;
  const shown = lines.slice(0, MOST_LINES).map((line) => line.slice(0, 1_000));
  return (more > 0 ? [...shown, `… and ${more} more; the action status lists them all.`] : shown).join('\n');
}

function describe({
  index,
  table,
  schema,
  file,
  line,
  state,
  attempts,
  fault,
}: v.InferOutput<typeof failedBuild>): string {
  const name = index === '' ? `REINDEX of ${schema}.${table}` : `${index} on ${schema}.${table}`;
  if (state === 'cancelled')
    return `${name} (${file}:${line}) was cancelled. Next: run the action retry to build it.`;
  if (state !== 'failed' || fault === null)
    return `${name} (${file}:${line}) is not finished. Next: run again; the loop goes on.`;
  const when =
    attempts === 0 ? 'before it was begun' : `after ${attempts} attempt${attempts === 1 ? '' : 's'}`;
  return `${name} (${file}:${line}) failed ${when}: ${describeFault(fault)} Next: ${adviceFor(fault, file)}`;
}

function adviceFor(fault: BuildFault, file: string): string {
  const { sqlstate, message, context } = fault;
  return (
    adviceForBuild({ sqlstate, message, context: context ?? undefined }, file) ??
    'mend the cause, then run again (or the action retry).'
  );
}

function describeFault({ sqlstate, message, detail, hint, context }: BuildFault): string {
  const within = context ? `In: ${context.replaceAll('\n', '; ')}.` : undefined;
  const more = [detail, hint, within].filter((part) => part !== null && part !== undefined && part !== '');
  return `${message} (SQLSTATE ${sqlstate})${more.length > 0 ? `; ${more.join(' ')}` : '.'}`;
}
