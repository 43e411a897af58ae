import type { BlockingWork } from './deploy-check.ts';

/**
 * Bytes of table that are worked through in a second: what was measured in memory (docs/lint.md), and divided by two or
 * three, since a table that is not small comes from disk. Orders of magnitude, to tell a blink from an outage.
 */
const BYTES_PER_SECOND: Readonly<Record<BlockingWork, number>> = {
  scan: 100e6,
  build: 50e6,
  rewrite: 20e6,
  write: 5e6,
};

export function workSeconds(work: BlockingWork, bytes: number): number {
  return bytes / BYTES_PER_SECOND[work];
}
