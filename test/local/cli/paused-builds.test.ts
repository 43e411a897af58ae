import { afterEach, expect, it, vi } from 'vitest';
import type { BuildState } from '../../../lambda/migration/build.ts';
import type { BuildStatus } from '../../../lambda/status/status.ts';
import { BuildWatch } from '../../../local/cli/deployed/watch-builds.ts';
import { RunDisplay } from '../../../local/cli/run-display.ts';
import { statusView } from '../../../local/cli/status-view.ts';
import { Terminal } from '../../../local/cli/terminal.ts';

const backfill = (state: BuildState) =>
  ({
    id: '1',
    version: '0001' as BuildStatus['version'],
    step: 1,
    file: '0001_fill.sql',
    line: 1,
    operation: 'backfill',
    schema: 'public',
    table: 'orders',
    index: '',
    unique: false,
    state,
    adopted: false,
    attempts: 1,
    turns: 1,
    session: undefined,
    seconds: 1,
    fault: undefined,
    partitioned: false,
    progress: undefined,
    abandoned: false,
  }) as BuildStatus;

afterEach(() => vi.restoreAllMocks());

it('paused work is counted in the status', () => {
  const builds = [backfill('paused')];
  const { colors } = new Terminal({ json: true });
  expect(
    statusView({ migrations: [], builds, runs: [], lastRun: undefined }, { colors, now: 0, all: false }),
  ).toContain('Index builds: 1 paused\n');
});

it('work that is paused while somebody watches has not ended', () => {
  const lines: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  const watch = new BuildWatch(new RunDisplay(new Terminal({ json: true })));
  for (const state of ['building', 'paused', 'done'] as const) {
    watch.look({ builds: [backfill(state)] });
    lines.push(`-- ${state}\n`);
  }
  expect(lines.join('')).toMatch(/-- building\n-- paused\n.*filled.*\n-- done\n$/);
});
