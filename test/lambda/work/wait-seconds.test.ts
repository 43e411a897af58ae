import { describe, expect, it } from 'vitest';
import { simulateBuild } from '../../../bench/simulated-build.ts';
import type { BuildProgress } from '../../../lambda/work/progress.ts';
import { progressOf } from '../../../lambda/work/turn/build-progress.ts';
import { isNearEnd, soonSeconds, waitSeconds } from '../../../lambda/work/wait-seconds.ts';

const DAY = 86_400;
const ATTACH_SECONDS = 60;
const TRANSITIONS = 600;

const simulate = (seconds: number, left: (elapsed: number) => number | undefined) =>
  simulateBuild(seconds, ATTACH_SECONDS, left);

/** Phases of a build with the share of its time that each really takes. */
function phased(seconds: number, phases: readonly (readonly [phase: string, share: number])[]) {
  return (elapsed: number): number | undefined => {
    let from = 0;
    for (const [phase, share] of phases) {
      const until = from + share * seconds;
      if (elapsed < until || phase === phases.at(-1)?.[0]) {
        const done = Math.round(((elapsed - from) / (until - from)) * 1_000_000);
        return leftOf({ phase, ...NOTHING, blocksTotal: 1_000_000, blocksDone: done }, elapsed);
      }
      from = until;
    }
    return undefined;
  };
}

function leftOf(progress: BuildProgress, elapsed: number): number | undefined {
  const builder = { alive: true, pid: 1, progress, blocker: undefined };
  return progressOf({ waiting: undefined, secondsSinceStart: elapsed }, builder)?.secondsLeft;
}

const NOTHING = { tuplesTotal: 0, tuplesDone: 0, lockersTotal: 0, lockersDone: 0 };
const SCAN = 'building index: scanning table';
const SORT = 'building index: sorting live tuples';
const LOAD = 'building index: loading tuples in tree';
const VALIDATE = 'index validation: scanning table';
const STUCK = 'waiting for old snapshots';

it('work that is paused costs under 600 state transitions on each day of it', () => {
  const days = [0, 0, 0];
  let elapsed = 0;
  for (let turn = 1; elapsed < days.length * DAY; turn += 1) {
    const day = Math.floor(elapsed / DAY);
    days[day] = (days[day] ?? 0) + 3;
    elapsed += soonSeconds(turn);
  }
  expect(days.every((transitions) => transitions < TRANSITIONS)).toBe(true);
});

describe('a build of 24 hours costs under 600 state transitions', () => {
  it.each([
    ['without any progress', () => undefined],
    ['with exact progress', (elapsed: number) => DAY - elapsed],
    [
      'with the usual phases',
      phased(DAY, [
        [SCAN, 0.42],
        [SORT, 0.1],
        [LOAD, 0.14],
        [VALIDATE, 0.34],
      ]),
    ],
    [
      'mostly scanning',
      phased(DAY, [
        [SCAN, 0.9],
        [LOAD, 0.05],
        [VALIDATE, 0.05],
      ]),
    ],
    [
      'mostly loading',
      phased(DAY, [
        [SCAN, 0.05],
        [LOAD, 0.9],
        [VALIDATE, 0.05],
      ]),
    ],
    [
      'mostly validating',
      phased(DAY, [
        [SCAN, 0.05],
        [LOAD, 0.05],
        [VALIDATE, 0.9],
      ]),
    ],
    [
      'stuck behind an old snapshot from its first minute on',
      phased(DAY, [
        [SCAN, 0.0001],
        [STUCK, 0.9999],
      ]),
    ],
    [
      'stuck behind an old snapshot after half of it',
      phased(DAY, [
        [SCAN, 0.2],
        [VALIDATE, 0.3],
        [STUCK, 0.5],
      ]),
    ],
  ])('%s', (_, left) => {
    expect(simulate(DAY, left).transitions).toBeLessThan(TRANSITIONS);
  });
});

describe('the end of a build', () => {
  it.each([1, 2, 10, 59, 60])('is seen at once while the turn that started it stays: %i s', (seconds) => {
    expect(simulate(seconds, () => undefined)).toEqual({ transitions: 3, lateSeconds: 0 });
  });

  it.each([90, 600, 3_600, 6 * 3_600, DAY, 7 * DAY])(
    'is seen within 5 % of its time without progress, within 2 % with exact progress, and within a quarter of an hour: %i s',
    (seconds) => {
      const blind = simulate(seconds, () => undefined);
      expect(blind.lateSeconds).toBeLessThanOrEqual(Math.min(900, Math.ceil(seconds / 20) + 1));
      const exact = simulate(seconds, (elapsed) => seconds - elapsed);
      expect(exact.lateSeconds).toBeLessThanOrEqual(Math.min(900, seconds / 50));
    },
  );
});

describe('the wait', () => {
  it('is whole seconds between 1 and 900, whatever it is told', () => {
    const times = [0, 0.001, 1, 20, 59.5, 1e4, 1e9];
    for (const elapsed of times) {
      for (const left of [undefined, ...times]) {
        const seconds = waitSeconds(elapsed, left);
        expect(Number.isInteger(seconds)).toBe(true);
        expect(seconds).toBeGreaterThanOrEqual(1);
        expect(seconds).toBeLessThanOrEqual(900);
      }
    }
  });

  it('is half of what is left, and grows with age where nothing is known', () => {
    expect(waitSeconds(100, 200)).toBe(100);
    expect(waitSeconds(100, undefined)).toBe(5);
    expect(waitSeconds(1_000, undefined)).toBe(50);
    expect(waitSeconds(100_000, undefined)).toBe(900);
  });

  it('becomes a watch where the end is nearer than the turn may stay', () => {
    expect(isNearEnd(48, 60)).toBe(true);
    expect(isNearEnd(49, 60)).toBe(false);
    expect(isNearEnd(undefined, 60)).toBe(false);
  });
});
