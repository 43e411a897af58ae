import type { DataCheck, SizeCheck } from './deploy-check.ts';
import { type Statement, statementsOf } from './migration.ts';
import type { PendingStep } from './plan.ts';
import type { RelationName } from './relation-name.ts';

/** A check, and the statement that it is about. */
export interface Askable<Check> {
  readonly pending: PendingStep;
  readonly statement: Statement;
  readonly check: Check;
  /** Whether no earlier pending statement may change the table, so that what the database says now will still hold. */
  readonly asItIs: boolean;
  /** Names of what earlier pending statements write: more may be changed through it. */
  readonly after: readonly string[];
}

export interface AskableChecks {
  readonly sizes: readonly Askable<SizeCheck>[];
  readonly data: readonly Askable<DataCheck>[];
}

/**
 * The checks of pending steps that the database can answer as it is now. Leaves out what an earlier pending statement
 * may change: an UPDATE may fill the column before it becomes NOT NULL, and a table that is dropped and recreated is no
 * longer large. Names are compared without their schema; in doubt nothing is checked, and Postgres decides when the
 * statement runs.
 */
export function askableChecks(pending: readonly PendingStep[]): AskableChecks {
  const sizes: Askable<SizeCheck>[] = [];
  const data: Askable<DataCheck>[] = [];
  const altered = new Altered();
  for (const each of pending) {
    // The caller knows the settings of earlier steps, and those within this one.
    altered.beginStep();
    for (const statement of statementsOf(each.step)) {
      // Questions are asked under it.
      if (statement.setting === true) continue;
      for (const check of statement.checks ?? []) {
        if (relationsOf(check).some((relation) => altered.mayMeanAnother(relation))) continue;
        const columns = columnsOf(check);
        const asItIs = !relationsOf(check).some((relation) => altered.mayDiffer(relation, columns));
        const asked = { pending: each, statement, asItIs, after: altered.names() };
        if (check.kind === 'size') {
          if (!altered.mayBeEmpty(check.relation)) sizes.push({ ...asked, check });
        } else if (asItIs) {
          data.push({ ...asked, check });
        }
      }
      altered.follow(statement);
    }
  }
  return { sizes, data };
}

/** Relations whose rows decide the answer. */
export function relationsOf(check: SizeCheck | DataCheck): readonly RelationName[] {
  return check.kind === 'orphans' ? [check.relation, check.references] : [check.relation];
}

/** The columns of its relation that decide the answer, where no others do. */
function columnsOf(check: SizeCheck | DataCheck): readonly string[] | undefined {
  if (check.kind === 'nulls') return [check.column];
  if (check.kind !== 'size') return undefined;
  const column = check.retype?.column ?? check.unlessColumn ?? check.unlessNotNull;
  if (column !== undefined) return [column];
  return check.unlessStored === undefined || check.unlessStored.by === 'virtual column' ? undefined : [];
}

/** Kinds after which a name may mean an empty table. */
const EMPTYING: ReadonlySet<string> = new Set([
  'AlterObjectSchemaStmt',
  'DropStmt',
  'RenameStmt',
  'TruncateStmt',
]);

/** By way of which what follows may write other tables than it names; of those that exist the database knows. */
const LEADING_ON: ReadonlySet<string> = new Set(['CreateTrigStmt', 'RuleStmt', 'ViewStmt']);

class Altered {
  #everything = false;
  #leadsOn = false;
  #namesMoved = false;
  readonly #names = new Set<string>();
  /** Columns that may differ, by the name of their table, where no others may. */
  readonly #columns = new Map<string, Set<string>>();
  readonly #emptied = new Set<string>();

  beginStep(): void {
    this.#namesMoved = false;
  }

  follow({ alters = 'everything', kind, touches }: Statement): void {
    if (EMPTYING.has(kind)) for (const { name } of touches.changes) this.#emptied.add(name);
    if (alters === 'everything' || (this.#leadsOn && touches.writes.length > 0)) this.#everything = true;
    else if (alters === 'names') this.#namesMoved = true;
    else for (const { name, columns } of alters) this.#add(name, columns);
    if (LEADING_ON.has(kind)) this.#leadsOn = true;
  }

  #add(name: string, columns: readonly string[] | undefined): void {
    if (columns === undefined) this.#names.add(name);
    else this.#columns.set(name, new Set([...(this.#columns.get(name) ?? []), ...columns]));
  }

  names(): readonly string[] {
    return [...this.#names, ...this.#columns.keys()];
  }

  /** @param columns the columns that matter; undefined for any */
  mayDiffer({ name }: RelationName, columns: readonly string[] | undefined): boolean {
    if (this.#everything || this.#names.has(name)) return true;
    const altered = this.#columns.get(name);
    return altered !== undefined && (columns?.some((column) => altered.has(column)) ?? true);
  }

  mayMeanAnother({ schema }: RelationName): boolean {
    return this.#namesMoved && schema === undefined;
  }

  mayBeEmpty({ name }: RelationName): boolean {
    return this.#emptied.has(name);
  }
}
