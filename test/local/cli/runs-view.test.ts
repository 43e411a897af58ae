import { expect, it } from 'vitest';
import type { RunStatus } from '../../../lambda/status/recent-runs.ts';
import { runsPart } from '../../../local/cli/runs-view.ts';
import { Terminal } from '../../../local/cli/terminal.ts';

const now = Date.parse('2026-11-28T12:00:00Z');
const run = (of: Partial<RunStatus>): RunStatus => ({
  id: '',
  action: 'run',
  cause: 'console',
  actor: 'anna',
  startedAt: '2026-11-28T11:59:00Z',
  finishedAt: '2026-11-28T11:59:00Z',
  outcome: 'done',
  did: undefined,
  error: undefined,
  waiting: undefined,
  ...of,
});
const idle = run({ action: 'resume', cause: 'loop', actor: 'index-build loop' });
const failed = (error: string) =>
  run({ outcome: 'failed', error: `${error}\nDetail: Key (id)=(1)\nNext: fix it` });
const { colors } = new Terminal({ json: true });
const shown = (runs: readonly RunStatus[], all = false) =>
  runsPart({ migrations: [], builds: [], runs, lastRun: runs[0] }, { colors, now, all }).split('\n');

it('a loop that found nothing to do hides no run before it, and is in the list of all', () => {
  expect(shown([idle, failed('A')])).toEqual([
    'Last run: failed, ended 1 min ago, by anna (console)',
    'A',
    'Detail: Key (id)=(1)',
    'Next: fix it',
  ]);
  expect(shown([idle, failed('A')], true)[0]).toContain('by index-build loop (loop)');
  expect(shown([idle])[0]).toContain('by index-build loop (loop)');
});

it('of those that failed the newest has its whole error, and all of them where all is asked for', () => {
  const runs = [run({ did: 'applied 2_b' }), failed('A'), failed('B')];
  expect(shown(runs)).toEqual([
    'Last run: done, ended 1 min ago, by anna (console)',
    'It applied 2_b.',
    'Before it:',
    '  run: failed, ended 1 min ago, by anna (console): A',
    '    Detail: Key (id)=(1)',
    '    Next: fix it',
    '  run: failed, ended 1 min ago, by anna (console): B',
  ]);
  expect(shown(runs, true).slice(-2)).toEqual(['    Detail: Key (id)=(1)', '    Next: fix it']);
});
