import { describe, expect, it } from 'vitest';
import { BatchSize } from '../../../lambda/migration/backfill.ts';

/** Rows of the last of so many batches, each of which takes `fixed` and `each` for a row, in milliseconds. */
function settled({ fixed, each }: { fixed: number; each: number }, batches = 40): number {
  const size = new BatchSize(50);
  for (let batch = 0; batch < batches; batch += 1) size.took(size.rows, fixed + size.rows * each);
  return size.rows;
}

describe('the rows of a batch', () => {
  it.each([
    ['quick rows', { fixed: 1, each: 0.01 }, 4_900],
    ['slow rows', { fixed: 1, each: 5 }, 10],
    ['rows slower than a batch', { fixed: 0, each: 200 }, 1],
  ])('are so many that it takes as long as it is to take: %s', (_, takes, rows) => {
    const found = settled(takes);
    expect(found).toBeGreaterThanOrEqual(rows * 0.8);
    expect(found).toBeLessThanOrEqual(rows * 1.2);
  });

  it('do not shrink to one where something else takes the time: they take half of it', () => {
    expect(settled({ fixed: 2_000, each: 0.1 })).toBeGreaterThan(10_000);
  });

  it('double at the most, and are halved where a batch ran into a limit', () => {
    const size = new BatchSize(50);
    size.took(200, 1);
    expect(size.rows).toBe(400);
    size.halve();
    expect(size.rows).toBe(200);
  });
});
