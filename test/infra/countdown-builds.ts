import type { BuildTable, TurnResult } from '../../lambda/work/loop-task.ts';
import type { IndexBuildFunction } from './loop-runner.ts';

export const table = (name: string): BuildTable => ({ schema: 'public', table: name });
export const wait = (turn: number, waitSeconds = 5): TurnResult => ({ outcome: 'wait', waitSeconds, turn });
const done = (turn: number): TurnResult => ({ outcome: 'done', waitSeconds: 0, turn });

/** A database whose tables each need so many turns; it counts down as turns come in. */
export class Builds implements IndexBuildFunction {
  readonly left: Map<string, number>;
  settled: string[] = [];

  constructor(turns: Readonly<Record<string, number>>) {
    this.left = new Map(Object.entries(turns));
  }

  tables() {
    return { tables: [...this.left.keys()].map(table), newest: '0' };
  }

  turn(of: BuildTable, turn: number): TurnResult | Promise<TurnResult> {
    const left = (this.left.get(of.table) ?? 0) - 1;
    if (left > 0) {
      this.left.set(of.table, left);
      return wait(turn);
    }
    this.left.delete(of.table);
    return done(turn);
  }

  resume(): { outcome: 'more' | 'settled' } {
    return { outcome: 'settled' };
  }

  settle(execution: string): { outcome: 'valid' | 'failed'; message: string } {
    this.settled.push(execution);
    return this.left.size === 0
      ? { outcome: 'valid', message: '' }
      : { outcome: 'failed', message: `unfinished: ${[...this.left.keys()].join(', ')}` };
  }
}
