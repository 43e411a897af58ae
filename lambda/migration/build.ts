import type { Version } from './version.ts';

/**
 * The states of a build, and what each means; predicates and SQL conditions follow from this table. `open`: the loop
 * has to do with it. `stopped`: the loop leaves it as it is until an operator releases it. `lost`: it has ended without
 * success, and a person may have it tried again.
 */
const BUILD_STATES = {
  /** Not attempted yet, or waiting for the next attempt. */
  pending: { open: true, stopped: false, lost: false },
  /** An attempt was started; only the catalog tells whether it still runs. */
  building: { open: true, stopped: false, lost: false },
  /** Stopped by an operator, until it is resumed. */
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

/** Whether the loop has to attend to it: it is not over. */
export function isOpen({ state }: InState): boolean {
  return BUILD_STATES[state].open;
}

/** Whether an operator has stopped it, and may release it. */
export function isStopped({ state }: InState): boolean {
  return BUILD_STATES[state].stopped;
}

/** Whether it has ended without success, so that a person has to look. */
export function isLost({ state }: InState): boolean {
  return BUILD_STATES[state].lost;
}

/**
 * The operations that the loop performs, the kind of work each is, and the word for its success. `patient`: it waits
 * for its locks as long as needed, since no reader or writer queues behind it.
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
  /** Done in batches, by the turns themselves. */
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
   * The part of the table: the index, the constraints, the partition; for a statement its file and line. Empty for the
   * whole table.
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

/** With its schema; empty for a statement of which no table is known. */
export function tableOf({ schema, table }: Pick<Named, 'schema' | 'table'>): string {
  return table === '' ? '' : `${schema}.${table}`;
}

/** In one word: the part of the table, or the table. */
export function nameOf({ table, index }: Pick<Named, 'table' | 'index'>): string {
  return index === '' ? table : index;
}

/**
 * The names by which an operator may call a build: its index, with or without the schema; its table for a whole
 * REINDEX.
 */
export function namesOf(build: Pick<Named, 'schema' | 'table' | 'index'>): string[] {
  const name = nameOf(build);
  return [name, `${build.schema}.${name}`];
}
