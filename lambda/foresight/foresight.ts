import { kindOf, nameOf, type RecordedBuild, tableOf, type WorkKind } from '../migration/build.ts';
import {
  type IndexOperation,
  type IndexOperationStep,
  type Migration,
  type Step,
  statementsOf,
} from '../migration/migration.ts';
import type { MigrationOptions } from '../migration/options.ts';
import type { PendingStep } from '../migration/plan.ts';
import { mayBeSame, type RelationName } from '../migration/relation-name.ts';
import { routeOfLong } from '../migration/route.ts';
import { buildStage, type PlannedBuild, type Stage } from '../migration/stage.ts';
import { queuesUp, waitOf } from '../migration/waiting.ts';
import type { WorkTarget } from '../postgres/catalog/work-target.ts';
import type { BackfillPlan } from './planned-backfills.ts';
import { type TableContext, type TablePlan, tablePlans } from './planned-tables.ts';
import { relationsOf, routeOfStep } from './table-knowledge.ts';

export interface StepPlan {
  /** From 1, as in every message. */
  readonly step: number;
  readonly line: number;
  readonly how: 'transaction' | 'autocommit' | 'inline' | 'hand-off';
  /** It runs at once only if its table is small when its turn comes: a step before it may fill the table. */
  readonly bySize?: true;
  /** Why it waits for builds; absent if it does not. */
  readonly waits: string | undefined;
  /** The kinds of its statements. */
  readonly statements: readonly string[];
  /** What the loop would have to do. */
  readonly work?: WorkKind;
  readonly tables: readonly TablePlan[];
  /** For an index build or a backfill, from this database's own history; absent without one. */
  readonly estimatedSeconds: number | undefined;
  /** For a backfill that is handed off. */
  readonly backfill?: BackfillPlan;
  /** The file's own settings for memory and workers, which replace those of the loop. */
  readonly resources?: readonly string[];
}

/** Settings that the loop would otherwise choose. */
const RESOURCES = /\b(?:maintenance_work_mem|max_parallel_maintenance_workers)\b/i;

interface ForesightContext extends TableContext {
  readonly options: MigrationOptions;
  readonly builds: readonly RecordedBuild[];
  /** The objects of long statements, as far as they exist. */
  readonly targets: ReadonlyMap<Step, WorkTarget>;
  readonly backfills: ReadonlyMap<Step, BackfillPlan>;
}

/** Goes through the steps as a run would, and keeps track of what each would change for the next. */
export class Foresight {
  readonly #context: ForesightContext;
  /** Builds that are not valid yet after the steps so far. */
  #builds: RecordedBuild[];
  /** Once a step waits, all after it do. */
  #waits: string | undefined;
  readonly #stages: Stage[] = [];
  /** Materialized views that the steps so far create, and what they read. */
  readonly #views: { readonly view: RelationName; readonly reads: readonly RelationName[] }[] = [];
  /** Names of tables to which the steps so far may add rows. */
  #mayHaveGrown: Set<string> | 'any' = new Set();
  readonly #applied = { files: new Set<string>(), steps: 0 };
  /** Builds of each table, in order. */
  readonly #queue = new Map<string, PlannedBuild[]>();

  constructor(context: ForesightContext) {
    this.#context = context;
    this.#builds = [...context.builds];
    for (const { operation, index, state, ...build } of context.builds) {
      if (state !== 'done')
        this.#enqueue(tableOf(build), { operation, index, state, estimatedSeconds: undefined });
    }
  }

  see(next: PendingStep): StepPlan {
    const { step, migration } = next;
    const wait = waitOf(next, this.#builds);
    if (wait !== undefined) {
      this.#waits = `${wait.because}; waits for ${nameOf(wait.build)}`;
      this.#endStage();
    }
    const how = this.#route(step);
    const bySize = how !== 'hand-off' && this.#mayGrow(step);
    const tables = tablePlans(step, how === 'inline', this.#context);
    const builds =
      how === 'hand-off' && step.kind === 'index-operation' && step.operation.kind !== 'drop-index';
    const backfill = how === 'hand-off' ? this.#context.backfills.get(step) : undefined;
    const estimatedSeconds = builds ? this.#seconds(tables) : backfill?.seconds;
    if (how === 'hand-off' && step.kind === 'index-operation') {
      this.#handOff(step.operation, { migration, step, estimatedSeconds });
    } else if (how === 'hand-off') this.#handOffLong({ migration, step, estimatedSeconds });
    this.#applied.files.add(migration.file);
    this.#applied.steps += 1;
    this.#context.knowledge.followCreation(step);
    for (const { touches, alters } of statementsOf(step)) {
      if (touches.opaque || alters === 'everything') this.#mayHaveGrown = 'any';
      else if (this.#mayHaveGrown !== 'any')
        for (const { name } of touches.writes) this.#mayHaveGrown.add(name);
    }
    for (const { touches, reads } of statementsOf(step))
      for (const view of touches.creates) if (reads !== undefined) this.#views.push({ view, reads });
    const [first] = statementsOf(step);
    const resources = builds ? step.settings.filter((text) => RESOURCES.test(text)) : [];
    return {
      step: step.number + 1,
      line: first?.position.line ?? 1,
      how,
      ...(bySize && { bySize: true as const }),
      waits: this.#waits,
      statements: statementsOf(step).map(({ kind }) => kind),
      ...(how === 'hand-off' && { work: workOf(step) }),
      tables,
      estimatedSeconds,
      ...(backfill && { backfill }),
      ...(resources.length > 0 && { resources }),
    };
  }

  /** Whether only the run itself will see how large its table is. */
  #mayGrow(step: Step): boolean {
    const { knowledge, options } = this.#context;
    if (options.indexStrategy !== 'auto') return false;
    const long = step.kind === 'index-operation' ? undefined : step.long;
    const relations =
      step.kind === 'index-operation'
        ? relationsOf(step.operation)
        : [long?.relation].flatMap((one) => one ?? []);
    const grown = this.#mayHaveGrown;
    return relations.some(
      (relation) => !knowledge.isNew(relation) && (grown === 'any' || grown.has(relation.name)),
    );
  }

  /** What would happen together, in order. */
  stages(): readonly Stage[] {
    this.#endStage();
    return this.#stages;
  }

  /** Closes a stage: the steps so far are applied, and what they handed off is built, before anything else. */
  #endStage(): void {
    const { files, steps } = this.#applied;
    if (steps > 0) this.#stages.push({ kind: 'apply', files: [...files], steps });
    files.clear();
    this.#applied.steps = 0;
    if (this.#queue.size > 0) {
      const tables = [...this.#queue].map(([table, builds]) => ({ table, builds }));
      this.#stages.push(buildStage(tables, this.#context.options.maxConcurrentTables));
    }
    this.#queue.clear();
    this.#builds = [];
  }

  #route(step: Step): StepPlan['how'] {
    const { knowledge, options } = this.#context;
    if (step.kind !== 'index-operation') return this.#handsOff(step) ? 'hand-off' : step.kind;
    return routeOfStep(step, { knowledge, options, builds: this.#builds });
  }

  #handOff(
    operation: IndexOperation,
    {
      migration,
      step,
      estimatedSeconds,
    }: { migration: Migration; step: Step; estimatedSeconds: number | undefined },
  ): void {
    for (const { schema, name } of relationsOf(operation)) {
      const facts = this.#context.knowledge.of({ schema, name }, step.settings);
      const table = facts?.kind === 'present' ? facts : { schema: schema ?? 'public', table: name };
      const index = indexOf(operation, name);
      const built = OPERATIONS[operation.kind];
      this.#builds.push({
        id: '',
        version: migration.version,
        step: step.number,
        operation: built,
        schema: table.schema,
        table: table.table,
        index,
        unique: operation.kind === 'create-index' && operation.unique,
        state: 'pending',
      });
      // A later step may name it.
      if (operation.kind === 'create-index')
        this.#context.knowledge.learnName({ schema: table.schema, name: index }, facts);
      // Dropping an index takes a moment, whatever the table's size.
      const seconds = operation.kind === 'drop-index' ? 0 : estimatedSeconds;
      this.#enqueue(tableOf(table), { operation: built, index, state: 'new', estimatedSeconds: seconds });
    }
  }

  /** As far as the statements and the tables' sizes tell. */
  #handsOff(step: Exclude<Step, IndexOperationStep>): boolean {
    if (step.long === undefined) return false;
    const { long, settings } = step;
    const { knowledge, options } = this.#context;
    const { relation } = long;
    const isRefresh = kindOf(long.operation) === 'refresh';
    if (relation !== undefined && !long.handOff && !isRefresh && knowledge.isNew(relation)) return false;
    const rows = this.#context.targets.get(step)?.rows ?? this.#rowsUnder(relation, settings);
    const { indexStrategy: strategy, smallTableRows } = options;
    const route = routeOfLong(long, {
      strategy,
      smallTableRows,
      queuesUp: queuesUp(step, this.#builds),
      rows,
    });
    return route === 'hand-off';
  }

  /** Rows of the largest table under a view that does not exist yet. */
  #rowsUnder(
    relation: RelationName | undefined,
    settings: readonly string[],
    views = this.#views,
  ): number | undefined {
    if (relation === undefined) return undefined;
    const at = views.findLastIndex(({ view }) => mayBeSame(view, relation));
    const rows = (views[at]?.reads ?? []).flatMap((table) => {
      const facts = this.#context.knowledge.of(table, settings);
      if (facts?.kind === 'present') return [facts.rows];
      return this.#rowsUnder(table, settings, views.slice(0, at)) ?? [];
    });
    return rows.length === 0 ? undefined : Math.max(...rows);
  }

  #handOffLong({
    migration,
    step,
    estimatedSeconds,
  }: {
    migration: Migration;
    step: Step;
    estimatedSeconds: number | undefined;
  }): void {
    if (step.kind === 'index-operation' || step.long === undefined) return;
    const { relation, operation, names } = step.long;
    const facts = relation === undefined ? undefined : this.#context.knowledge.of(relation, step.settings);
    const named =
      relation === undefined ? undefined : { schema: relation.schema ?? 'public', table: relation.name };
    const { schema, table } = (facts?.kind === 'present' ? facts : named) ?? { schema: '', table: '' };
    const line = statementsOf(step)[0]?.position.line ?? 1;
    const index = operation === 'statement' ? `${migration.file}:${line}` : names.join(', ');
    const { version } = migration;
    const { number } = step;
    this.#builds.push({
      id: '',
      version,
      step: number,
      operation,
      schema,
      table,
      index,
      unique: false,
      state: 'pending',
    });
    this.#enqueue(tableOf({ schema, table }), { operation, index, state: 'new', estimatedSeconds });
  }

  #enqueue(table: string, build: PlannedBuild): void {
    const queue = this.#queue.get(table);
    if (queue === undefined) this.#queue.set(table, [build]);
    else queue.push(build);
  }

  #seconds(tables: readonly TablePlan[]): number | undefined {
    const { rate } = this.#context;
    const bytes = tables.reduce((sum, table) => sum + (table.bytes ?? 0), 0);
    return rate === undefined || bytes === 0 ? undefined : bytes / rate;
  }
}

const OPERATIONS = { 'create-index': 'create', 'drop-index': 'drop', reindex: 'reindex' } as const;

function indexOf(operation: IndexOperation, name: string): string {
  if (operation.kind === 'create-index') return operation.index ?? operation.suggestedName;
  return operation.kind === 'reindex' && operation.target !== 'index' ? '' : name;
}

function workOf(step: Step): WorkKind {
  return step.kind === 'index-operation' ? 'index build' : kindOf(step.long?.operation ?? 'statement');
}
