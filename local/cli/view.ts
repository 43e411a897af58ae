import type { Terminal } from './terminal.ts';

export interface View {
  readonly colors: Terminal['colors'];
  /** List every migration and every build, also those that are long over. */
  readonly all: boolean;
  /** Milliseconds since 1970. */
  readonly now: number;
}
