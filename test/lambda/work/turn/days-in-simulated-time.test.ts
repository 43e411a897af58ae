import { describe, expect, it } from 'vitest';
import { attendTables } from '../../../../lambda/loop/attend-tables.ts';
import type { LoopTask } from '../../../../lambda/work/loop-task.ts';
import {
  isNearEnd,
  LONGEST_REST_SECONDS,
  restSeconds,
  soonSeconds,
  waitSeconds,
} from '../../../../lambda/work/wait-seconds.ts';
import { MOST_EVENTS } from '../../../../local/step-functions/execution-history.ts';
import {
  type LocalExecution,
  runStateMachine,
} from '../../../../local/step-functions/state-machine-runner.ts';
import { VirtualClock } from '../../../../local/step-functions/virtual-clock.ts';
import { loopDefinition } from '../../../infra/loop-runner.ts';

const ATTACH_SECONDS = 60;

/** Whether pg_stat_progress_create_index tells how far the build is, and how evenly it goes. */
type Tells = 'evenly' | 'ever slower' | 'nothing';

/** Of a backfill: how long its batches continue before it has to rest for hours. */
type Fills = 'all the time' | 'not at all' | 'for ten seconds at a time';

type SimulatedBuild = { readonly seconds: number } & (
  | { readonly tells: Tells }
  | { readonly fills: Fills }
  | { readonly paused: true }
);

/** What a function with 14 minutes leaves its batches. */
const TURN_OF_BATCHES_SECONDS = 14 * 60 - 2;

/** What a turn does with its time, with the build replaced by one that takes so long. */
class SimulatedTables {
  readonly #clock = new VirtualClock();
  readonly #builds: ReadonlyMap<string, SimulatedBuild>;
  readonly #startedAt = new Map<string, number>();
  /** Seconds from the end of a build to the turn that saw it. */
  readonly noticedAfter = new Map<string, number>();
  readonly turns = new Map<string, number>();

  constructor(builds: Readonly<Record<string, SimulatedBuild>>) {
    this.#builds = new Map(Object.entries(builds));
  }

  run(maxConcurrentTables: number): LocalExecution {
    return runStateMachine({
      definition: loopDefinition(maxConcurrentTables),
      clock: this.#clock,
      invoke: (_, payload) => this.#does(payload as LoopTask),
    });
  }

  async #does(task: LoopTask): Promise<unknown> {
    switch (task.task) {
      case 'tables':
        return {
          tables: [...this.#builds.keys()]
            .filter((table) => !this.noticedAfter.has(table))
            .map((table) => ({ schema: 'public', table })),
          newest: '0',
        };
      case 'turn':
        return attendTables({
          tables: task.tables,
          turn: task.turn,
          turnOf: async ({ table }) => ({ ...(await this.#turn(table)), turn: task.turn }),
          resume: async () => 'done',
          unattended: async () => [],
          isLate: () => false,
        });
      case 'resume':
        return { outcome: 'settled' };
      case 'settle':
        return { outcome: 'valid', message: '' };
    }
  }

  async #turn(table: string): Promise<{ outcome: 'wait' | 'done'; waitSeconds: number }> {
    this.turns.set(table, (this.turns.get(table) ?? 0) + 1);
    const begins = !this.#startedAt.has(table);
    if (begins) this.#startedAt.set(table, this.#clock.now());
    const build = this.#builds.get(table) ?? { seconds: 0, tells: 'nothing' };
    const { seconds } = build;
    const elapsed = () => (this.#clock.now() - (this.#startedAt.get(table) ?? 0)) / 1000;
    if ('paused' in build) {
      const turns = this.turns.get(table) ?? 0;
      if (elapsed() < seconds) return { outcome: 'wait', waitSeconds: soonSeconds(turns) };
      this.noticedAfter.set(table, elapsed() - seconds);
      return { outcome: 'done', waitSeconds: 0 };
    }
    if ('fills' in build) {
      const works = {
        'all the time': TURN_OF_BATCHES_SECONDS,
        'not at all': 0,
        'for ten seconds at a time': 10,
      };
      const rests = build.fills !== 'all the time';
      const turn = works[build.fills] + (rests ? LONGEST_REST_SECONDS : 0);
      await this.#clock.sleep(Math.max(0, Math.min(turn, seconds - elapsed())) * 1000);
      if (elapsed() < seconds) return { outcome: 'wait', waitSeconds: rests ? restSeconds(elapsed()) : 0 };
      this.noticedAfter.set(table, elapsed() - seconds);
      return { outcome: 'done', waitSeconds: 0 };
    }
    const { tells } = build;
    const left = () => secondsLeft(tells, elapsed(), seconds);
    if (elapsed() < seconds && (begins || isNearEnd(left(), ATTACH_SECONDS))) {
      // It stays with the build, and looks every second.
      await this.#clock.sleep(Math.min(ATTACH_SECONDS, Math.ceil(seconds - elapsed())) * 1000);
    }
    if (elapsed() < seconds) return { outcome: 'wait', waitSeconds: waitSeconds(elapsed(), left()) };
    this.noticedAfter.set(table, elapsed() - seconds);
    return { outcome: 'done', waitSeconds: 0 };
  }
}

function secondsLeft(tells: Tells, elapsed: number, seconds: number): number | undefined {
  switch (tells) {
    case 'nothing':
      return undefined;
    case 'evenly':
      return Math.max(0, seconds - elapsed);
    case 'ever slower': {
      const fraction = Math.sqrt(elapsed / seconds);
      return fraction === 0 ? undefined : (elapsed * (1 - fraction)) / fraction;
    }
  }
}

describe.each(['evenly', 'ever slower', 'nothing'] as const)(
  'the real loop, where progress tells %s',
  (tells) => {
    it('a build of 2 seconds is noticed at once, in one turn', async () => {
      const tables = new SimulatedTables({ a: { seconds: 2, tells } });
      expect(await tables.run(4).outcome).toMatchObject({ status: 'SUCCEEDED' });
      expect(tables.noticedAfter.get('a')).toBeLessThanOrEqual(1);
      expect(tables.turns.get('a')).toBe(1);
    });

    it('a build of 24 hours costs under 600 state transitions, and its end is noticed within 15 minutes', async () => {
      const tables = new SimulatedTables({ a: { seconds: 24 * 3600, tells } });
      const { outcome, history } = tables.run(4);
      expect(await outcome).toMatchObject({ status: 'SUCCEEDED' });
      expect(history.transitions).toBeLessThan(600);
      expect(tables.noticedAfter.get('a')).toBeLessThanOrEqual(tells === 'nothing' ? 900 : 60 * 3);
    });
  },
);

describe.each(['all the time', 'not at all', 'for ten seconds at a time'] as const)(
  'the real loop, where a backfill can work %s',
  (fills) => {
    it.each([1, 24])(
      'costs under 600 state transitions in %i hours, and comes back within ten minutes',
      async (hours) => {
        const tables = new SimulatedTables({ a: { seconds: hours * 3600, fills } });
        const { outcome, history } = tables.run(4);
        expect(await outcome).toMatchObject({ status: 'SUCCEEDED' });
        expect(history.transitions).toBeLessThan(600);
        expect(tables.noticedAfter.get('a')).toBeLessThanOrEqual(600);
      },
    );
  },
);

it.each([1, 7])(
  'work that is paused for %i days costs under 600 state transitions a day, and is resumed within ten minutes',
  async (days) => {
    const tables = new SimulatedTables({ a: { seconds: days * 24 * 3600, paused: true } });
    const { outcome, history } = tables.run(4);
    expect(await outcome).toMatchObject({ status: 'SUCCEEDED' });
    expect(history.transitions).toBeLessThan(600 * days);
    expect(tables.noticedAfter.get('a')).toBeLessThanOrEqual(600);
  },
);

it('40 tables that build for 7 days side by side stay under the event limit of every execution, where progress tells nothing', async () => {
  const week = 7 * 24 * 3600;
  const tables = new SimulatedTables(
    Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`t${i}`, { seconds: week - i * 977, tells: 'nothing' as const }]),
    ),
  );
  const { outcome, history } = tables.run(40);
  expect(await outcome).toMatchObject({ status: 'SUCCEEDED' });
  expect(history.longest.events).toBeLessThan(MOST_EVENTS);
  expect(history.largestStateBytes).toBeLessThan(256 * 1024);
  expect(tables.noticedAfter.size).toBe(40);
}, 120_000);

it('40 tables that build one after another, four at a time, for 7 days in all, stay under it too', async () => {
  const tables = new SimulatedTables(
    Object.fromEntries(
      Array.from({ length: 40 }, (_, i) => [`t${i}`, { seconds: 60_480, tells: 'nothing' as const }]),
    ),
  );
  const { outcome, history } = tables.run(4);
  expect(await outcome).toMatchObject({ status: 'SUCCEEDED' });
  expect(history.longest.events).toBeLessThan(MOST_EVENTS);
}, 60_000);
