import * as v from 'valibot';
import type { Adoption } from '../history/adopt.ts';
import type { Mirror } from '../history/mirror.ts';
import type { CompiledMigrations } from '../migration/migration.ts';
import { versionColumn } from '../postgres/ledger/columns.ts';
import type { LedgerRead } from '../postgres/ledger/ledger.ts';
import type { Session } from '../postgres/session/session.ts';
import type { RunEvent } from '../run/run.ts';

/** JSON written by hand has versions as numbers, too. */
export const version = v.pipe(
  v.union(
    [v.string(), v.pipe(v.number(), v.safeInteger(), v.transform(String))],
    'expected a version, such as "0007"',
  ),
  versionColumn,
);

/** Who asks, for the ledger: Lambda does not say. */
export const by = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(200)));

/** What an action finds when it is carried out: the ledger as it was read under the run lock, and the run's own row. */
export interface ActionContext {
  readonly ledgerSchema: string;
  readonly migrations: CompiledMigrations;
  readonly read: LedgerRead;
  readonly runId: string;
  /** Settings that the session began with. */
  readonly sessionSettings: readonly string[];
  /** The longest that a statement waits for a lock. */
  readonly lockTimeoutSeconds: number;
  readonly deadline: number | undefined;
  readonly report: (event: RunEvent) => void;
  /** What the tool's table says of migrations that the ledger does not know. */
  readonly adoption: Adoption;
  /** Writes the table of the layout's tool, where it is there. */
  readonly mirror: Mirror | undefined;
}

/** An event that can be pasted, and what it does in a line. */
export type ActionExample = readonly [event: string, does: string];

/** For an action that can't be taken back. */
export const confirm = v.literal(true);

/**
 * An action that changes the ledger or the schema, as one record: the console, the command line, the error that lists
 * all actions, and the history of runs follow from it.
 */
export interface ChangingAction<Name extends string, Form extends v.GenericSchema> {
  readonly name: Name;
  readonly schema: Form;
  readonly examples: readonly ActionExample[];
  /** It can't be taken back: its form has `confirm`. @default false */
  readonly needsConfirmation?: boolean;
  /** It leaves builds for the loop, which is started after it. @default false */
  readonly handsOff?: boolean;
  /** The key of its answer that says what was done. */
  readonly done: string;
  /** What is wrong with fields that are right each by itself. @default nothing */
  readonly problem?: (action: v.InferOutput<Form>) => string | undefined;
  readonly perform: (
    session: Session,
    action: v.InferOutput<Form>,
    context: ActionContext,
  ) => Promise<object>;
}

/** Infers the types of a record. */
export function changingAction<const Name extends string, Form extends v.GenericSchema>(
  record: ChangingAction<Name, Form>,
): ChangingAction<Name, Form> {
  return record;
}
