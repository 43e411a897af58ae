import { describe, expect, it } from 'vitest';
import { buildMemory, type ServerCapacity } from '../../../lambda/work/build-memory.ts';

const unset = { maintenanceWorkMemMegabytes: undefined, parallelWorkers: undefined };

/** Postgres's own defaults: a server that nobody has tuned, or a small Neon compute. */
const small: ServerCapacity = {
  sharedBuffersMegabytes: 128,
  maintenanceWorkMemMegabytes: 64,
  maxParallelWorkers: 8,
  maxParallelMaintenanceWorkers: 2,
};
const large: ServerCapacity = { ...small, sharedBuffersMegabytes: 16_384, maxParallelWorkers: 32 };

describe('memory and workers of a build', () => {
  it.each([
    [
      'a small server gives what it gives anybody',
      small,
      1,
      { maintenanceWorkMemMegabytes: 64, parallelWorkers: 2 },
    ],
    ['so it does to many side by side', small, 40, { maintenanceWorkMemMegabytes: 64, parallelWorkers: 2 }],
    [
      'a large one gives a build 2 GiB and 4 workers at most',
      large,
      1,
      { maintenanceWorkMemMegabytes: 2048, parallelWorkers: 4 },
    ],
    [
      'and shares among those side by side',
      large,
      4,
      { maintenanceWorkMemMegabytes: 1024, parallelWorkers: 4 },
    ],
    ['and among many', large, 16, { maintenanceWorkMemMegabytes: 256, parallelWorkers: 2 }],
  ])('%s', (_, server, sideBySide, expected) => {
    expect(buildMemory(server, sideBySide, unset)).toEqual(expected);
  });

  it('the props override both', () => {
    expect(buildMemory(large, 16, { maintenanceWorkMemMegabytes: 512, parallelWorkers: 0 })).toEqual({
      maintenanceWorkMemMegabytes: 512,
      parallelWorkers: 0,
    });
  });

  it('all builds together never take more than a sixteenth of the machine, beyond what the server gives anybody', () => {
    for (const sharedBuffersMegabytes of [16, 128, 1024, 8192, 65_536]) {
      for (const maintenanceWorkMemMegabytes of [1, 64, 1024]) {
        for (let builds = 1; builds <= 64; builds += 1) {
          const server = { ...small, sharedBuffersMegabytes, maintenanceWorkMemMegabytes };
          const each = buildMemory(server, builds, unset).maintenanceWorkMemMegabytes;
          expect(each * builds).toBeLessThanOrEqual(
            Math.max(sharedBuffersMegabytes / 4, maintenanceWorkMemMegabytes * builds),
          );
        }
      }
    }
  });

  it('more side by side never means more for each, and nobody beside counts as one', () => {
    for (let builds = 1; builds < 64; builds += 1) {
      const [now, then] = [buildMemory(large, builds, unset), buildMemory(large, builds + 1, unset)];
      expect(then.maintenanceWorkMemMegabytes).toBeLessThanOrEqual(now.maintenanceWorkMemMegabytes);
      expect(then.parallelWorkers).toBeLessThanOrEqual(now.parallelWorkers);
    }
    expect(buildMemory(large, 0, unset)).toEqual(buildMemory(large, 1, unset));
  });
});
