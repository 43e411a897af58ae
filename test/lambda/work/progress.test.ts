import { describe, expect, it } from 'vitest';
import { type BuildProgress, fractionDone, isWaiting, secondsLeft } from '../../../lambda/work/progress.ts';

const NOTHING: BuildProgress = {
  phase: '',
  blocksTotal: 0,
  blocksDone: 0,
  tuplesTotal: 0,
  tuplesDone: 0,
  lockersTotal: 0,
  lockersDone: 0,
};

/** As pg_stat_progress_create_index writes them, in the order in which a concurrent build passes them. */
const PHASES = [
  'initializing',
  'waiting for writers before build',
  'building index: scanning table',
  'building index: sorting live tuples',
  'building index: loading tuples in tree',
  'waiting for writers before validation',
  'index validation: scanning index',
  'index validation: sorting tuples',
  'index validation: scanning table',
  'waiting for old snapshots',
];

describe('the fraction of a build that is done', () => {
  it('only grows from phase to phase and within each, from 0 to 1', () => {
    const fractions = PHASES.flatMap((phase) =>
      [0, 1, 50, 99, 100].map(
        (done) =>
          fractionDone({
            ...NOTHING,
            phase,
            blocksTotal: 100,
            blocksDone: done,
            lockersTotal: 100,
            lockersDone: done,
          }) ?? Number.NaN,
      ),
    );
    expect(fractions[0]).toBe(0);
    expect(fractions.at(-1)).toBe(1);
    expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  });

  it('is measured in blocks, else in tuples, and by those waited for where it waits', () => {
    const scanning = { ...NOTHING, phase: 'building index: scanning table' };
    const none = fractionDone(scanning) ?? 0;
    const half = fractionDone({ ...scanning, blocksTotal: 10, blocksDone: 5 }) ?? 0;
    expect(half).toBeGreaterThan(none);
    expect(fractionDone({ ...scanning, tuplesTotal: 10, tuplesDone: 5 })).toBe(half);
    expect(
      fractionDone({ ...scanning, blocksTotal: 10, blocksDone: 5, tuplesTotal: 10, tuplesDone: 9 }),
    ).toBe(half);
    const waiting = { ...NOTHING, phase: 'waiting for old snapshots', blocksTotal: 10, blocksDone: 10 };
    expect(fractionDone({ ...waiting, lockersTotal: 2, lockersDone: 1 })).toBeCloseTo(0.99);
  });

  it('is never more than all of it, although Postgres counts blocks that came meanwhile', () => {
    const over = { ...NOTHING, phase: 'index validation: scanning table', blocksTotal: 10, blocksDone: 12 };
    expect(fractionDone(over)).toBeCloseTo(0.98);
  });

  it('is unknown in a phase that is unknown', () => {
    expect(fractionDone({ ...NOTHING, phase: 'polishing' })).toBeUndefined();
  });

  it('knows the phases of access methods other than B-tree', () => {
    expect(fractionDone({ ...NOTHING, phase: 'building index' })).toBeDefined();
  });
});

describe('the time left', () => {
  it.each([
    [0.5, 100, 100],
    [0.25, 60, 180],
    [1, 60, 0],
    [0.004, 60, undefined],
    [undefined, 60, undefined],
  ])('after %s of it in %s s is %s s', (fraction, elapsed, left) => {
    expect(secondsLeft(fraction, elapsed)).toBe(left);
  });
});

it('waiting for others is told apart from working', () => {
  expect(PHASES.filter(isWaiting)).toEqual([
    'waiting for writers before build',
    'waiting for writers before validation',
    'waiting for old snapshots',
  ]);
});
