import * as v from 'valibot';
import type { Adoption } from '../history/adopt.ts';
import type { Mirror } from '../history/mirror.ts';
import type { CompiledMigrations } from '../migration/migration.ts';
import { versionColumn } from '../postgres/ledger/columns.ts';
import type { LedgerRead } from '../postgres/ledger/ledger.ts';
import type { Session } from '../postgres/session/session.ts';
import type { RunEvent } from '../run/run.ts';

/** In JSON written by hand, versions may be numbers. */
export const version = v.pipe(
  v.union(
    [v.string(), v.pipe(v.number(), v.safeInteger(), v.transform(String))],
    'expected a version, such as "0007"',
  ),
  versionColumn,
);

/** Who requests the action, for the ledger: Lambda does not say. */
export const by = v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(200)));

/** What an action finds when it is carried out: the ledger as it was read under the run lock, and the run's own row. */
export interface ActionContext {
  readonly ledgerSchema: string;
  readonly migrations: CompiledMigrations;
  readonly read: LedgerRead;
  readonly runId: string;
  /** Settings that the session started with. */
  readonly sessionSettings: readonly string[];
  /** How long a statement may wait for a lock. */
  readonly lockTimeoutSeconds: number;
  readonly deadline: number | undefined;
  readonly report: (event: RunEvent) => void;
  /** Migrations that the other tool's table has and the ledger does not. */
  readonly adoption: Adoption;
  /** Writes the other tool's history table; absent where there is none. */
  readonly mirror: Mirror | undefined;
}

/** An event to paste, and what it does, in one line. */
export type ActionExample = readonly [event: string, does: string];

/** Required by actions that can't be undone. */
export const confirm = v.literal(true);

/**
 * An action that changes the ledger or the schema, as one record: the console, the command line, the error that lists
 * all actions, and the history of runs follow from it.
 */
export interface ChangingAction<Name extends string, Form extends v.GenericSchema> {
  readonly name: Name;
  readonly schema: Form;
  readonly examples: readonly ActionExample[];
  /** It can't be undone: its schema has `confirm`. @default false */
  readonly needsConfirmation?: boolean;
  /** It leaves builds for the loop, which is started after it. @default false */
  readonly handsOff?: boolean;
  /** The key of its answer that says what was done. */
  readonly done: string;
  /** What is wrong with a combination of fields that are valid one by one. @default nothing */
  readonly problem?: (action: v.InferOutput<Form>) => string | undefined;
  readonly perform: (
    session: Session,
    action: v.InferOutput<Form>,
    context: ActionContext,
  ) => Promise<object>;
}

/** Infers the type parameters of a record. */
export function changingAction<const Name extends string, Form extends v.GenericSchema>(
  record: ChangingAction<Name, Form>,
): ChangingAction<Name, Form> {
  return record;
}
