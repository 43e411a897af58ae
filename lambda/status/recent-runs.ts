import * as v from 'valibot';
import { doneKeys } from '../actions/action.ts';
import { parseRow } from '../postgres/ledger/columns.ts';
import { quoteIdentifier } from '../postgres/session/quote.ts';
import type { Session } from '../postgres/session/session.ts';

/** A run or an operator's action, from the ledger. */
export interface RunStatus {
  readonly id: string;
  /** `run`, `resume` for a run that the loop continues, or the action's name. */
  readonly action: string;
  readonly cause: string;
  readonly actor: string;
  readonly startedAt: string;
  /** Absent while the run is under way, and if it died. */
  readonly finishedAt: string | undefined;
  readonly outcome: string | undefined;
  /** `applied 0001_users … 0004_views (4 files)`; absent where it did nothing, and while it runs. */
  readonly did: string | undefined;
  readonly error: string | undefined;
  /** The step that waits for builds. */
  readonly waiting: { readonly file: string; readonly step: number; readonly because: string } | undefined;
}

/** How many are shown, newest first. */
const MOST_RUNS = 10;

const runRow = v.object({
  id: v.string(),
  action: v.string(),
  cause: v.string(),
  actor: v.string(),
  started_at: v.string(),
  finished_at: v.nullable(v.string()),
  outcome: v.nullable(v.string()),
  summary: v.fallback(
    v.looseObject({
      error: v.optional(v.string()),
      kept: v.optional(v.string()),
      waiting: v.nullish(v.object({ file: v.string(), step: v.number(), because: v.string() })),
    }),
    {},
  ),
});

export async function recentRuns(session: Session, ledgerSchema: string): Promise<RunStatus[]> {
  const rows = await session.query(
    `select id::text, action, cause, actor, pg_catalog.to_jsonb(started_at) #>> '{}' as started_at,
            pg_catalog.to_jsonb(finished_at) #>> '{}' as finished_at, outcome, summary
       from ${quoteIdentifier(ledgerSchema)}.run order by run.started_at desc limit ${MOST_RUNS}`,
  );
  return rows.map((row) => {
    const { started_at, finished_at, outcome, summary, ...rest } = parseRow(runRow, row);
    return {
      ...rest,
      startedAt: started_at,
      finishedAt: finished_at ?? undefined,
      outcome: outcome ?? undefined,
      did: whatItDid(summary),
      error: summary.error,
      waiting: summary.waiting ?? undefined,
    };
  });
}

function whatItDid(summary: Readonly<Record<string, unknown>>): string | undefined {
  if (typeof summary.kept === 'string') return `left the database as it was: ${summary.kept}`;
  for (const verb of doneKeys) {
    const things = [summary[verb] ?? []].flat().map(String);
    const [first, last] = [things[0], things.at(-1)];
    if (first === undefined) continue;
    return things.length === 1 ? `${verb} ${first}` : `${verb} ${first} … ${last} (${things.length} in all)`;
  }
  return undefined;
}
