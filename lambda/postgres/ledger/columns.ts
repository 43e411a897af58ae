import * as v from 'valibot';
import { buildStates, operations, statesThatAre } from '../../migration/build.ts';
import { MigrationError } from '../../migration/migration-error.ts';
import type { PostgresFault } from '../../migration/postgres-fault.ts';
import type { Version } from '../../migration/version.ts';
import { sessionKinds } from '../../work/build.ts';
import { quoteLiteral } from '../session/quote.ts';

/** Reads a row of the ledger, or rows. The error does not show what is there instead: it may be a value of a row. */
export function parseRow<const Schema extends v.GenericSchema>(
  schema: Schema,
  read: unknown,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, read);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  throw new MigrationError({
    code: 'ledger-row-invalid',
    what: `A row of the ledger is none that this code could have written: ${v.getDotPath(issue) ?? 'it'} was to be ${issue.expected ?? 'another value'}.`,
    applied: 'nothing of it.',
    next: 'somebody has changed it, or newer code wrote it: deploy that code; or find out who may write the tables of the ledger, and correct the row.',
  });
}

export const versionColumn = v.pipe(
  v.string(),
  v.minLength(1, 'expected a version'),
  v.transform((text) => text as Version),
);

export const faultColumn = v.object({
  sqlstate: v.string(),
  message: v.string(),
  detail: v.nullish(v.string()),
  hint: v.nullish(v.string()),
  context: v.nullish(v.string()),
  query: v.nullish(v.string()),
  schema: v.nullish(v.string()),
  table: v.nullish(v.string()),
  column: v.nullish(v.string()),
  dataType: v.nullish(v.string()),
  constraint: v.nullish(v.string()),
  plainMessage: v.nullish(v.string()),
  plainDetail: v.nullish(v.string()),
});

/** A row as `buildColumns` reads it. Queries for fewer columns pick theirs from here. */
export const buildRow = v.object({
  id: v.string(),
  ledger: v.string(),
  version: versionColumn,
  step: v.number(),
  runId: v.string(),
  file: v.string(),
  line: v.number(),
  operation: v.picklist(operations),
  schema: v.string(),
  table: v.string(),
  index: v.string(),
  unique: v.boolean(),
  statement: v.string(),
  definition: v.string(),
  settings: v.array(v.string()),
  replaces: v.array(v.number()),
  partitioned: v.boolean(),
  state: v.picklist(buildStates),
  attempts: v.number(),
  turns: v.number(),
  session: v.nullable(v.picklist(sessionKinds)),
  builderAppeared: v.boolean(),
  seconds_since_start: v.nullable(v.number()),
  seconds_since_first_start: v.nullable(v.number()),
  waiting: v.nullish(v.object({ blocker: v.string(), blockerSeconds: v.number(), seconds: v.number() })),
  attempt_outcome: v.nullable(
    v.variant('kind', [
      v.object({ kind: v.literal('succeeded') }),
      v.object({ kind: v.literal('failed'), fault: faultColumn }),
    ]),
  ),
});

export function toFault(fault: v.InferOutput<typeof faultColumn>): PostgresFault {
  const { sqlstate, message, ...more } = fault;
  // The supervisor writes absent fields as null or as empty text.
  const said = Object.entries(more).filter(
    ([, value]) => value !== null && value !== undefined && value !== '',
  );
  return { sqlstate, message, ...Object.fromEntries(said) };
}

/** When the latest attempt ended, if that was recorded; the turn that looks may come much later. */
export const ENDED_AT = "(attempt_outcome ->> 'endedAt')::timestamptz";

/** The condition that a build is in such a state, `of` being the name of its table in the query. */
export function stateIs(quality: 'open' | 'lost', of?: string): string {
  const column = of === undefined ? 'state' : `${of}.state`;
  return `${column} in (${statesThatAre(quality).map(quoteLiteral).join(', ')})`;
}
