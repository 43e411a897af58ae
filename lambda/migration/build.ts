import type { Version } from './version.ts';

/**
 * The states of a build, and what each of them means; predicates, and the conditions in SQL, follow from this table.
 * `open`: the loop has to do with it. `lost`: it is over without success, and a person may have it tried again.
 */
const BUILD_STATES = {
  /** No attempt made, or the last one was undone. */
  pending: { open: true, lost: false },
  /** An attempt was begun; only the catalog knows whether it still runs. */
  building: { open: true, lost: false },
  done: { open: false, lost: false },
  failed: { open: false, lost: true },
  cancelled: { open: false, lost: true },
} as const satisfies Record<string, { readonly open: boolean; readonly lost: boolean }>;

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

/** It is over without success: a person has to look. */
export function isLost({ state }: InState): boolean {
  return BUILD_STATES[state].lost;
}

/** What plan() needs to know of a build; `work/index-build.ts` has the whole of it. */
export interface RecordedBuild {
  readonly id: string;
  readonly version: Version;
  readonly step: number;
  readonly schema: string;
  readonly table: string;
  /** Empty for REINDEX TABLE. */
  readonly index: string;
  readonly unique: boolean;
  readonly state: BuildState;
}

type Named = Pick<RecordedBuild, 'schema' | 'table' | 'index'>;

/** `messages_user_id on public.messages`, as every message calls a build. */
export function describeBuild({ schema, table, index }: Named): string {
  return index === '' ? `REINDEX of ${schema}.${table}` : `${index} on ${schema}.${table}`;
}

/** In a word: its index; for REINDEX TABLE its table. */
export function nameOf({ table, index }: Pick<Named, 'table' | 'index'>): string {
  return index === '' ? table : index;
}

/** What an operator may call a build: its index, with or without the schema; a REINDEX by its table. */
export function namesOf(build: Named): string[] {
  const name = nameOf(build);
  return [name, `${build.schema}.${name}`];
}
