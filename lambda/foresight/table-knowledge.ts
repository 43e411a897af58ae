import { relationsOf as relationsOfCheck } from '../migration/askable-checks.ts';
import type { RecordedBuild } from '../migration/build.ts';
import { type LockWork, longerWork } from '../migration/lock-modes.ts';
import {
  type CreateIndex,
  type IndexOperation,
  type IndexOperationStep,
  partsOf,
  type Statement,
  type Step,
  settingsOf,
  statementsOf,
} from '../migration/migration.ts';
import type { MigrationOptions } from '../migration/options.ts';
import { mayBeSame, type RelationName, relationKey } from '../migration/relation-name.ts';
import { type Route, routeOf, type TableFacts } from '../migration/route.ts';
import { queuesUp } from '../migration/waiting.ts';
import { measureTables } from '../postgres/catalog/table-facts.ts';
import type { Session } from '../postgres/session/session.ts';

/** The relations whose size decides where an index operation runs. */
export function relationsOf(operation: IndexOperation): readonly RelationName[] {
  switch (operation.kind) {
    case 'create-index':
      return [operation.table];
    case 'drop-index':
      return operation.indexes;
    case 'reindex':
      return operation.name === undefined ? [] : [operation.name];
    default:
      return operation satisfies never;
  }
}

/**
 * What the run knows about its tables. Everything is measured once, before the first step, in two round trips; what a
 * step may have changed is forgotten, and measured again when it is needed.
 */
export class TableKnowledge {
  readonly #session: Session;
  readonly #limit: number;
  readonly #facts = new Map<string, TableFacts>();
  /** Keys of the facts by name: an index has them under its own name and under that of its table. */
  readonly #keys = new Map<string, Set<string>>();
  /** Did not exist when the run began. */
  readonly #absentAtStart = new Set<string>();
  /** The same by their keys. */
  readonly #absent = new Map<
    string,
    { readonly relation: RelationName; readonly settings: readonly string[] }
  >();
  /** Keys of what could not be looked up when the run began. */
  readonly #unknownAtStart = new Set<string>();
  readonly #works = new Map<Statement, readonly LockWork[]>();
  /** By name only, since a schema may be written in one place and left out in another. */
  readonly #created = new Map<string, RelationName[]>();

  constructor(session: Session, limit: number) {
    this.#session = session;
    this.#limit = limit;
  }

  /** Before the first step: measures what routes depend on, and the tables whose size the linter needs. */
  async measureFirst(steps: readonly Step[]): Promise<void> {
    await this.#measure(bySettings(steps, relationsJudged), { first: true });
    this.#learnNames(steps);
  }

  /** Measures again, for all of these steps, what an earlier step may have changed. */
  measureAgain(steps: readonly Step[]): Promise<void> {
    return this.#measure(bySettings(steps, relationsForRoutes), {});
  }

  /**
   * Measures every table that any step touches, to show in a plan: where a pending file makes a role or a setting, as
   * they are without it.
   */
  async measureTouched(steps: readonly Step[]): Promise<void> {
    await this.#measure(bySettings(steps, relationsTouched), { first: true, lenient: true });
    this.#learnNames(steps);
  }

  async #measure(
    groups: readonly RelationGroup[],
    { first = false, lenient = false }: { readonly first?: boolean; readonly lenient?: boolean },
  ): Promise<void> {
    for (const { settings, relations } of groups) {
      const missing = relations.filter((relation) => !this.#facts.has(key(relation, settings)));
      const facts = await measureTables(this.#session, missing, { limit: this.#limit, settings, lenient });
      for (const [index, relation] of missing.entries()) {
        const fact: TableFacts = facts[index] ?? { kind: 'absent' };
        // An earlier file may create what is needed to look; then it is measured again.
        if (first && fact.kind === 'unknown') {
          this.#unknownAtStart.add(key(relation, settings));
          continue;
        }
        this.#learn(relation, settings, fact);
        if (!first || fact.kind !== 'absent') continue;
        this.#absentAtStart.add(relationKey(relation));
        this.#absent.set(key(relation, settings), { relation, settings });
      }
    }
  }

  /** What a pending step renames is no new table: it is as large under its new name. */
  #learnNames(steps: readonly Step[]): void {
    for (const step of steps) {
      for (const statement of statementsOf(step)) {
        const { renames } = statement;
        if (renames !== undefined)
          this.learnName(renames.to, this.of(renames.from, settingsOf(step, statement)));
      }
    }
  }

  /** What was absent when the run began is, by the time it is needed, this table, or an index on it. */
  learnName(name: RelationName, facts: TableFacts | undefined): void {
    if (facts?.kind !== 'present') return;
    for (const [id, { relation, settings }] of this.#absent)
      if (mayBeSame(relation, name) && this.#facts.get(id)?.kind === 'absent')
        this.#learn(relation, settings, facts);
  }

  #learn(relation: RelationName, settings: readonly string[], facts: TableFacts): void {
    const id = key(relation, settings);
    this.#facts.set(id, facts);
    for (const name of [relation.name, ...(facts.kind === 'present' ? [facts.table] : [])]) {
      const keys = this.#keys.get(name);
      if (keys === undefined) this.#keys.set(name, new Set([id]));
      else keys.add(id);
    }
  }

  of(relation: RelationName, settings: readonly string[]): TableFacts | undefined {
    return this.#facts.get(key(relation, settings));
  }

  /** Whether the linter's questions about it could not be answered when the run began. */
  wasUnknown(step: Step): boolean {
    return partsOf(step).some((part) =>
      relationsJudged(part).some((relation) => this.#unknownAtStart.has(key(relation, part.settings))),
    );
  }

  /** Measures what was unknown then, now that the step is next. */
  measureUnknown(step: Step): Promise<void> {
    return this.#measure(bySettings([step], relationsJudged), {});
  }

  /** Notes what a part of the statement really does. */
  learnWork(statement: Statement, work: LockWork): void {
    this.#works.set(statement, [...(this.#works.get(statement) ?? []), work]);
  }

  /** What the statement really does under its locks, if that was found out and is all it does. */
  workOf(statement: Statement): LockWork | undefined {
    const works = this.#works.get(statement);
    const checks = (statement.checks ?? []).filter((check) => check.kind === 'size');
    return works?.length === checks.length ? works.reduce(longerWork, 'moment') : undefined;
  }

  /** A relation has the new index's name already. */
  isTaken({ table, index }: CreateIndex, settings: readonly string[]): boolean {
    if (index === undefined) return false;
    return this.of({ schema: table.schema, name: index }, settings)?.kind === 'present';
  }

  /** The index that a step's CREATE INDEX IF NOT EXISTS names, if it exists; Postgres skips it for a table of that name, too. */
  existingIndex(
    { unlessExists }: Statement,
    settings: readonly string[],
  ): { readonly valid: boolean } | undefined {
    const facts = unlessExists === undefined ? undefined : this.of(unlessExists, settings);
    return facts?.kind === 'present' ? (facts.index ?? { valid: true }) : undefined;
  }

  /** Whether the run created it, so that nobody else can be using it. CREATE TABLE IF NOT EXISTS proves nothing. */
  isNew(relation: RelationName): boolean {
    const created = this.#created.get(relation.name) ?? [];
    return created.some((one) => mayBeSame(one, relation)) && this.#absentAtStart.has(relationKey(relation));
  }

  /** Notes what a step will have changed once it is applied. */
  follow(step: Step): void {
    // An index operation changes no table's size; the names of dropped indexes are free again.
    if (step.kind === 'index-operation') {
      this.#forget(step.operation.kind === 'drop-index' ? step.operation.indexes : []);
      return;
    }
    this.followCreation(step);
    for (const { touches, alters, renames } of statementsOf(step)) {
      if (touches.opaque || alters === 'everything') this.#facts.clear();
      const renamed = renames === undefined ? [] : [renames.to];
      this.#forget([...touches.creates, ...touches.changes, ...touches.writes, ...renamed]);
    }
  }

  /** The same for a plan, which cannot measure again later. */
  followCreation(step: Step): void {
    for (const { touches } of statementsOf(step)) {
      for (const relation of touches.creates) {
        this.#created.set(relation.name, [...(this.#created.get(relation.name) ?? []), relation]);
      }
    }
  }

  #forget(relations: readonly RelationName[]): void {
    for (const { name } of relations) {
      for (const id of this.#keys.get(name) ?? []) this.#facts.delete(id);
      this.#keys.delete(name);
    }
  }
}

function key(relation: RelationName, settings: readonly string[]): string {
  return [relationKey(relation), ...settings].join('\n');
}

/** Whether its route, or its permission to run, depends on existing tables. */
export function asksOfTables(step: Step): boolean {
  return relationsJudged(step).length > 0;
}

/** Plain CREATE INDEX, which blocks writes: refused on a table that is not small. */
function plainIndexes(step: Step): readonly Statement[] {
  if (step.kind === 'index-operation') return [];
  return statementsOf(step).filter((statement) => statement.kind === 'IndexStmt');
}

interface RelationGroup {
  readonly settings: readonly string[];
  readonly relations: readonly RelationName[];
}

function bySettings(
  steps: readonly Step[],
  relationsOfStep: (step: Step) => RelationName[],
): RelationGroup[] {
  const groups = new Map<string, { settings: readonly string[]; relations: Map<string, RelationName> }>();
  for (const part of steps.flatMap(partsOf)) {
    const relations = relationsOfStep(part);
    if (relations.length === 0) continue;
    const { settings } = part;
    const id = settings.join('\n');
    const group = groups.get(id) ?? { settings, relations: new Map() };
    for (const relation of relations) group.relations.set(relationKey(relation), relation);
    groups.set(id, group);
  }
  return [...groups.values()].map(({ settings, relations }) => ({
    settings,
    relations: [...relations.values()],
  }));
}

function relationsForRoutes(step: Step): RelationName[] {
  if (step.kind === 'index-operation') return [...relationsOf(step.operation), ...newNames(step.operation)];
  const long = step.long?.relation === undefined ? [] : [step.long.relation];
  const plain = plainIndexes(step).flatMap(({ touches, unlessExists }) => [
    ...touches.changes,
    ...(unlessExists === undefined ? [] : [unlessExists]),
  ]);
  return [...long, ...plain];
}

function relationsJudged(step: Step): RelationName[] {
  const judged = statementsOf(step).flatMap(({ checks = [], renames }) => [
    ...checks.flatMap(relationsOfCheck),
    ...(renames === undefined ? [] : [renames.from]),
  ]);
  return [...relationsForRoutes(step), ...judged];
}

function relationsTouched(step: Step): RelationName[] {
  const touched = statementsOf(step).flatMap(({ touches, reads = [], locks = [] }) => [
    ...reads,
    ...touches.changes,
    ...touches.writes,
    ...locks.map(({ relation }) => relation),
  ]);
  return [...relationsJudged(step), ...touched];
}

function newNames(operation: IndexOperation): RelationName[] {
  if (operation.kind !== 'create-index' || operation.index === undefined) return [];
  return [{ schema: operation.table.schema, name: operation.index }];
}

export function factsFor(
  knowledge: TableKnowledge,
  step: IndexOperationStep,
): { readonly known: boolean; readonly tables: readonly TableFacts[]; readonly createdByRun: boolean } {
  const relations = relationsOf(step.operation);
  const createdByRun = relations.length > 0 && relations.every((relation) => knowledge.isNew(relation));
  const facts = relations.map((relation) => knowledge.of(relation, step.settings));
  return {
    known: createdByRun || facts.every((fact) => fact !== undefined),
    tables: facts.map((fact) => fact ?? { kind: 'absent' }),
    createdByRun,
  };
}

interface Routing {
  readonly knowledge: TableKnowledge;
  readonly options: Pick<MigrationOptions, 'indexStrategy' | 'smallTableRows'>;
  /** As they are when the step's turn comes. */
  readonly builds: readonly RecordedBuild[];
}

/** Where a run sends the step, and a plan says it would. */
export function routeOfStep(step: IndexOperationStep, { knowledge, options, builds }: Routing): Route {
  const { operation, settings } = step;
  const { tables, createdByRun } = factsFor(knowledge, step);
  return routeOf(operation, {
    strategy: options.indexStrategy,
    smallTableRows: options.smallTableRows,
    createdByRun,
    buildsPending: queuesUp(step, builds),
    nameTaken: operation.kind === 'create-index' && knowledge.isTaken(operation, settings),
    tables,
  });
}
