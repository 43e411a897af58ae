import { describe, expect, it } from 'vitest';
import { buildStage, type TableBuilds } from '../../../lambda/migration/stage.ts';

const table = (name: string, ...seconds: (number | undefined)[]): TableBuilds => ({
  table: name,
  builds: seconds.map((estimatedSeconds, at) => ({
    index: `${name}_${at}`,
    operation: 'create' as const,
    state: 'new',
    estimatedSeconds,
  })),
});
const secondsOf = (tables: readonly TableBuilds[], sideBySide: number) =>
  buildStage(tables, sideBySide).estimatedSeconds;

describe('the time of a build stage', () => {
  it('of one table is the sum of its builds: they come one after the other', () => {
    expect(secondsOf([table('a', 10, 20, 5)], 4)).toBe(35);
  });

  it('of tables side by side is that of the slowest', () => {
    expect(secondsOf([table('a', 10), table('b', 50), table('c', 20)], 4)).toBe(50);
  });

  it('of more tables than are built at once is that of the lanes in which they queue', () => {
    expect(secondsOf([table('a', 10), table('b', 50), table('c', 20), table('d', 30)], 2)).toBe(60);
    expect(secondsOf([table('a', 10), table('b', 50)], 1)).toBe(60);
  });

  it('cannot be told where one of them cannot', () => {
    expect(secondsOf([table('a', 10), table('b', undefined)], 4)).toBeUndefined();
  });
});
