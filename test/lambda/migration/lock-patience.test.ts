import { describe, expect, it } from 'vitest';
import { type LockMode, lockModes, modeOfLock } from '../../../lambda/migration/lock-modes.ts';
import {
  type Asking,
  contentionOf,
  firstWait,
  nextMove,
  type PossibleBlocker,
  pauseBeforeLook,
} from '../../../lambda/migration/lock-patience.ts';

const asking = (seconds: number, more: Partial<Asking> = {}): Asking => ({
  lockTimeoutSeconds: 5,
  lockBudgetSeconds: 120,
  elapsedMilliseconds: seconds * 1000,
  waitedMilliseconds: seconds * 1000,
  onlyRows: false,
  severalLocks: false,
  ...more,
});

/** A transaction of this age that is at work. */
const blocker = (seconds: number, more: Partial<PossibleBlocker> = {}): PossibleBlocker => ({
  over: 'table',
  milliseconds: seconds * 1000,
  idleMilliseconds: 0,
  yields: false,
  ...more,
});
const idle = (seconds: number, idleSeconds = seconds) =>
  blocker(seconds, { idleMilliseconds: idleSeconds * 1000 });

const wait = (milliseconds: number) => ({ kind: 'try', waitMilliseconds: milliseconds });
const holdBack = expect.objectContaining({ kind: 'hold-back' });

describe('a step that found its locks taken', () => {
  it.each([
    ['nobody has them any more', 0.3, [], wait(150)],
    ['nobody has them any more, much later', 8, [], wait(4_000)],
    ['nobody has them any more, and the wait would be longer than lockTimeout', 30, [], wait(5_000)],
    ['somebody has them who was there from the beginning', 10, [blocker(10)], holdBack],
    ['somebody has them who came a moment ago', 10, [blocker(0.5)], wait(5_000)],
    ['one of several is old', 10, [blocker(0.5), blocker(11)], holdBack],
    ['somebody has them who is older than lockTimeout, though younger than we', 30, [blocker(6)], holdBack],
    ['somebody is idle in a young transaction', 4, [idle(0.9)], wait(2_000)],
    ['somebody has been idle in it for a second', 4, [idle(1.1)], holdBack],
    ['somebody has just ended a statement in it', 10, [idle(2, 0.01)], wait(5_000)],
    ['half of the budget is spent, and somebody idles', 61, [idle(3)], wait(5_000)],
    ['half of the budget is spent, and somebody old has them', 119, [blocker(150)], holdBack],
  ])('where %s', (_, seconds, blockers, expected) => {
    expect(nextMove(blockers, asking(seconds))).toEqual(expected);
  });

  it('says for whom it holds back', () => {
    const old = [blocker(10), idle(3), blocker(40, { over: 'rows' }), blocker(0.1)];
    expect(nextMove(old, asking(10))).toEqual({ kind: 'hold-back', behind: old.slice(0, 2) });
  });

  it('whose transactions overlap without end gets a wait that outlasts all of them, and nobody waits for longer', () => {
    for (const longest of [0.05, 0.3, 1, 2.4]) {
      const ages = [0.1, 0.5, 0.9, 0.99].map((part) => blocker(part * longest));
      const tries = Array.from({ length: 600 }, (_, tenth) => nextMove(ages, asking(tenth / 10)));
      const first = tries.findIndex(({ kind }) => kind === 'try');
      expect(first / 10).toBeLessThanOrEqual(2 * longest + 0.1);
      expect(tries[first]).toEqual(wait(Math.max(100, first * 50)));
    }
  });

  it('waits below deadlock_timeout where it may hold one lock and ask for another, so that it is not the application’s transaction that ends', () => {
    const several = { severalLocks: true };
    expect(nextMove([], asking(1, several))).toEqual(wait(500));
    expect(nextMove([blocker(0.1)], asking(10, several))).toEqual(wait(800));
    expect(nextMove([blocker(0.1)], asking(61, several))).toEqual(wait(5_000));
  });

  it('waits for as long as it may where autovacuum is in its way: Postgres then ends it', () => {
    const autovacuum = blocker(500, { yields: true });
    expect(nextMove([autovacuum], asking(0.3, { severalLocks: true }))).toEqual(wait(5_000));
    expect(nextMove([autovacuum, blocker(400)], asking(0.3))).toEqual(holdBack);
    expect(nextMove([{ ...autovacuum, yields: false }], asking(10))).toEqual(holdBack);
  });

  it('makes only short attempts while an old transaction may have locked its rows', () => {
    const rows = blocker(30, { over: 'rows' });
    expect(nextMove([rows], asking(20))).toEqual(wait(100));
    expect(nextMove([rows], asking(61))).toEqual(wait(5_000));
    expect(nextMove([blocker(0.2, { over: 'rows' })], asking(4))).toEqual(wait(2_000));
  });

  it('never waits for longer than a short lockTimeout, and still tries where that may do', () => {
    const short = { lockTimeoutSeconds: 0.05 };
    expect(firstWait({ lockTimeoutSeconds: 0.05, lockBudgetSeconds: 1 }, false)).toBe(50);
    expect(firstWait({ lockTimeoutSeconds: 5, lockBudgetSeconds: 120 }, false)).toBe(100);
    expect(nextMove([], asking(20, short))).toEqual(wait(50));
    expect(nextMove([blocker(0.4)], asking(2, short))).toEqual(wait(50));
    expect(nextMove([blocker(1)], asking(20, short))).toEqual(holdBack);
  });
});

describe('a step that locks only rows', () => {
  const rows = (seconds: number, more: Partial<Asking> = {}) => asking(seconds, { onlyRows: true, ...more });

  it('waits for lockTimeout from its first attempt on, behind old transactions too', () => {
    expect(firstWait(asking(0), true)).toBe(5_000);
    expect(nextMove([], rows(0.3))).toEqual(wait(5_000));
    expect(nextMove([blocker(30, { over: 'rows' })], rows(20))).toEqual(wait(5_000));
    expect(nextMove([blocker(0.1)], rows(1, { severalLocks: true }))).toEqual(wait(5_000));
    expect(nextMove([blocker(30)], rows(20))).toEqual(holdBack);
  });

  it('is in the polite half of its budget by what it has waited, not by what it has worked', () => {
    expect(nextMove([idle(3)], asking(600, { waitedMilliseconds: 59_000 }))).toEqual(holdBack);
    expect(nextMove([idle(3)], asking(600, { waitedMilliseconds: 61_000 }))).toEqual(wait(5_000));
  });
});

describe('the pause before the next look', () => {
  it('never lasts until the idle session is ended, however long lockTimeout is', () => {
    const idleLimit = 60_000;
    for (let seconds = 1; seconds <= 600; seconds += 1) {
      expect(pauseBeforeLook(1, seconds * 1000, 0.999)).toBeLessThan(idleLimit / 1.5);
    }
  });

  it.each([
    [1, 0, 0, 125],
    [1, 0, 0.999, 375],
    [2, 0, 0.5, 500],
    [3, 0, 0.5, 1_000],
    [4, 0, 0.5, 2_000],
    [50, 0, 0.5, 2_000],
    [1, 100, 0.5, 250],
    [9, 5_000, 0.5, 7_500],
  ])(
    'number %i after an attempt of %i ms, with %f from chance, is %i ms',
    (number, waited, random, pause) => {
      expect(pauseBeforeLook(number, waited, random)).toBe(pause);
    },
  );
});

describe('what another session’s locks mean for the one that is needed', () => {
  it.each<[LockMode, LockMode[], 'table' | 'rows' | undefined]>([
    ['access exclusive', ['access share'], 'table'],
    ['share', ['access share'], undefined],
    ['share', ['access share', 'row exclusive'], 'table'],
    ['share row exclusive', ['row share'], undefined],
    ['row exclusive', ['access share'], undefined],
    ['row exclusive', ['row exclusive'], 'rows'],
    ['row exclusive', ['row share'], 'rows'],
    ['row exclusive', ['share'], 'table'],
    ['row share', ['row exclusive'], 'rows'],
    ['access share', ['row exclusive'], undefined],
  ])('%s beside %j: %s', (needed, held, expected) => {
    expect(contentionOf(needed, held)).toBe(expected);
  });

  it('a mode is read as pg_locks writes it; an unknown one counts as the strongest', () => {
    const written = lockModes.map((mode) =>
      mode.replace(/(?:^| )([a-z])/g, (_, letter: string) => letter.toUpperCase()).concat('Lock'),
    );
    expect(written).toContain('ShareUpdateExclusiveLock');
    expect(written.map(modeOfLock)).toEqual(lockModes);
    expect(modeOfLock('SIReadLock')).toBe('access exclusive');
  });
});
