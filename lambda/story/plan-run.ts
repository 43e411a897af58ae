import type { RecordedBuild } from '../migration/ledger.ts';
import {
  type Blocked,
  blockedBy,
  type LockMode,
  type LockWork,
  longerWork,
  strongerMode,
} from '../migration/lock-modes.ts';
import type { CompiledMigrations, Migration, Step } from '../migration/migration.ts';
import { statementsOf } from '../migration/migration.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { type PendingStep, plan } from '../migration/plan.ts';
import { routeOf } from '../migration/route.ts';
import { waitOf } from '../migration/waiting.ts';
import { buildRate } from '../postgres/build-history.ts';
import { withSession } from '../postgres/connect.ts';
import type { ConnectionTarget } from '../postgres/connection-target.ts';
import { readLedger } from '../postgres/ledger.ts';
import { refusePlainIndexes } from './plain-index-check.ts';
import { locksOf } from './planned-locks.ts';
import { factsFor, relationsOf, TableKnowledge } from './table-knowledge.ts';

/** What a run would do, step by step; nothing is written to find out. */
export interface RunPlan {
  readonly files: readonly FilePlan[];
  /** Why the run would stop before it touched anything. */
  readonly refused: string | undefined;
  /** Builds that are under way or failed. */
  readonly builds: readonly RecordedBuild[];
  readonly late: readonly string[];
  readonly reformatted: readonly string[];
  readonly unknown: readonly string[];
}

export interface FilePlan {
  readonly version: string;
  readonly file: string;
  readonly steps: readonly StepPlan[];
}

export interface StepPlan {
  /** From 1, as every message counts it. */
  readonly step: number;
  readonly line: number;
  readonly how: 'transaction' | 'autocommit' | 'inline' | 'hand-off';
  /** Why it waits for builds; absent where it runs at once. */
  readonly waits: string | undefined;
  /** Its statements, each by its kind. */
  readonly statements: readonly string[];
  readonly tables: readonly TablePlan[];
  /** From this database's own history of builds; absent where there is none, or nothing is built. */
  readonly estimatedSeconds: number | undefined;
}

export interface TablePlan {
  readonly table: string;
  /** It does not exist yet. */
  readonly isNew: boolean;
  /** Exact up to the threshold of a small table; absent where the table is new, or was not counted. */
  readonly rows: number | undefined;
  readonly moreRows: boolean;
  readonly bytes: number | undefined;
  /** Strongest lock that the step takes on it; absent where nobody can see into the statement. */
  readonly lock: LockMode | undefined;
  /** Whom that lock keeps waiting. */
  readonly blocks: Blocked | undefined;
  /** What is done under it: how long it is held. */
  readonly work: LockWork | undefined;
}

interface Asked {
  readonly options: MigrationOptions;
  readonly migrations: CompiledMigrations;
}

/** Plans against the database as it is. Throws DriftError where an applied file was changed. */
export async function planRun(target: ConnectionTarget, { options, migrations }: Asked): Promise<RunPlan> {
  return withSession(target, async (session) => {
    const { exists, ledger } = await readLedger(session, options.ledgerSchema);
    const planned = plan(migrations.migrations, ledger);
    const knowledge = new TableKnowledge(session, options.smallTableRows);
    await knowledge.measureTouched(planned.pending.map(({ step }) => step));
    const rate = exists ? await buildRate(session, options.ledgerSchema) : undefined;
    const foresight = new Foresight({ knowledge, options, rate, builds: planned.builds });
    return {
      files: byFile(planned.pending, foresight),
      refused:
        options.indexStrategy === 'inline'
          ? undefined
          : refusal(() => refusePlainIndexes(planned.pending, knowledge, options.smallTableRows)),
      builds: planned.builds,
      late: planned.late.map(({ file }) => file),
      reformatted: planned.reformatted.map(({ file }) => file),
      unknown: planned.unknown.map(({ name }) => name),
    };
  });
}

function byFile(pending: readonly PendingStep[], foresight: Foresight): FilePlan[] {
  const files = new Map<Migration, StepPlan[]>();
  for (const next of pending) {
    const steps = files.get(next.migration) ?? [];
    steps.push(foresight.see(next));
    files.set(next.migration, steps);
  }
  return [...files].map(([{ version, file }, steps]) => ({ version, file, steps }));
}

function refusal(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

interface Known {
  readonly knowledge: TableKnowledge;
  readonly options: MigrationOptions;
  /** Bytes of table per second, from this database's own builds. */
  readonly rate: number | undefined;
  readonly builds: readonly RecordedBuild[];
}

/** Goes through the steps as a run would, and remembers what each would have changed for the next. */
class Foresight {
  readonly #known: Known;
  readonly #builds: RecordedBuild[];
  /** Once a step waits, all after it do. */
  #waits: string | undefined;

  constructor(known: Known) {
    this.#known = known;
    this.#builds = [...known.builds];
  }

  see(next: PendingStep): StepPlan {
    const { step, migration } = next;
    const wait = this.#waits === undefined ? waitOf(next, this.#builds) : undefined;
    if (wait !== undefined)
      this.#waits = `${wait.because}; waits for ${wait.build.index || wait.build.table}`;
    const how = this.#route(step, migration);
    const tables = this.#tables(step, how);
    this.#known.knowledge.followCreation(step);
    const [first] = statementsOf(step);
    return {
      step: step.number + 1,
      line: first?.position.line ?? 1,
      how,
      waits: this.#waits,
      statements: statementsOf(step).map(({ kind }) => kind),
      tables,
      estimatedSeconds: how === 'hand-off' ? this.#seconds(tables) : undefined,
    };
  }

  #route(step: Step, migration: Migration): StepPlan['how'] {
    if (step.kind !== 'index-operation') return step.kind;
    const { knowledge, options } = this.#known;
    const facts = factsFor(knowledge, step);
    const { operation } = step;
    const { changes, indexes } = step.statement.touches;
    const route = routeOf(operation, {
      strategy: options.indexStrategy,
      smallTableRows: options.smallTableRows,
      createdByRun: facts.createdByRun,
      buildsPending: this.#builds.some(
        (build) =>
          changes.some(({ name }) => name === build.table) ||
          indexes.some(({ name }) => name === build.index),
      ),
      nameTaken: operation.kind === 'create-index' && knowledge.isTaken(operation, step.settings),
      tables: facts.tables,
    });
    if (route === 'hand-off') {
      for (const { schema, name } of relationsOf(operation)) {
        const facts = knowledge.of({ schema, name }, step.settings);
        const table = facts?.kind === 'present' ? facts : { schema: schema ?? 'public', table: name };
        this.#builds.push({
          id: '',
          version: migration.version,
          step: step.number,
          schema: table.schema,
          table: table.table,
          index: operation.kind === 'create-index' ? (operation.index ?? operation.suggestedName) : name,
          unique: operation.kind === 'create-index' && operation.unique,
          state: 'pending',
        });
      }
    }
    return route;
  }

  #tables(step: Step, how: StepPlan['how']): TablePlan[] {
    const { knowledge, options } = this.#known;
    const tables = new Map<string, TablePlan>();
    for (const { relation, mode, work } of locksOf(step, how === 'inline')) {
      const facts = knowledge.of(relation, step.settings);
      const present = facts?.kind === 'present' ? facts : undefined;
      const table =
        present === undefined
          ? [relation.schema, relation.name].filter((part) => part !== undefined).join('.')
          : `${present.schema}.${present.table}`;
      // An index stands for its table.
      const known = tables.get(table);
      const strongest =
        known?.lock === undefined || mode === undefined ? mode : strongerMode(known.lock, mode);
      tables.set(table, {
        table,
        isNew: facts?.kind === 'absent',
        rows: present === undefined ? undefined : Math.min(present.rows, options.smallTableRows),
        moreRows: present !== undefined && present.rows > options.smallTableRows,
        bytes: present?.bytes,
        lock: strongest,
        blocks: strongest === undefined ? undefined : blockedBy(strongest),
        work: known?.work === undefined || work === undefined ? work : longerWork(known.work, work),
      });
    }
    return [...tables.values()];
  }

  #seconds(tables: readonly TablePlan[]): number | undefined {
    const { rate } = this.#known;
    const bytes = tables.reduce((sum, table) => sum + (table.bytes ?? 0), 0);
    return rate === undefined || bytes === 0 ? undefined : Math.round(bytes / rate);
  }
}
