import Table from 'cli-table3';

/** One measured number. */
export interface Figure {
  readonly benchmark: string;
  readonly who: string;
  /** NaN for a peer that is not installed on this machine. */
  readonly value: number;
  readonly unit: string;
  /** The goal; absent for peers, and for numbers that only explain others. */
  readonly atMost?: number;
}

export function isMissed({ value, atMost }: Figure): boolean {
  return atMost !== undefined && value > atMost;
}

/** A peer that was left out, named so that the table does not seem complete. */
export function isAbsent({ value }: Figure): boolean {
  return Number.isNaN(value);
}

/** The exit code for scripts: a goal is missed, or a peer was left out. */
export function exitCodeOf(figures: readonly Figure[]): 0 | 1 | 3 {
  if (figures.some(isMissed)) return 1;
  return figures.some(isAbsent) ? 3 : 0;
}

export function figureTable(figures: readonly Figure[]): string {
  const table = new Table({
    head: ['benchmark', 'who', 'measured', 'goal', ''],
    style: { head: [], border: [], compact: true },
    colAligns: ['left', 'left', 'right', 'right', 'left'],
  });
  let last = '';
  for (const figure of figures) {
    const { benchmark, who, value, unit, atMost } = figure;
    table.push([
      benchmark === last ? '' : benchmark,
      who,
      isAbsent(figure) ? 'NOT HERE' : `${readable(value)} ${unit}`,
      atMost === undefined ? '' : `≤ ${readable(atMost)} ${unit}`,
      atMost === undefined ? '' : isMissed(figure) ? 'MISSED' : 'met',
    ]);
    last = benchmark;
  }
  return table.toString();
}

/** Three significant digits. */
function readable(value: number): string {
  const digits =
    value === 0 || Number.isInteger(value) ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.min(3, digits) });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const [low = Number.NaN, high = Number.NaN] = [
    sorted[Math.floor((sorted.length - 1) / 2)],
    sorted[Math.ceil((sorted.length - 1) / 2)],
  ];
  return (low + high) / 2;
}
