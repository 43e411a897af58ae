import { describe, expect, it } from 'vitest';
import { allFaults, nameOf, sample } from '../../../local/faults/matrix.ts';
import { runMatrix } from '../../../local/faults/run-matrix.ts';
import { exhaustive } from '../../support/exhaustive.ts';

const counts = {
  loopback: { 'to-server': 30, 'to-client': 50 },
  orphan: { 'to-server': 30, 'to-client': 50 },
};

it('every injected fault has its own name', () => {
  const names = allFaults(counts).map(nameOf);
  expect(new Set(names).size).toBe(names.length);
});

it('a sample is the same for the same seed, and even a small one has every kind of fault', () => {
  const names = (seed: number) => sample(allFaults(counts), 12, seed).map(nameOf);
  expect(names(1)).toEqual(names(1));
  expect(names(1)).not.toEqual(names(2));
  expect(new Set(sample(allFaults(counts), 12, 1).map(({ kind }) => kind)).size).toBe(6);
});

// Each with servers of its own, which take their time to be prepared.
describe.concurrent('a sample of faults is survived', () => {
  // The same faults as in the hardened database, which has more that can go wrong.
  exhaustive.it(
    'the next deploy makes of each database what an undisturbed one would have',
    async () => {
      const { tried, survived, broken } = await runMatrix({ count: 6, seed: 3, parallel: 6 });
      expect(broken).toEqual([]);
      expect(survived).toBe(tried);
      expect(tried).toBeGreaterThan(3);
    },
    600_000,
  );

  it('in a database as careful teams run it', async () => {
    const { tried, survived, broken } = await runMatrix({
      count: 6,
      seed: 9,
      parallel: 6,
      profile: 'hardened',
    });
    expect(broken).toEqual([]);
    expect(survived).toBe(tried);
    expect(tried).toBeGreaterThan(3);
  }, 600_000);
});
