import type { Version } from './version.ts';

/**
 * The states of a build, and what each of them means; predicates, and the conditions in SQL, follow from this table.
 * `open`: the loop has to do with it. `stopped`: the loop leaves it as it is until an operator releases it. `lost`: it is
 * over without success, and a person may have it tried again.
 */
const BUILD_STATES = {
  /** No attempt made, or the last one was undone. */
  pending: { open: true, stopped: false, lost: false },
  /** An attempt was begun; only the catalog knows whether it still runs. */
  building: { open: true, stopped: false, lost: false },
  /** By an operator, until somebody resumes it. */
  paused: { open: true, stopped: true, lost: false },
  done: { open: false, stopped: false, lost: false },
  failed: { open: false, stopped: false, lost: true },
  cancelled: { open: false, stopped: false, lost: true },
} as const satisfies Record<
  string,
  { readonly open: boolean; readonly stopped: boolean; readonly lost: boolean }
>;

export type BuildState = keyof typeof BUILD_STATES;

export const buildStates = Object.keys(BUILD_STATES) as [BuildState, ...BuildState[]];

export function statesThatAre(quality: 'open' | 'lost'): BuildState[] {
  return buildStates.filter((state) => BUILD_STATES[state][quality]);
}

interface InState {
  readonly state: BuildState;
}

/** The loop has to do with it: nobody has brought it to its end yet. */
export function isOpen({ state }: InState): boolean {
  return BUILD_STATES[state].open;
}

/** An operator has stopped it, and may release it. */
export function isStopped({ state }: InState): boolean {
  return BUILD_STATES[state].stopped;
}

/** It is over without success: a person has to look. */
export function isLost({ state }: InState): boolean {
  return BUILD_STATES[state].lost;
}

/**
 * What the loop carries: each operation, the kind of work that it is, and how a person says that it is done. `patient`:
 * it waits for its locks as long as it has to, since nobody who reads or writes queues up behind it meanwhile.
 */
const OPERATIONS = {
  create: { kind: 'index build', success: 'valid', patient: true },
  drop: { kind: 'index build', success: 'dropped', patient: true },
  reindex: { kind: 'index build', success: 'reindexed', patient: true },
  validate: { kind: 'validation', success: 'validated', patient: true },
  'validate-domain': { kind: 'validation', success: 'validated', patient: true },
  refresh: { kind: 'refresh', success: 'refreshed', patient: false },
  'refresh-concurrently': { kind: 'refresh', success: 'refreshed', patient: true },
  vacuum: { kind: 'upkeep', success: 'vacuumed', patient: true },
  'vacuum-full': { kind: 'upkeep', success: 'vacuumed', patient: false },
  analyze: { kind: 'upkeep', success: 'analyzed', patient: true },
  cluster: { kind: 'upkeep', success: 'clustered', patient: false },
  detach: { kind: 'upkeep', success: 'detached', patient: true },
  /** In batches, by the turns themselves. */
  backfill: { kind: 'backfill', success: 'filled', patient: true },
  /** Any statement that says `-- migrate: hand-off`. */
  statement: { kind: 'upkeep', success: 'done', patient: false },
} as const satisfies Record<
  string,
  { readonly kind: string; readonly success: string; readonly patient: boolean }
>;

export type Operation = keyof typeof OPERATIONS;
export type WorkKind = (typeof OPERATIONS)[Operation]['kind'];
/** Operations that are no index build: their statement is sent as the author wrote it. */
export type LongOperation = Exclude<Operation, 'create' | 'drop' | 'reindex'>;

export const operations = Object.keys(OPERATIONS) as [Operation, ...Operation[]];

export function kindOf(operation: Operation): WorkKind {
  return OPERATIONS[operation].kind;
}

export function successOf(operation: Operation): string {
  return OPERATIONS[operation].success;
}

export function isPatient(operation: Operation): boolean {
  return OPERATIONS[operation].patient;
}

export function isIndexBuild({ operation }: { readonly operation: Operation }): boolean {
  return kindOf(operation) === 'index build';
}

/** What plan() needs to know of a build; `work/build.ts` has the whole of it. */
export interface RecordedBuild {
  readonly id: string;
  readonly version: Version;
  readonly step: number;
  readonly schema: string;
  readonly table: string;
  readonly operation: Operation;
  /**
   * What of the table it is about: the index, the constraints, the partition, for a statement its file and line. Empty
   * where it is the whole of it.
   */
  readonly index: string;
  readonly unique: boolean;
  readonly state: BuildState;
}

type Named = Pick<RecordedBuild, 'schema' | 'table' | 'index' | 'operation'>;

/** `messages_user_id on public.messages`, as every message calls a build. */
export function describeBuild({ schema, table, index, operation }: Named): string {
  if (table === '') return index;
  const on = schema === '' ? table : `${schema}.${table}`;
  return index === '' ? `${operation.toUpperCase().replaceAll('-', ' ')} of ${on}` : `${index} on ${on}`;
}

/** In a word: what of the table it is about; else its table. */
export function nameOf({ table, index }: Pick<Named, 'table' | 'index'>): string {
  return index === '' ? table : index;
}

/** What an operator may call a build: its index, with or without the schema; a REINDEX by its table. */
export function namesOf(build: Pick<Named, 'schema' | 'table' | 'index'>): string[] {
  const name = nameOf(build);
  return [name, `${build.schema}.${name}`];
}
