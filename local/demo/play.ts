import type { Terminal } from '../cli/terminal.ts';

export interface Play {
  /** Messages in the example. */
  readonly rows: number;
  readonly chaos: boolean;
  readonly terminal: Terminal;
  /** For everything that is written: removed by the caller. */
  readonly directory: string;
  readonly migrations: string;
  readonly signal: AbortSignal;
}
