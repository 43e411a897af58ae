import type { Version } from './version.ts';

/** The ledger as a value: what the database says was done. `postgres/ledger.ts` reads and writes it. */
export interface Ledger {
  readonly steps: readonly RecordedStep[];
  readonly builds: readonly RecordedBuild[];
}

/**
 * `started`: an autocommit step was sent and no outcome is known. `pending`: an index operation was handed off.
 * `failed`: its build failed. `applied`: done by us. `baselined`: done before us, an operator said so.
 */
export type StepState = 'started' | 'pending' | 'failed' | 'applied' | 'baselined';

export interface RecordedStep {
  readonly version: Version;
  readonly step: number;
  /** How many steps the file had when this one was recorded. */
  readonly steps: number;
  readonly name: string;
  readonly checksum: string;
  readonly fingerprint: string;
  readonly state: StepState;
}

/**
 * `pending`: no attempt made, or the last one was undone. `building`: an attempt was begun; only the catalog
 * knows whether it still runs. `done`, `failed`, `cancelled`: over.
 */
export type BuildState = 'pending' | 'building' | 'done' | 'failed' | 'cancelled';

/** What plan() needs to know of a build; `index-build/index-build.ts` has the whole of it. */
export interface RecordedBuild {
  readonly id: string;
  readonly version: Version;
  readonly step: number;
  readonly schema: string;
  readonly table: string;
  readonly index: string;
  readonly unique: boolean;
  readonly state: BuildState;
}

/** Without success: no turn takes it up again. */
export function isOver({ state }: Pick<RecordedBuild, 'state'>): boolean {
  return state === 'failed' || state === 'cancelled';
}

export const emptyLedger: Ledger = { steps: [], builds: [] };
