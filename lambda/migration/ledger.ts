import type { RecordedBuild } from './build.ts';
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
export const stepStates = ['started', 'pending', 'failed', 'applied', 'baselined'] as const;

export type StepState = (typeof stepStates)[number];

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

export const emptyLedger: Ledger = { steps: [], builds: [] };
