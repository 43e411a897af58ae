import * as v from 'valibot';
import { describeBuild, operations } from '../../migration/build.ts';
import { adviceForBuild } from '../../migration/fault-advice.ts';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import { mayQuoteRows, withoutRowValues } from '../../migration/postgres-fault.ts';
import type { RowValues } from '../../migration/row-values.ts';
import { faultColumn, stateIs, toFault } from '../../postgres/ledger/columns.ts';
import { workTableNow } from '../../postgres/ledger/ledger.ts';
import { quoteIdentifier } from '../../postgres/session/quote.ts';
import type { Session } from '../../postgres/session/session.ts';
import type { SettleResult } from '../loop-task.ts';

const failedBuild = v.object({
  index: v.string(),
  table: v.string(),
  operation: v.picklist(operations),
  schema: v.string(),
  file: v.string(),
  line: v.number(),
  state: v.string(),
  attempts: v.number(),
  fault: v.nullable(faultColumn),
});

/**
 * Describes for a person what became of a loop that started at `startedAt`: each build that is open or was lost
 * meanwhile, why, and what to do; and the latest run that followed, the loop's own or a deploy's, if it failed. Earlier
 * losses and operators' actions do not belong to this loop.
 */
export async function settle(
  session: Session,
  ledgerSchema: string,
  {
    startedAt = new Date(0),
    rows: values,
  }: { readonly startedAt?: Date | undefined; readonly rows: RowValues },
): Promise<SettleResult> {
  const s = quoteIdentifier(ledgerSchema);
  // As an age, since the server's clock may differ from ours.
  const secondsAgo = (Date.now() - startedAt.getTime()) / 1000;
  const rows = await session.query(
    `select ${buildColumns} from ${await workTableNow(session, ledgerSchema)}
      where ${stateIs('open')}
         or (${stateIs('lost')}
             and finished_at >= pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1::float8))
      order by id`,
    [secondsAgo],
  );
  const [run] = await session.query(
    // Code before `plainError` recorded row values, which must not be repeated.
    `select summary ->> 'error' as error, coalesce(summary ->> 'plainError', 'the action status says why') as plain, summary -> 'waiting' as waiting from ${s}.run
      where outcome is not null and action in ('run', 'resume') and cause in ('loop', 'cloudformation')
        and started_at >= $1::timestamptz
      order by started_at desc limit 1`,
    [startedAt.toISOString()],
  );
  const lines = v.parse(v.array(failedBuild), rows).map((row) => describe(row, values));
  if (typeof run?.error === 'string')
    lines.push(`The run that followed failed: ${values === 'shown' ? run.error : String(run.plain)}`);
  const { waiting } = v.parse(followingRun, run ?? {});
  // For a build that was lost earlier; otherwise it is listed above.
  if (lines.length === 0 && waiting)
    lines.push(
      `${waiting.file} still waits: ${waiting.because}. Next: run the action retry, or fix the cause and deploy.`,
    );
  return lines.length === 0
    ? { outcome: 'valid', message: '' }
    : { outcome: 'failed', message: limited(lines) };
}

const followingRun = v.object({
  waiting: v.nullish(v.object({ file: v.string(), because: v.string() })),
});

/** Describes these builds, whenever they were lost. */
export async function describeLost(
  session: Session,
  ledgerSchema: string,
  builds: readonly { readonly id: string }[],
): Promise<(rows: RowValues) => string> {
  const rows = await session.query(
    `select ${buildColumns} from ${await workTableNow(session, ledgerSchema)}
      where id = any($1::bigint[]) order by id`,
    [builds.map(({ id }) => id)],
  );
  const lost = v.parse(v.array(failedBuild), rows);
  return (values) => limited(lost.map((row) => describe(row, values)));
}

const buildColumns =
  'index_name as index, table_name as table, schema_name as schema, operation, file, line, state, attempts, fault';

/** Step Functions takes a cause of at most 32,768 characters. */
const MOST_LINES = 20;

function limited(lines: readonly string[]): string {
  const more = lines.length - MOST_LINES;
  const shown = lines.slice(0, MOST_LINES).map((line) => line.slice(0, 1_000));
  return (more > 0 ? [...shown, `… and ${more} more; the action status lists them all.`] : shown).join('\n');
}

function describe(
  { operation, index, table, schema, file, line, state, attempts, fault }: v.InferOutput<typeof failedBuild>,
  rows: RowValues,
): string {
  const name = describeBuild({ schema, table, index, operation });
  if (state === 'cancelled')
    return `${name} (${file}:${line}) was cancelled. Next: run the action retry to build it.`;
  if (state !== 'failed' || fault === null)
    return `${name} (${file}:${line}) is not finished. Next: run again; the loop continues.`;
  const when = attempts === 0 ? 'before it started' : `after ${attempts} attempt${attempts === 1 ? '' : 's'}`;
  const said = toFault(fault);
  const next = adviceForBuild(said, file) ?? 'fix the cause, then run again (or the action retry).';
  const hides = rows === 'hidden' && mayQuoteRows(said);
  const told = hides
    ? `${describeFault(withoutRowValues(said))} The action status has all of it.`
    : describeFault(said);
  return `${name} (${file}:${line}) failed ${when}: ${told} Next: ${next}`;
}

function describeFault({ sqlstate, message, detail, hint, context }: PostgresFault): string {
  const within = context ? `In: ${context.replaceAll('\n', '; ')}.` : undefined;
  const more = [detail, hint, within].filter((part) => part !== undefined);
  return `${message} (SQLSTATE ${sqlstate})${more.length > 0 ? `; ${more.join(' ')}` : '.'}`;
}
