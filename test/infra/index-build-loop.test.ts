import { describe, expect, it } from 'vitest';
import type { BuildTable, TurnResult } from '../../lambda/work/loop-task.ts';
import { exhaustive } from '../support/exhaustive.ts';
import { Builds, table, wait } from './countdown-builds.ts';
import { loopDefinition, runLoop } from './loop-runner.ts';

describe('the loop', () => {
  it('turns each table until it is done, resumes, settles, and succeeds', async () => {
    const builds = new Builds({ messages: 3, users: 1 });

    const { failure, tasks } = await runLoop(builds);

    expect(failure).toBeUndefined();
    const turns = tasks.filter((task) => task.task === 'turn');
    expect(turns.filter(({ tables: [of] }) => of?.table === 'messages')).toEqual([
      { task: 'turn', tables: [table('messages')], newest: '0', turn: 1 },
      { task: 'turn', tables: [table('messages')], newest: '0', turn: 2 },
      { task: 'turn', tables: [table('messages')], newest: '0', turn: 3 },
    ]);
    expect(tasks.filter(({ task }) => task !== 'turn').map(({ task }) => task)).toEqual([
      'tables',
      'tables',
      'resume',
      'settle',
    ]);
    expect(builds.settled).toEqual(['hand-off-1']);
  });

  exhaustive.it('goes straight to what waited where no table has builds', async () => {
    const { entered } = await runLoop(new Builds({}));

    expect(entered).toEqual([
      'Begin',
      'FindTables',
      'AnyTables',
      'Resume',
      'ResumeOutcome',
      'Settle',
      'SettleOutcome',
      'AllValid',
    ]);
  });

  exhaustive.it('finds tables again when resuming handed off more', async () => {
    class More extends Builds {
      resumed = 0;
      override resume() {
        this.resumed += 1;
        if (this.resumed > 1) return { outcome: 'settled' } as const;
        this.left.set('messages', 2);
        return { outcome: 'more' } as const;
      }
    }
    const { failure, tasks } = await runLoop(new More({ users: 1 }));

    expect(failure).toBeUndefined();
    expect(tasks.filter(({ task }) => task === 'resume')).toHaveLength(2);
    expect(tasks.filter((task) => task.task === 'turn').map((task) => task.tables[0]?.table)).toEqual([
      'users',
      'messages',
      'messages',
    ]);
  });

  exhaustive.it('takes the next turn at once where nothing is to be waited for', async () => {
    class Busy extends Builds {
      override turn(of: BuildTable, turn: number) {
        const result = super.turn(of, turn) as TurnResult;
        return result.outcome === 'wait' ? wait(turn, 0) : result;
      }
    }
    const { failure, entered } = await runLoop(new Busy({ messages: 3 }));

    expect(failure).toBeUndefined();
    expect(entered).not.toContain('WaitForBuild');
    expect(entered.filter((state) => state === 'Turn')).toHaveLength(3);
  });

  exhaustive.it('builds no more tables side by side than allowed', async () => {
    class Counted extends Builds {
      now = 0;
      most = 0;
      override async turn(of: BuildTable, turn: number) {
        this.now += 1;
        this.most = Math.max(this.most, this.now);
        await new Promise(setImmediate);
        this.now -= 1;
        return super.turn(of, turn);
      }
    }
    const builds = new Counted(Object.fromEntries([...'abcdefgh'].map((name) => [name, 3])));

    await runLoop(builds, loopDefinition(3));

    expect(builds.most).toBe(3);
    expect(builds.left.size).toBe(0);
  });

  exhaustive.it('fails with the message of settle', async () => {
    class Failing extends Builds {
      override settle() {
        return { outcome: 'failed', message: 'idx_a: could not create unique index' } as const;
      }
    }
    const { failure } = await runLoop(new Failing({ a: 1 }));

    expect(failure).toEqual({ error: 'BuildsFailed', cause: 'idx_a: could not create unique index' });
  });
});

describe('what comes of a build', () => {
  /** Of two branches, `long` continues until all else has ended. */
  class Beside extends Builds {
    override turn(of: BuildTable, turn: number): TurnResult | Promise<TurnResult> {
      const others = [...this.left.keys()].filter((name) => name !== 'long');
      if (of.table === 'long' && others.length > 0) return wait(turn);
      return super.turn(of, turn);
    }
  }

  it('begins at once, whatever else still runs: partitions that a turn hands off', async () => {
    class Partitioned extends Beside {
      handedOff: BuildTable[] = [];
      override turn(of: BuildTable, turn: number): TurnResult | Promise<TurnResult> {
        if (of.table === 'parent' && this.handedOff.length === 0) {
          this.handedOff = ['p1', 'p2', 'p3'].map(table);
          for (const part of this.handedOff) this.left.set(part.table, 3);
          this.left.delete('parent');
          return { outcome: 'done', waitSeconds: 0, turn };
        }
        return super.turn(of, turn);
      }
      unattended() {
        return this.handedOff.filter((part) => this.left.get(part.table) === 3);
      }
    }
    const builds = new Partitioned({ long: 1, parent: 1 });

    const { failure, tasks } = await runLoop(builds);

    expect(failure).toBeUndefined();
    expect(builds.left.size).toBe(0);
    // In one round: nothing was left for a second look at what there is.
    expect(tasks.filter(({ task }) => task === 'tables')).toHaveLength(2);
  });

  exhaustive.it('begins at once: steps that waited for it, and what they hand off', async () => {
    class Waiting extends Beside {
      resumed = 0;
      resumeSoon() {
        if (this.left.has('short') || this.resumed > 0) return;
        this.resumed += 1;
        this.left.set('later', 2);
      }
      unattended() {
        return this.left.get('later') === 2 ? [table('later')] : [];
      }
    }
    const builds = new Waiting({ long: 1, short: 2 });

    const { failure, tasks } = await runLoop(builds);

    expect(failure).toBeUndefined();
    expect(builds).toMatchObject({ resumed: 1, left: new Map() });
    expect(tasks.filter(({ task }) => task === 'tables')).toHaveLength(2);
  });
});

describe('failures', () => {
  const fails = (): never => {
    throw Object.assign(new Error('the server is restarting'), { name: 'ServerGone' });
  };

  it('are tried again', async () => {
    class Restarting extends Builds {
      failures = 0;
      override turn(of: BuildTable, turn: number) {
        this.failures += 1;
        return this.failures <= 10 ? fails() : super.turn(of, turn);
      }
    }
    const { failure, tasks } = await runLoop(new Restarting({ messages: 1 }));

    expect(failure).toBeUndefined();
    expect(tasks.filter(({ task }) => task === 'turn')).toEqual(
      Array(11).fill({ task: 'turn', tables: [table('messages')], newest: '0', turn: 1 }),
    );
  });

  exhaustive.it('of one table that last do not stop its neighbours, and are settled', async () => {
    class Broken extends Builds {
      override turn(of: BuildTable, turn: number) {
        return of.table === 'broken' ? fails() : super.turn(of, turn);
      }
    }
    const { failure, tasks } = await runLoop(new Broken({ broken: 1, messages: 4, users: 2 }));

    expect(failure).toEqual({ error: 'BuildsFailed', cause: 'unfinished: broken' });
    expect(tasks.map(({ task }) => task).slice(-3)).toEqual(['turn', 'resume', 'settle']);
  });

  exhaustive.it('of a table that last while resuming finds more to do end after three rounds', async () => {
    class Broken extends Builds {
      override turn(): never {
        return fails();
      }
      override resume() {
        return { outcome: 'more' } as const;
      }
    }
    const { failure, tasks } = await runLoop(new Broken({ broken: 1 }));

    expect(failure).toEqual({ error: 'BuildsFailed', cause: 'unfinished: broken' });
    expect(tasks.filter(({ task }) => task === 'tables')).toHaveLength(3);
  });

  exhaustive.it.each(['tables', 'resume'] as const)(
    'of %s that last are settled, then fail the execution',
    async (name) => {
      const builds = new Builds({});
      builds[name] = fails;

      const { failure } = await runLoop(builds);

      expect(failure).toEqual({ error: 'ServerGone', cause: 'the server is restarting' });
      expect(builds.settled).toEqual(['hand-off-1']);
    },
  );

  it('of settle that last fail the execution', async () => {
    const builds = new Builds({});
    builds.settle = fails;

    expect((await runLoop(builds)).failure).toEqual({
      error: 'ServerGone',
      cause: 'the server is restarting',
    });
  });

  exhaustive.it('include an outcome that the loop does not know', async () => {
    const builds = Object.assign(new Builds({ messages: 1 }), {
      branch: (turn: number) => ({ outcome: 'perhaps', waitSeconds: 1, turn, tables: [] }),
    });

    expect((await runLoop(builds)).failure?.cause).toBe('unfinished: messages');
  });
});
